"""How near a sound is to a style and to a content."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from skstrf.texture.cortical import _BY_FIELD
from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import checked_number, checked_reals

__all__ = ["field_snr", "onset_correlation", "statistics_snr"]


def statistics_snr(
    statistics: dict[str, torch.Tensor], target: dict[str, torch.Tensor]
) -> dict[str, float]:
    r"""Signal-to-noise ratio of every group of texture statistics.

    .. math:: 10 \log_{10} \frac{\sum_i s_i^2}{\sum_i (\hat s_i - s_i)^2}
    """
    result = {}
    for name, wanted in target.items():
        noise = float((statistics[name].double() - wanted.double()).square().sum())
        signal = float(wanted.double().square().sum())
        result[name] = _decibels(signal, noise)
    return result


def field_snr(statistics: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> np.ndarray:
    """Signal-to-noise ratio of the texture statistics of every receptive field."""
    shape = target["power"].shape[:2]
    errors = []
    for name in _BY_FIELD:
        rows = [s[name].double().reshape(*shape, -1) for s in (statistics, target)]
        power = rows[1].square().sum(-1)
        error = (rows[0] - rows[1]).square().sum(-1)
        errors.append(error / power.clamp(min=np.finfo(float).tiny))
    mean = to_numpy(torch.stack(errors).mean(0))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mean)


def onset_correlation(x: Any, y: Any, *, sample_rate: float) -> float:
    """Pearson's correlation of the onset strengths of two sounds: do they begin notes together."""
    import librosa

    checked_number(sample_rate, "sample_rate", low=1, high=1e9, unit="Hz")
    sounds = [checked_reals(to_numpy(sound), name) for sound, name in ((x, "x"), (y, "y"))]
    if sounds[0].ndim != 1 or sounds[0].shape != sounds[1].shape:
        raise ValueError(
            f"two mono sounds of one length are compared; got {sounds[0].shape} and "
            f"{sounds[1].shape}."
        )
    strengths = [librosa.onset.onset_strength(y=sound, sr=sample_rate) for sound in sounds]
    centered = [strength - strength.mean(dtype=np.float64) for strength in strengths]
    norms = [float(np.linalg.norm(strength)) for strength in centered]
    if min(norms) == 0:
        return float("nan")
    return float(centered[0] @ centered[1] / (norms[0] * norms[1]))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal > 0 else float("-inf")
