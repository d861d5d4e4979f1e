"""Least squares on lagged stimuli without the lagged matrix.

Row ``t`` of the lagged matrix holds ``x[:, t - lag]`` for all channels and lags. Its Gram matrix
is block Toeplitz but for the ends of the trials: a block differs from its upper left neighbor by
the products of one frame at each end. Sums over trials therefore consist of one row of blocks and
the frames at the ends, and the Gram matrix of any set of trials follows from these sums. All
functions take numpy arrays, or torch tensors on one device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from skstrf.utils.arrays import is_torch

__all__ = [
    "Prior",
    "Sums",
    "conjugate_gradients",
    "cross_products",
    "gram",
    "lagged_rows",
    "lagged_sums",
    "laplacian",
    "merge_sums",
    "predict",
    "score_from_sums",
    "smooth_root",
    "solve",
    "with_outputs",
]

# Directions whose prior variance is below this share of the largest do not matter to the estimate.
_NEGLIGIBLE = 1e-5


def _namespace(x: Any) -> Any:
    if is_torch(x):
        import torch

        return torch
    return np


def _zeros(shape: tuple[int, ...], like: Any) -> Any:
    options = {"device": like.device} if is_torch(like) else {}
    return _namespace(like).zeros(shape, dtype=like.dtype, **options)


def _concatenated(arrays: Sequence[Any], axis: int = 0) -> Any:
    if len(arrays) == 1:
        return arrays[0]
    if is_torch(arrays[0]):
        return _namespace(arrays[0]).cat(list(arrays), axis)
    return np.concatenate(arrays, axis)


# Sums over trials


def padded_frames(x: Any, start: int, stop: int, lag_min: int, n_lags: int) -> Any:
    """Return the frames that the responses from `start` to `stop` depend on.

    Frames outside the trial are zeros. Frame ``start + t`` at lag index ``lag`` is
    ``padded[:, t + n_lags - 1 - lag]``.
    """
    first, last = start - lag_min - n_lags + 1, stop - lag_min
    out = _zeros((x.shape[0], last - first), like=x)
    low, high = max(first, 0), min(last, x.shape[1])
    if low < high:
        out[:, low - first : high - first] = x[:, low:high]
    return out


def windows(x: Any, y: Any, lag_min: int, n_lags: int) -> Iterator[tuple[Any, Any]]:
    """Yield each stretch without missing responses, with all frames that its lags need."""
    missing = np.asarray((y[:, 0] != y[:, 0]).tolist())
    known = np.concatenate([[0], ~missing, [0]]).astype(int)
    starts, stops = np.flatnonzero(np.diff(known)).reshape(-1, 2).T
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield padded_frames(x, start, stop, lag_min, n_lags), y[start:stop]


@dataclass
class Sums:
    """Sums over windows that determine the fit and the correlation of its prediction."""

    products: Any  # (n_lags, n_channels, n_channels), of the first lag with every lag
    heads: Any  # (n_windows, n_lags - 1, n_channels), frames before the window, latest first
    tails: Any  # the same for the last frames of the window
    cross: Any  # (n_lags, n_channels, n_outputs)
    rows: Any  # (n_lags, n_channels)
    y: Any  # (n_outputs,)
    y_squared: Any  # (n_outputs,)
    n_frames: int


def lagged_sums(x: Any, y: Any, lag_min: int, n_lags: int) -> Sums | None:
    """Compute the sums of one trial, channels x frames and frames x outputs.

    Missing responses are NaN in all outputs alike. None if all are missing.
    """
    found = []
    for padded, known in windows(x, y, lag_min, n_lags):
        n = known.shape[0]
        shifted = [padded[:, n_lags - 1 - lag :][:, :n] for lag in range(n_lags)]
        stack = _namespace(x).stack
        edges = [padded.T[at : at + n_lags - 1] for at in (0, n)]
        heads, tails = (e.flip(0) if is_torch(e) else e[::-1].copy() for e in edges)
        found.append(
            Sums(
                products=stack([shifted[0] @ other.T for other in shifted]),
                heads=heads[None],
                tails=tails[None],
                cross=stack([other @ known for other in shifted]),
                rows=stack([other.sum(1) for other in shifted]),
                y=known.sum(0),
                y_squared=(known**2).sum(0),
                n_frames=n,
            )
        )
    return merge_sums(found) if found else None


def merge_sums(parts: Sequence[Sums]) -> Sums:
    """Add the sums of several sets of windows, and keep the ends of all of them."""
    joined = {"heads", "tails"}
    values = {}
    for field in fields(Sums):
        arrays = [getattr(part, field.name) for part in parts]
        values[field.name] = _concatenated(arrays) if field.name in joined else sum(arrays)
    return Sums(**values)


def with_outputs(sums: Sums, outputs: Any) -> Sums:
    """Return the sums with some of the outputs only."""
    changed = {
        "cross": sums.cross[:, :, outputs],
        "y": sums.y[outputs],
        "y_squared": sums.y_squared[outputs],
    }
    return Sums(**{f.name: changed.get(f.name, getattr(sums, f.name)) for f in fields(Sums)})


# Priors


def smooth_root(n: int, width: float) -> np.ndarray:
    """Return a square root, n x rank, of the covariance of white noise smoothed by a Gaussian.

    The variance of every point is 1, and the correlation of two points at the distance d is
    ``exp(-d^2 / (4 width^2))``. Directions of negligible variance are left out.
    """
    if width == 0:
        return np.eye(n)
    distance = np.subtract.outer(np.arange(n), np.arange(n))
    values, vectors = np.linalg.eigh(np.exp(-(distance**2) / (4 * width**2)))
    kept = values > _NEGLIGIBLE * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def path_laplacian(n: int) -> np.ndarray:
    """Return the Laplacian of a chain of points."""
    degrees = np.full(n, 2.0)
    degrees[[0, -1]] = 1 if n > 1 else 0
    off = np.ones(n - 1)
    return np.diag(degrees) - np.diag(off, 1) - np.diag(off, -1)


def laplacian(n_lags: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the penalty of differences between neighbors in lag and in the last axis."""
    groups = np.eye(int(np.prod(shape[:-1], initial=1)))
    channels = np.kron(groups, path_laplacian(shape[-1]))
    return np.kron(path_laplacian(n_lags), np.eye(len(channels))) + np.kron(
        np.eye(n_lags), channels
    )


