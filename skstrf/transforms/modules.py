"""Transformers as torch modules, which pass gradients from their tensors to the sounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from skstrf.auditory import Cochlea, Cortex
from skstrf.auditory.cochlea import model_sample_rate, resample
from skstrf.transforms.base import n_frames
from skstrf.transforms.compression import compress
from skstrf.transforms.mel import MelTransformer, _filters
from skstrf.transforms.mfcc import MFCCTransformer
from skstrf.transforms.standardization import standardize
from skstrf.transforms.stft import FourierTransformer, STFTTransformer
from skstrf.transforms.strf import STRFTransformer
from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "differentiable_resample",
    "is_differentiable",
    "torch_module",
]


def torch_module(transformer: Any) -> nn.Module:
    """Return a torch module that computes the tensors of a transformer and passes gradients.

    Parameters
    ----------
    transformer : STFTTransformer, MelTransformer, MFCCTransformer or STRFTransformer
        Fitted transformer. The others have no torch counterpart.

    Returns
    -------
    torch.nn.Module
        Module that maps sounds of shape (..., n_times) to tensors of shape
        ``(..., *channels, n_frames)``, in the same precision and on the same device. For sounds of
        the length seen in `fit` they equal those of ``transformer.transform`` to 1e-5 of the
        maximum (except in float32 for logarithms of nearly vanishing values). Other lengths are
        accepted too. The module has no parameters to learn.

    Raises
    ------
    ValueError
        If `transformer` is of another class, or an `STRFTransformer` with `causal`.
    sklearn.exceptions.NotFittedError
        If `transformer` is not fitted.

    Notes
    -----
    ``nonlinearity="hard"`` of `STRFTransformer` passes no gradient. For `STRFTransformer`, sounds
    at rates other than 16 kHz are resampled by soxr on the CPU; the gradient is resampled back,
    which is the adjoint to 1e-4.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skstrf import MelTransformer
    >>> from skstrf.transforms.modules import torch_module
    >>> X = np.random.default_rng(0).standard_normal((2, 16000)).astype("float32")
    >>> mel = MelTransformer().fit(X)
    >>> x = torch.from_numpy(X).requires_grad_()
    >>> tensor = torch_module(mel)(x)
    >>> bool(np.allclose(tensor.detach(), mel.transform(X), atol=1e-3))
    True
    >>> tensor.mean().backward()
    >>> x.grad.shape
    torch.Size([2, 16000])
    """
    module = _MODULES.get(type(transformer))
    if module is None:
        possible = ", ".join(sorted(kind.__name__ for kind in _MODULES))
        raise ValueError(
            f"{type(transformer).__name__} cannot be differentiated: give one of {possible}."
        )
    check_is_fitted(transformer)
    return module(transformer)


def is_differentiable(transformer: Any) -> bool:
    """Return whether :func:`torch_module` supports a transformer."""
    return type(transformer) in _MODULES


def differentiable_resample(x: torch.Tensor, from_rate: float, to_rate: float) -> torch.Tensor:
    """Resample by soxr on the CPU, and pass gradients."""
    return x if from_rate == to_rate else _Resampling.apply(x, from_rate, to_rate)


class _Batches(nn.Module):
    """Base of the modules; a subclass transforms a flat batch of sounds in ``_tensors``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the tensors (..., *channels, n_frames) of sounds (..., n_times)."""
        if not x.is_floating_point() or x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(
                "real sounds of shape (..., n_times) with at least one sample are needed; got "
                f"shape {tuple(x.shape)} of {x.dtype}."
            )
        result = self._tensors(x.reshape(-1, x.shape[-1]))
        return result.reshape(*x.shape[:-1], *result.shape[1:])

    def _tensors(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class _Fourier(_Batches):
    """Short-time Fourier transform, see `skstrf.transforms.stft.FourierTransformer`."""

    window: torch.Tensor

    def __init__(self, transformer: FourierTransformer):
        super().__init__()
        import librosa

        self._n_fft, self._hop = transformer.n_fft_, transformer.hop_length_
        window = librosa.filters.get_window(
            transformer.window, transformer.win_length or self._n_fft, fftbins=True
        )
        window = librosa.util.pad_center(window, size=self._n_fft)
        self.register_buffer("window", torch.from_numpy(window), persistent=False)

    def _frames(self, x: torch.Tensor) -> torch.Tensor:
        n_times, n_fft, hop = x.shape[-1], self._n_fft, self._hop
        before = n_fft // 2 - hop // 2
        total = (n_frames(n_times, hop) - 1) * hop + n_fft
        padded = nn.functional.pad(x, (before, total - before - n_times))
        return torch.stft(
            padded, n_fft, hop, window=self.window.to(x.dtype), center=False, return_complex=True
        )


class _STFT(_Fourier):
    def __init__(self, transformer: STFTTransformer):
        super().__init__(transformer)
        self._output = transformer.output
        self._compression = transformer.compression, transformer.compression_floor

    def _tensors(self, x: torch.Tensor) -> torch.Tensor:
        frames = self._frames(x)
        if self._output == "complex":
            return frames
        power = self._output == "power"
        spectra = _power(frames) if power else frames.abs()
        return compress(spectra, *self._compression, power=power)


class _Mel(_Fourier):
    weights: torch.Tensor

    def __init__(self, transformer: Any):
        super().__init__(transformer)
        weights = torch.tensor(_filters(**transformer._bank()))
        self.register_buffer("weights", weights, persistent=False)
        self._is_power = getattr(transformer, "output", "power") == "power"
        kind = getattr(transformer, "compression", "db")  # MFCC have no other
        self._compression = kind, transformer.compression_floor

    def _tensors(self, x: torch.Tensor) -> torch.Tensor:
        frames = self._frames(x)
        spectra = _power(frames) if self._is_power else frames.abs()
        mel = self.weights.to(spectra.dtype) @ spectra
        return compress(mel, *self._compression, power=self._is_power)


class _MFCC(_Mel):
    cosines: torch.Tensor

    def __init__(self, transformer: MFCCTransformer):
        super().__init__(transformer)
        import librosa

        cosines = librosa.feature.mfcc(
            S=np.eye(transformer.n_mels),
            n_mfcc=transformer.n_mfcc,
            dct_type=transformer.dct_type,
            lifter=transformer.lifter,
        )
        self.register_buffer("cosines", torch.tensor(cosines), persistent=False)

    def _tensors(self, x: torch.Tensor) -> torch.Tensor:
        decibels = super()._tensors(x)
        return self.cosines.to(decibels.dtype) @ decibels


class _STRF(_Batches):
    def __init__(self, transformer: STRFTransformer):
        super().__init__()
        if transformer.causal:
            raise ValueError(
                f"causal={transformer.causal!r} has no torch counterpart. Use "
                "STRFTransformer(causal=False) where gradients are needed."
            )
        self._sample_rate = transformer.sample_rate
        self._normalizes = transformer.normalize
        self._output = transformer.output
        self._compression = transformer.compression, transformer.compression_floor
        self._subtracts_mean = transformer._subtracts_mean()
        self.cochlea = Cochlea(
            transformer.hop_duration, transformer.time_constant, transformer.nonlinearity
        )
        self.cortex = Cortex(
            frame_step=transformer.frame_step_,
            output=transformer.output,
            pooling=transformer.pooling,
            **transformer._bank(),
        )

    def _tensors(self, x: torch.Tensor) -> torch.Tensor:
        if self._normalizes:
            x = standardize(x)
        x = differentiable_resample(x, self._sample_rate, model_sample_rate())
        tensor = self.cortex(self.cochlea(x))
        tensor = compress(tensor, *self._compression, signed=self._output != "magnitude")
        return tensor - tensor.mean((1, 2), keepdim=True) if self._subtracts_mean else tensor


class _Resampling(torch.autograd.Function):
    """Resampling by soxr, whose symmetric filter makes resampling back the scaled adjoint."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, from_rate: float, to_rate: float) -> torch.Tensor:
        ctx.rates, ctx.n_times = (from_rate, to_rate), x.shape[-1]
        return _resampled(x, from_rate, to_rate)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple:
        from_rate, to_rate = ctx.rates
        back = _resampled(gradient, to_rate, from_rate) * (to_rate / from_rate)
        return nn.functional.pad(back, (0, ctx.n_times - back.shape[-1])), None, None


def _resampled(x: torch.Tensor, from_rate: float, to_rate: float) -> torch.Tensor:
    array = resample(np.ascontiguousarray(to_numpy(x)), from_rate, to_rate)
    return torch.from_numpy(array).to(x.device)


def _power(frames: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(frames).square().sum(-1)


_MODULES: dict[type, Any] = {
    STFTTransformer: _STFT,
    MelTransformer: _Mel,
    MFCCTransformer: _MFCC,
    STRFTransformer: _STRF,
}
