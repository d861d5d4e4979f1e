"""How near a sound is to a style and to a content."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..utils.arrays import to_numpy
from ..utils.settings import checked_number, checked_reals
from .cortical import _BY_FIELD

__all__ = ["field_snr", "onset_correlation", "statistics_snr"]


def statistics_snr(
    statistics: dict[str, torch.Tensor], target: dict[str, torch.Tensor]
) -> dict[str, float]:
    r"""Signal-to-noise ratio of every group of texture statistics.

    .. math:: 10 \log_{10} \frac{\sum_i s_i^2}{\sum_i (\hat s_i - s_i)^2}

    Parameters
    ----------
    statistics : dict of str to torch.Tensor
        Of the sound to judge, from :class:`~skstrf.texture.CorticalStatistics`.
    target : dict of str to torch.Tensor
        Of the style.

    Returns
    -------
    dict of str to float
        In dB, for each group. Infinite where there is no difference.

    References
    ----------
    .. [1] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
       auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.

    Examples
    --------
    >>> import torch
    >>> from skstrf.texture import statistics_snr
    >>> statistics_snr({"mean": torch.tensor([1.1, 2.2])}, {"mean": torch.tensor([1.0, 2.0])})
    {'mean': 20.0}
    """
    result = {}
    for name, wanted in target.items():
        noise = float((statistics[name].double() - wanted.double()).square().sum())
        signal = float(wanted.double().square().sum())
        result[name] = _decibels(signal, noise)
    return result


def field_snr(statistics: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> np.ndarray:
    """Signal-to-noise ratio of the texture statistics of every receptive field.

    Parameters
    ----------
    statistics, target : dict of str to torch.Tensor
        As for :func:`statistics_snr`; the groups "power", "sparsity", "gram" and "coherence".

    Returns
    -------
    ndarray of shape (n_scales, 2 * n_rates)
        In dB: of the squared relative error of each of the four groups at that scale and rate,
        their mean.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skstrf.texture import CorticalStatistics, field_snr
    >>> model = CorticalStatistics(n_frames=63)
    >>> a, b = (torch.randn(8000, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    >>> snr = field_snr(model(a), model(b))
    >>> snr.shape, bool(np.median(snr) > 0)
    ((6, 10), True)
    """
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
    """Pearson's correlation of the onset strengths of two sounds: do they begin notes together.

    Parameters
    ----------
    x, y : array-like or torch.Tensor of shape (n_times,)
        Sounds of one length; of their strengths, by :func:`librosa.onset.onset_strength` in its
        default settings, neither level nor offset counts.
    sample_rate : float
        In Hz.

    Returns
    -------
    float
        From -1 to 1; NaN where a sound has no onsets at all.

    Raises
    ------
    ValueError
        When the sounds differ in length, are not mono or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.texture import onset_correlation
    >>> clicks = np.zeros(22050)
    >>> clicks[2000::6000] = 1
    >>> onset_correlation(clicks, 0.5 * clicks, sample_rate=22050)
    1.0
    """
    import librosa

    checked_number(sample_rate, "sample_rate", low=1, high=1e9, unit="Hz")
    sounds = [checked_reals(to_numpy(sound), name) for sound, name in ((x, "x"), (y, "y"))]
    if sounds[0].ndim != 1 or sounds[0].shape != sounds[1].shape:
        raise ValueError(
            f"two mono sounds of one length are compared; got {sounds[0].shape} and "
            f"{sounds[1].shape}."
        )
    strengths = [librosa.onset.onset_strength(y=sound, sr=sample_rate) for sound in sounds]
    centred = [strength - strength.mean(dtype=np.float64) for strength in strengths]
    norms = [float(np.linalg.norm(strength)) for strength in centred]
    if min(norms) == 0:
        return float("nan")
    return float(centred[0] @ centred[1] / (norms[0] * norms[1]))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal > 0 else float("-inf")