@dataclass
class Prior:
    """Coefficients are ``channels @ v @ lags.T``, and the penalty of v is alpha times `penalty`.

    None stands for the identity.
    """

    channels: Any = None  # (n_channels, rank)
    lags: Any = None  # (n_lags, rank)
    penalty: Any = None  # over lags and channels, lags first

    def expand(self, v: Any, n_lags: int) -> Any:
        """Return coefficients (n_channels, n_lags, ...) of a solution (lags x channels, ...)."""
        n = n_lags if self.lags is None else self.lags.shape[1]
        v = v.reshape(n, -1, v.shape[1])
        if self.lags is not None:
            v = (self.lags @ v.reshape(n, -1)).reshape(n_lags, *v.shape[1:])
        v = v.swapaxes(0, 1)
        if self.channels is not None:
            v = (self.channels @ v.reshape(v.shape[0], -1)).reshape(-1, *v.shape[1:])
        return v

    def reduce(self, rows: Any) -> Any:
        """Apply the transposed of `expand` to (n_lags, n_channels, n)."""
        if self.channels is not None:
            rows = self.channels.T @ rows
        if self.lags is not None:
            rows = (self.lags.T @ rows.reshape(rows.shape[0], -1)).reshape(-1, *rows.shape[1:])
        return rows.reshape(-1, rows.shape[2])


# Normal equations


