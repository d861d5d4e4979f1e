"""What the displays of tensors share: which channels, in which colours, on which axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skstrf.inspection.panels import cell_edges, frequency_axis
from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "SIZES",
    "Colours",
    "channel_name",
    "checked_tensor",
    "chosen_channels",
    "draw_image",
    "fitted_on",
    "label_axes",
    "name_slices",
    "one_sound",
    "quantity_of",
]

SIZES = {"titlesize": 9, "labelsize": 8, "ticksize": 7}
_NAMES = ("scale", "rate", "frequency", "time")


class Colours:
    """Colours of the images of one tensor.

    Parameters
    ----------
    tensor : ndarray
        Where it has negative values, zero is in the middle of the colours.
    cmap : str, Colormap or None
        None takes "magma", or "RdBu_r" for a tensor with negative values.
    """

    def __init__(self, tensor: np.ndarray, cmap: Any):
        self.largest = float(np.abs(tensor).max())
        self.signed = bool((tensor < 0).any())
        self.cmap = cmap or ("RdBu_r" if self.signed else "magma")

    def of(self, *images: np.ndarray) -> dict[str, Any]:
        """Choose a colour map and range, one for all of the images.

        Parameters
        ----------
        *images : ndarray
            Parts or means of the tensor.

        Returns
        -------
        dict
            For pcolormesh: cmap, vmin, vmax.
        """
        low, high = min(map(np.min, images)), max(map(np.max, images))
        if self.signed:
            # Means that cancel leave rounding, which is not to fill the range of colours.
            high = max(-low, high, 1e-4 * self.largest)
            low = -high
        return {"cmap": self.cmap, "vmin": low, "vmax": high}


def one_sound(x: Any) -> np.ndarray:
    """Check that there is one sound.

    Parameters
    ----------
    x : array-like or torch.Tensor of shape (n_times,) or (1, n_times)
        The sound.

    Returns
    -------
    ndarray of shape (1, n_times)
        The sound as a batch.

    Raises
    ------
    ValueError
        When there are several.

    Examples
    --------
    >>> from skstrf.inspection.slices import one_sound
    >>> one_sound([0.0, 0.5]).shape
    (1, 2)
    """
    sound = np.atleast_2d(to_numpy(x))
    if sound.ndim != 2 or len(sound) != 1:
        raise ValueError(
            f"x must be one mono sound of shape (n_times,), got shape {np.shape(x)}. "
            "Draw several sounds one by one."
        )
    return sound


def fitted_on(estimator: Any, sound: np.ndarray) -> Any:
    """Give the transformer itself, or a fitted clone where it is not fitted.

    Parameters
    ----------
    estimator : SoundTransformer
        Left as it is.
    sound : ndarray of shape (1, n_times)
        What it is to transform.

    Returns
    -------
    SoundTransformer
        Fitted.

    Raises
    ------
    ValueError
        When it was fitted on sounds of another length.
    """
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return clone(estimator).fit(sound)
    if sound.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"x has {sound.shape[1]} samples, but the {type(estimator).__name__} was fitted on "
            f"sounds of {estimator.n_features_in_}. Give a sound of that length, or "
            "sklearn.base.clone(estimator), which fits itself to x."
        )
    return estimator


def quantity_of(estimator: Any) -> str:
    """Say what the values of a transformer's output are.

    Parameters
    ----------
    estimator : SoundTransformer
        Its compression is read.

    Returns
    -------
    str
        For the label of a colour bar.
    """
    compression = getattr(estimator, "compression", None)
    if compression == "log":
        return f"log(1 + response / {estimator.compression_floor:g})"
    return "cube root of response" if compression == "cbrt" else "response"


def checked_tensor(tensor: Any, axes: Sequence[Any]) -> np.ndarray:
    """Give a tensor as an array of real numbers that fits the axes.

    Parameters
    ----------
    tensor : array-like or torch.Tensor of shape (n_scales, n_rates, n_freqs, n_frames)
        Of one sound; of complex values the magnitude is taken.
    axes : sequence of Axis
        Scale, rate, frequency and time.

    Returns
    -------
    ndarray of shape (n_scales, n_rates, n_freqs, n_frames)
        Real and finite.

    Raises
    ------
    ValueError
        When tensor and axes do not fit, or it is not finite.
    """
    array = to_numpy(tensor)
    if np.iscomplexobj(array):
        array = np.abs(array)
    names = tuple(axis.name for axis in axes)
    if names != _NAMES:
        raise ValueError(f"axes must be {', '.join(_NAMES)}, in this order; got {names}.")
    shape = tuple(len(axis.values) for axis in axes)
    if array.shape != shape:
        raise ValueError(
            f"tensor must be that of one sound, of the shape {shape} of axes; "
            f"got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("tensor contains NaN or infinite values.")
    return array


def chosen_channels(channels: Any, axes: Sequence[Any]) -> list[tuple[int, int]]:
    """Find the channels to draw.

    Parameters
    ----------
    channels : sequence of (scale, rate) or None
        Values on the axes. None spreads up to three scales and two rates in both directions.
    axes : sequence of Axis
        The first two are scale and signed rate.

    Returns
    -------
    list of (int, int)
        Indices (scale, rate).

    Raises
    ------
    ValueError
        For a channel that is not there.
    """
    scales, rates = (np.asarray(axis.values, dtype=float) for axis in axes[:2])
    if channels is None:
        positive = _spread(np.flatnonzero(rates > 0), 2)
        chosen = [*_spread(np.flatnonzero(rates < 0), 2), *positive]
        # Low scales at the bottom, as in the map.
        return [(s, r) for s in _spread(np.arange(scales.size), 3)[::-1] for r in chosen]
    pairs = [(_index(scales, s, "scale"), _index(rates, r, "rate")) for s, r in channels]
    if not pairs:
        raise ValueError("channels must name at least one (scale, rate), or be None.")
    return pairs


def _spread(indices: np.ndarray, n: int) -> list[int]:
    """About `n` of the indices, evenly spaced and off both ends where there are enough."""
    if indices.size <= n:
        return indices.tolist()
    places = np.linspace(0, indices.size - 1, n + 2)[1:-1]
    return sorted({int(indices[round(place)]) for place in places})


def _index(values: np.ndarray, wanted: float, name: str) -> int:
    """Where `wanted` is; 1 % off is close enough for rounded powers of two."""
    index = int(np.abs(values - wanted).argmin())
    if not np.isclose(values[index], wanted, rtol=0.01, atol=0):
        known = ", ".join(f"{value:.4g}" for value in values)
        raise ValueError(f"channels: no {name} {wanted!r} in this tensor, it has {known}.")
    return index


def channel_name(scale: float, rate: float) -> str:
    """Name a channel for readers.

    Parameters
    ----------
    scale : float
        Cycles/octave.
    rate : float
        Hz; negative = upward-moving.

    Returns
    -------
    str
        Such as "2 cyc/oct, 8 Hz upward".

    Examples
    --------
    >>> from skstrf.inspection.slices import channel_name
    >>> channel_name(0.5, -4)
    '0.5 cyc/oct, 4 Hz upward'
    """
    direction = "upward" if rate < 0 else "downward"
    return f"{scale:.3g} cyc/oct, {abs(rate):.3g} Hz {direction}"


def name_slices(panels: Sequence[Any], chosen: Sequence[tuple], axes: Sequence[Any]) -> None:
    """Title panels with the channels in them; tick labels stay at the outer ones only.

    Parameters
    ----------
    panels : sequence of Axes
        One for each channel.
    chosen : sequence of (int, int)
        Indices (scale, rate), from :func:`chosen_channels`.
    axes : sequence of Axis
        The first two are scale and signed rate.
    """
    for ax, (scale, rate) in zip(panels, chosen, strict=True):
        name = channel_name(axes[0].values[scale], axes[1].values[rate])
        ax.set_title(name, fontsize=SIZES["labelsize"])
        ax.label_outer()


def draw_image(ax: Any, image: np.ndarray, axes: Sequence[Any], colours: dict) -> Any:
    """Draw frequency by time.

    Parameters
    ----------
    ax : Axes
        Where.
    image : ndarray of shape (n_freqs, n_frames)
        The values.
    axes : sequence of Axis
        The last two are frequency and time.
    colours : dict
        For pcolormesh: cmap, vmin, vmax.

    Returns
    -------
    QuadMesh
        What was drawn.
    """
    times = cell_edges(axes[-1].values)
    frequencies = cell_edges(axes[-2].values, log=True)
    mesh = ax.pcolormesh(times, frequencies, image, rasterized=True, **colours)
    ax.set_yscale("log")
    frequency_axis(ax.yaxis, frequencies[0], frequencies[-1])
    ax.set_ylim(frequencies[0], frequencies[-1])
    label_axes(ax, f"time ({axes[-1].unit})", f"frequency ({axes[-2].unit})")
    return mesh


def label_axes(ax: Any, x: str, y: str) -> None:
    """Label both axes, in the sizes that small panels take.

    Parameters
    ----------
    ax : Axes
        Whose.
    x, y : str
        The labels.
    """
    ax.set_xlabel(x, fontsize=SIZES["labelsize"])
    ax.set_ylabel(y, fontsize=SIZES["labelsize"])
    ax.tick_params(labelsize=SIZES["ticksize"])
