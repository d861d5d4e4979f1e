"""Common parts of the style transfer estimators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin

from skstrf.neural import CNNClassifier
from skstrf.style.domains import SOUND_NETWORKS, Domain, fitted_for, log_stft
from skstrf.style.metrics import StyleMetrics
from skstrf.style.objectives import Objective, make_objective
from skstrf.style.sounds import check_not_silent, check_sounds
from skstrf.utils.arrays import is_torch, to_numpy
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
)

__all__ = ["ProgressReporter", "StyleEstimator"]


class StyleEstimator(TransformerMixin, BaseEstimator):
    """Base class: subclasses implement `fit`, `_transform` and `_metrics`."""

    _parameter_constraints: dict = {
        "representation": [HasMethods(["fit", "transform"]), None],
        "network": [StrOptions({"random", "cortical"}), CNNClassifier],
        "content_weight": [Interval(Real, 0, None, closed="left")],
        "style_weight": [Interval(Real, 0, None, closed="left")],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, 1e30, closed="right")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "block_duration": [Interval(Real, 0, None, closed="neither")],
        "callback": [callable, None],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def transform(self, X):
        """Apply the style to contents.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array
            Sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times), of any length.

        Returns
        -------
        ndarray, torch.Tensor or dask array of the shape of `X`
            Sounds at the level of their contents, attenuated where they would exceed full scale
            and the peak of the content. float32 for float32 input, otherwise float64.

        Raises
        ------
        ValueError
            If a content is silent, too short or not finite.
        """
        check_is_fitted(self)
        if is_dask(X):
            dtype = np.result_type(X.dtype, np.float32)
            whole = X.rechunk(dict.fromkeys(range(1, X.ndim), -1)).rechunk({0: 1})
            empty = np.empty((0,) * X.ndim, dtype)
            return whole.map_blocks(self.transform, dtype=dtype, meta=empty)
        result = self._transform(self._check_contents(X))
        return torch.from_numpy(result).to(X.device) if is_torch(X) else result

    def score(self, X, y=None):
        """Return the share of the distance to the style that is overcome, by outside judges.

        The judges are not minimized by any transfer, see :meth:`score_table`.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            Contents, which are transformed.
        y : None
            Ignored.

        Returns
        -------
        float
            1 minus the mean of ``mel_gram_share``, ``mel_patch_share`` and ``statistics_share``
            over the sounds: 0 for the untouched content, 1 for the style itself, and negative if
            the texture is farther from the style than that of the content. It does not measure
            how much of the content is kept.
        """
        contents = self._check_contents(X)
        results = check_sounds(self.transform(X), "result")
        return float(1 - self._metrics().shares(contents, results).mean())

    def score_table(self, X, result=None, *, other_style=None):
        """Measure the closeness of results to style and content.

        Parameters
        ----------
        X : array-like of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times)
            Contents. The mean of all channels is measured.
        result : array-like of the shape of `X` or None, default=None
            Results of ``transform``. If None, they are computed.
        other_style : array-like of shape (n_times,) or None, default=None
            Another part of the style than that given to `fit`. Its distances to the style show
            how near a result can be expected to come.

        Returns
        -------
        dict of str to dict of str to list of float
            For each metric a dict with one value per sound under the key ``result`` and under
            each of the keys ``content``, ``style``, ``other_style`` (if given), ``equalizer``,
            ``mix_0_db``, ``mix_minus_6_db`` and ``quilting``, which are controls.
            The metrics are ``mel_gram_share``, ``mel_patch_share``, ``statistics_share`` and
            ``local_correlation``, which no transfer minimizes (the last is set by the
            `content_correlation` of "envelopes"), ``onset_correlation`` and
            ``log_spectral_distance``, and ``gram_distance``, ``content_distance``,
            ``texture_snr`` and ``field_snr``, which are close to the own losses.

        Raises
        ------
        ValueError
            If `result` has another shape than `X`, or `other_style` is not one sound, silent or
            not finite.
        """
        contents = self._check_contents(X)
        other = None if other_style is None else _check_other(other_style)
        results = check_sounds(self.transform(X) if result is None else result, "result")
        if results.shape != contents.shape:
            raise ValueError(
                f"result has the shape {results.shape} and X the shape {contents.shape}: they "
                "must be equal."
            )
        check_not_silent(results, "result")
        return self._metrics().table(contents, results, other)

    def _transform(self, contents: np.ndarray) -> np.ndarray:
        """Transform checked sounds."""
        raise NotImplementedError

    def _metrics(self) -> StyleMetrics:
        raise NotImplementedError

    def _check_contents(self, X: Any) -> np.ndarray:
        contents = check_sounds(X, "content")
        check_not_silent(contents, "content")
        return contents

    def _network_name(self) -> str:
        """Name of the network that is used, which "auto" leaves open."""
        if not isinstance(self.network, str):
            return "classifier"
        if self.network == "auto":
            return "envelopes" if self.representation is None else "random"
        return self.network

    def _weights(self) -> tuple[float, float]:
        """Weights of content and style."""
        if self.content_weight is not None:
            return self.content_weight, self.style_weight
        if self._network_name() != "envelopes":
            return 0.05, self.style_weight
        return (1.0 if self.content_correlation is None else 16.0), self.style_weight

    def _check_weights(self) -> None:
        if not any(self._weights()):
            raise ValueError("content_weight and style_weight must not both be 0.")

    def _default_representation(self) -> Any:
        return log_stft() if self.representation is None else self.representation

    def _make_domain(self, kind: type[Domain], n_times: int, device: str) -> Domain:
        """Domain of sounds of a length."""
        takes_sound = self._network_name() in SOUND_NETWORKS
        return kind(None if takes_sound else fitted_for(self.representation_, n_times), device)

    def _make_objective(
        self, kind: type[Domain], styles: Sequence[np.ndarray], n_times: int, device: str
    ) -> Objective:
        """Objective for whole styles and for contents of `n_times` samples."""
        tensors = []
        with torch.no_grad():
            for style in styles:
                domain = self._make_domain(kind, len(style), device)
                tensors.append(domain.tensor(domain.variable(style)))
            return make_objective(self, tensors, n_times, device)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_other(sound: Any) -> np.ndarray:
    """Check another part of the style."""
    array = to_numpy(sound)
    if array.ndim != 1:
        raise ValueError(
            f"other_style must be one mono sound, (n_times,); got the shape {array.shape}."
        )
    (checked,) = check_sounds(array[None], "other style")
    check_not_silent([checked], "other style")
    return checked


class ProgressReporter:
    """Shows the losses of iterations in a progress bar and passes them to the callback."""

    def __init__(
        self,
        callback: Callable[[dict[str, Any]], Any] | None,
        n_iterations: int,
        description: str,
        verbose: bool,
    ):
        from tqdm.auto import tqdm

        self._callback = callback
        self._bar = tqdm(total=n_iterations, disable=not verbose, desc=description)

    def __enter__(self) -> ProgressReporter:
        return self

    def __exit__(self, *args: Any) -> None:
        self._bar.close()

    def report(self, n_done: int, values: dict[str, Any]) -> None:
        """Report the losses after `n_done` iterations."""
        self._bar.update(n_done - self._bar.n)
        self._bar.set_postfix(content=values["content"], style=values["style"], refresh=False)
        if self._callback is not None:
            self._callback(values)