def gram(sums: Sums, prior: Prior) -> Any:
    """Return the Gram matrix of the lagged matrix in the basis of the prior."""
    products, heads, tails = sums.products, sums.heads, sums.tails
    if prior.channels is not None:
        products = prior.channels.T @ products @ prior.channels
        heads, tails = heads @ prior.channels, tails @ prior.channels
    n_lags, k = products.shape[:2]
    out = _zeros((n_lags, k, n_lags, k), like=products)
    for lag in range(n_lags):
        out[0, :, lag] = products[lag]
        out[lag, :, 0] = products[lag].T
    flat = [edge.reshape(edge.shape[0], -1) for edge in (heads, tails)]
    for lag in range(n_lags - 1):
        change = heads[:, lag].T @ flat[0] - tails[:, lag].T @ flat[1]
        out[lag + 1, :, 1:] = out[lag, :, :-1] + change.reshape(k, n_lags - 1, k)
    if prior.lags is not None:
        m = prior.lags.shape[1]
        out = (prior.lags.T @ out.reshape(n_lags, -1)).reshape(m * k, n_lags, k)
        out = prior.lags.T @ out
        return out.reshape(m * k, m * k)
    return out.reshape(n_lags * k, n_lags * k)


def cross_products(sums: Sums, prior: Prior) -> tuple[Any, Any]:
    """Return the products of lagged rows and responses, and the sum of the rows, in the basis."""
    return prior.reduce(sums.cross), prior.reduce(sums.rows[..., None])[:, 0]


def solve(matrix: Any, right: Any, alpha: float, penalty: Any = None) -> Any:
    """Solve the penalized normal equations, with the least norm where they are singular."""
    if is_torch(matrix):
        import torch

        shifted = matrix + alpha * penalty if penalty is not None else matrix.clone()
        if penalty is None:
            shifted.diagonal().add_(alpha)
        factor, info = torch.linalg.cholesky_ex(shifted)
        if int(info) == 0:
            return torch.cholesky_solve(right, factor)
        return torch.linalg.pinv(shifted, hermitian=True) @ right
    from scipy.linalg import cho_factor, cho_solve, pinvh

    shifted = matrix + alpha * penalty if penalty is not None else matrix.copy()
    if penalty is None:
        shifted.ravel()[:: len(shifted) + 1] += alpha
    diagonal = shifted.diagonal()
    try:
        # A symmetric matrix is its own transpose: LAPACK then factors it in place.
        factor = cho_factor(shifted.T, lower=True, overwrite_a=True, check_finite=False)
        smallest = np.abs(factor[0].diagonal()).min() ** 2
        if smallest > 1e-13 * diagonal.max():
            return cho_solve(factor, right, check_finite=False)
    except np.linalg.LinAlgError:
        pass
    shifted = matrix + alpha * (np.eye(len(matrix)) if penalty is None else penalty)
    return pinvh(shifted, check_finite=False) @ right


def score_from_sums(v: Any, matrix: Any, cross: Any, rows: Any, sums: Sums, measure: str) -> Any:
    """Return the correlation or the share of variance explained of each output.

    `matrix`, `cross` and `rows` are those of the test trials in the basis of the solution `v`.
    Outputs or predictions that are constant have the score 0.
    """
    n = sums.n_frames
    power = (v * (matrix @ v)).sum(0) / n
    product = (v * cross).sum(0) / n
    mean = (rows @ v) / n
    y_mean = sums.y / n
    y_variance = sums.y_squared / n - y_mean**2
    if measure == "r2":
        error = sums.y_squared / n - 2 * product + power
        return 1 - error / y_variance.clip(1e-300, None)
    variance = (power - mean**2).clip(0, None)
    scale = (variance * y_variance.clip(0, None)) ** 0.5
    # A constant has a variance of rounding errors.
    constant = (variance <= 1e-14 * power) | (y_variance <= 1e-14 * sums.y_squared / n)
    covariance = product - mean * y_mean
    return covariance / (scale + constant) * ~constant


