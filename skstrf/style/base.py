"""What both style transfers share: kinds of arrays in and out, and the table of measures."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skstrf.style.metrics import StyleMetrics, compare_all
from skstrf.style.sounds import as_sounds, check_not_silent
from skstrf.utils.arrays import is_torch
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import check_is_fitted

__all__ = ["StyleEstimator"]


class StyleEstimator(TransformerMixin, BaseEstimator):
    """Base: a subclass writes ``fit``, ``judge`` and ``_styled``, from arrays to arrays."""

    def judge(self) -> StyleMetrics:
        """Give the measures of closeness to the style."""
        raise NotImplementedError

    def _styled(self, contents: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _contents(self, X: Any) -> np.ndarray:
        """Check contents."""
        contents = as_sounds(X, "content")
        check_not_silent(contents, "content")
        return contents

    def transform(self, X):
        """Give the style to contents.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array
            Sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times), of any length.

        Returns
        -------
        ndarray, torch.Tensor or dask array of the shape of `X`
            float32 for float32 input, else float64. Of the level of the content, but nowhere
            beyond full scale (or beyond the content's own peak, if that is higher).

        Raises
        ------
        ValueError
            When a content is silent, too short or not finite.
        """
        check_is_fitted(self)
        if is_dask(X):
            dtype = np.result_type(X.dtype, np.float32)
            whole = X.rechunk(dict.fromkeys(range(1, X.ndim), -1)).rechunk({0: 1})
            empty = np.empty((0,) * X.ndim, dtype)
            return whole.map_blocks(self.transform, dtype=dtype, meta=empty)
        result = self._styled(self._contents(X))
        if is_torch(X):
            import torch

            return torch.from_numpy(result).to(X.device)
        return result

    def score_table(self, X, result=None):
        """Measure results, beside the untouched contents and the untouched style.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            Contents; of several channels the mean is measured.
        result : array-like of the shape of `X` or None, default=None
            What ``transform`` made of them. None: it is made.

        Returns
        -------
        dict of str to dict of str to list of float
            For each of the measures (see :data:`skstrf.style.METRICS`) the values of ``result``,
            ``content`` and ``style``, one a sound.
        """
        contents = self._contents(X)
        results = as_sounds(self.transform(X) if result is None else result, "result")
        return compare_all(self.judge(), contents, results)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
