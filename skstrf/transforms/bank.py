"""What the transformers with a bank of band-pass filters have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..utils.validation import Interval, Real, StrOptions
from .axes import Axis
from .base import InvertibleTransformer
from .compression import COMPRESSION, compress, expand
from .subbands import Bank, Subbands

__all__ = ["BankTransformer"]


class BankTransformer(InvertibleTransformer):
    """Base of the transformers from sounds to the envelopes of their subbands.

    A subclass writes ``_design``: a function that makes a `Bank`, and its arguments.
    """

    _parameter_constraints: dict = {
        **InvertibleTransformer._parameter_constraints,
        **COMPRESSION,
        "fmin": [Interval(Real, 0, None, closed="neither")],
        "fmax": [Interval(Real, 0, None, closed="neither"), None],
        "output": [StrOptions({"magnitude", "power", "complex"})],
    }

    fmin: float
    fmax: float | None
    output: str
    compression: str | float | None
    compression_floor: float

    def _design(self) -> tuple[Callable[..., Bank], tuple]:
        raise NotImplementedError

    def _channel_axis(self) -> Axis:
        function, arguments = self._design()
        return Axis("frequency", "Hz", function(*arguments).frequencies)

    def _subbands(self, dtype: Any) -> Subbands:
        place = (self.n_features_in_, self.hop_length_, float(self.sample_rate), np.dtype(dtype))
        return _prepared(*self._design(), *place)

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        bands = self._subbands(X.dtype)
        if self.output == "complex":
            return self._each(bands.complex, X)
        return self._each(lambda x: self._compressed(bands.power(x)), X)

    def _compressed(self, power: np.ndarray) -> np.ndarray:
        is_power = self.output == "power"
        envelopes = power if is_power else np.sqrt(power)
        return compress(envelopes, self.compression, self.compression_floor, power=is_power)

    def _invert(self, tensor: np.ndarray, hint: np.ndarray | None, rng: Any) -> np.ndarray:
        bands = self._subbands(tensor.real.dtype)
        if self.output == "complex":
            return bands.from_complex(tensor, n_iter=self.n_iter)
        power = self.output == "power"
        envelopes = expand(tensor, self.compression, self.compression_floor, power=power)
        start = rng.standard_normal(self.n_features_in_)
        if hint is not None and hint.any():
            # A little noise, so that there is something to multiply where the hint is silent.
            start = hint + 1e-5 * np.abs(hint).max() * start
        return bands.from_envelopes(
            np.sqrt(envelopes) if power else envelopes,
            start.astype(bands.dtype),
            n_iter=self.n_iter,
        )


@lru_cache(maxsize=2)
def _prepared(design: Callable[..., Bank], arguments: tuple, *place: Any) -> Subbands:
    return Subbands(design(*arguments), *place)