def predict(x: Any, coef: Any, lag_min: int) -> Any:
    """Return the response of every output, frames x outputs, to one centered trial."""
    n_frames, n_lags = x.shape[1], coef.shape[2]
    padded = padded_frames(x, 0, n_frames, lag_min, n_lags)
    out = _zeros((coef.shape[0], n_frames), like=x)
    for lag in range(n_lags):
        out += coef[:, :, lag] @ padded[:, n_lags - 1 - lag :][:, :n_frames]
    return out.T


def lagged_rows(x: Any, prior: Prior, lag_min: int, n_lags: int) -> Any:
    """Return the lagged matrix of one trial in the basis of a prior, frames x numbers."""
    n_frames = x.shape[1]
    padded = padded_frames(x, 0, n_frames, lag_min, n_lags)
    if prior.channels is not None:
        padded = prior.channels.T @ padded
    shifted = [padded[:, n_lags - 1 - lag :][:, :n_frames] for lag in range(n_lags)]
    return Prior(lags=prior.lags).reduce(_namespace(x).stack(shifted)).T


# Conjugate gradients


class FourierOperator:
    """Gram matrix as products of Fourier transforms, for lagged matrices of many columns."""

    def __init__(self, trials: Iterable[tuple[Any, Any]], lag_min: int, n_lags: int):
        self.n_lags = n_lags
        self.parts = []
        self.cross: Any = 0
        for x, y in trials:
            for padded, known in windows(x, y, lag_min, n_lags):
                n_fft = _fast_length(padded.shape[1])
                spectrum = _namespace(x).fft.rfft(padded, n_fft)
                self.parts.append((spectrum, n_fft, known.shape[0]))
                self.cross = self.cross + self._adjoint(spectrum, n_fft, known.T)

    def _adjoint(self, spectrum: Any, n_fft: int, y: Any) -> Any:
        """Products of responses, outputs x frames, with every lag: lags x channels x outputs."""
        fft = _namespace(spectrum).fft
        ahead = fft.rfft(y, n_fft).conj()
        products = [fft.irfft(spectrum * one, n_fft)[:, : self.n_lags] for one in ahead]
        joined = _namespace(spectrum).stack(products, -1)
        joined = joined.flip(1) if is_torch(joined) else joined[:, ::-1]
        return joined.swapaxes(0, 1)

    def __call__(self, w: Any) -> Any:
        """Apply the Gram matrix to channels x lags x outputs; lags x channels x outputs."""
        out: Any = 0
        for spectrum, n_fft, n in self.parts:
            fft = _namespace(spectrum).fft
            start = self.n_lags - 1
            y = [
                fft.irfft((spectrum * fft.rfft(one, n_fft)).sum(0), n_fft)[start : start + n]
                for one in (w[..., output] for output in range(w.shape[2]))
            ]
            out = out + self._adjoint(spectrum, n_fft, _namespace(spectrum).stack(y))
        return out


def _fast_length(n: int) -> int:
    from scipy.fft import next_fast_len

    return next_fast_len(n, real=True)


def conjugate_gradients(
    operator: Callable[[Any], Any],
    right: Any,
    alpha: Any,
    penalty: Any = None,
    start: Any = None,
    *,
    tol: float = 1e-6,
    max_iter: int = 500,
) -> tuple[Any, bool]:
    """Solve ``(operator + alpha penalty) v = right`` by columns; whether all converged."""

    def apply(v: Any) -> Any:
        return operator(v) + alpha * (v if penalty is None else penalty @ v)

    v = _zeros(right.shape, like=right) if start is None else start
    residual = right - apply(v) if start is not None else right + 0
    direction = residual + 0
    power = (residual**2).sum(0)
    wanted = tol**2 * (right**2).sum(0)
    for _ in range(max_iter):
        if bool((power <= wanted).all()):
            return v, True
        image = apply(direction)
        curvature = (direction * image).sum(0)
        # Columns that are solved keep their value.
        step = (power > 0) * power / (curvature + (curvature == 0))
        v = v + step * direction
        residual = residual - step * image
        new = (residual**2).sum(0)
        direction = residual + new / (power + (power == 0)) * direction
        power = new
    return v, bool((power <= wanted).all())
