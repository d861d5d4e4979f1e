"""Panels, cells and ticks that the displays share; matplotlib loads when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skstrf.utils.arrays import to_numpy
from skstrf.utils.optional import import_optional
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "BLUE",
    "Colors",
    "ORANGE",
    "SIZES",
    "cell_edges",
    "channel_name",
    "checked_tensor",
    "chosen_channels",
    "draw_image",
    "fitted_on",
    "frequency_axis",
    "label_axes",
    "name_slices",
    "new_figure",
    "one_sound",
    "panels",
    "quantity_of",
    "tick_cells",
]


# Two of the colors of Okabe and Ito, told apart with every common color blindness.
BLUE = "#0072B2"
ORANGE = "#D55E00"


def new_figure(size: tuple[float, float]) -> Any:
    """Open an empty figure whose parts make room for each other."""
    plt = import_optional("matplotlib.pyplot", extra="plot")
    return plt.figure(figsize=size, layout="constrained")


def panels(ax: Any, n: int, content: str) -> tuple[Any, np.ndarray]:
    """Check the axes a user gave to draw in."""
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if axes.size != n:
        raise ValueError(
            f"ax must hold {n} axes ({content}), got {axes.size}. "
            "Without ax a figure of the right shape is made."
        )
    return axes[0].figure, axes


def cell_edges(values: Any, *, log: bool = False) -> np.ndarray:
    """Borders of the cells around a grid of centers."""
    centers = np.log2(values) if log else np.asarray(values, dtype=float)
    if centers.size == 1:
        # The step is unknown: one channel is a semitone wide, one frame starts at 0.
        half = 1 / 24 if log else abs(centers[0]) or 0.5
        edges = np.array([centers[0] - half, centers[0] + half])
    else:
        middle = (centers[1:] + centers[:-1]) / 2
        edges = np.concatenate(
            [[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]]
        )
    return 2.0**edges if log else edges


def frequency_axis(axis: Any, lowest: float, highest: float) -> None:
    """Give an axis on a logarithmic scale ticks at octaves, in plain Hz."""
    ticks = 125 * 2.0 ** np.arange(-3, 8)
    ticks = ticks[(ticks >= lowest) & (ticks <= highest)]
    if ticks.size < 2:
        ticks = np.array([lowest, highest])
    axis.set_ticks(ticks, [f"{tick:.4g}" if tick < 1e4 else f"{tick:.0f}" for tick in ticks])
    axis.set_ticks([], minor=True)


def tick_cells(axis: Any, values: np.ndarray, *, most: int = 12, mirrored: bool = False) -> None:
    """Label cells 0, 1, ... of an axis with their values, leaving some out where they crowd."""
    n = len(values)
    step = -(-n // most)
    if mirrored:
        half = np.arange(0, (n + 1) // 2, step)
        chosen = np.unique(np.concatenate([half, n - 1 - half]))
    else:
        chosen = np.arange(0, n, step)
    axis.set_ticks(chosen, [f"{values[i]:.3g}" for i in chosen])


SIZES = {"titlesize": 9, "labelsize": 8, "ticksize": 7}
_NAMES = ("scale", "rate", "frequency", "time")


class Colors:
    """Colors of the images of one tensor."""

    def __init__(self, tensor: np.ndarray, cmap: Any):
        self.largest = float(np.abs(tensor).max())
        self.signed = bool((tensor < 0).any())
        self.cmap = cmap or ("RdBu_r" if self.signed else "magma")

    def of(self, *images: np.ndarray) -> dict[str, Any]:
        """Choose a color map and range, one for all of the images."""
        low, high = min(map(np.min, images)), max(map(np.max, images))
        if self.signed:
            # Means that cancel leave rounding, which is not to fill the range of colors.
            high = max(-low, high, 1e-4 * self.largest)
            low = -high
        return {"cmap": self.cmap, "vmin": low, "vmax": high}


def one_sound(x: Any) -> np.ndarray:
    """Check that there is one sound."""
    sound = np.atleast_2d(to_numpy(x))
    if sound.ndim != 2 or len(sound) != 1:
        raise ValueError(
            f"x must be one mono sound of shape (n_times,), got shape {np.shape(x)}. "
            "Draw several sounds one by one."
        )
    return sound


def fitted_on(estimator: Any, sound: np.ndarray) -> Any:
    """Give the transformer itself, or a fitted clone where it is not fitted."""
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
    """Say what the values of a transformer's output are."""
    compression = getattr(estimator, "compression", None)
    if compression == "log":
        return f"log(1 + response / {estimator.compression_floor:g})"
    return "cube root of response" if compression == "cbrt" else "response"


def checked_tensor(tensor: Any, axes: Sequence[Any]) -> np.ndarray:
    """Give a tensor as an array of real numbers that fits the axes."""
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
    """Find the channels to draw."""
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
    """Name a channel for readers."""
    direction = "upward" if rate < 0 else "downward"
    return f"{scale:.3g} cyc/oct, {abs(rate):.3g} Hz {direction}"


def name_slices(panels: Sequence[Any], chosen: Sequence[tuple], axes: Sequence[Any]) -> None:
    """Title panels with the channels in them; tick labels stay at the outer ones only."""
    for ax, (scale, rate) in zip(panels, chosen, strict=True):
        name = channel_name(axes[0].values[scale], axes[1].values[rate])
        ax.set_title(name, fontsize=SIZES["labelsize"])
        ax.label_outer()


def draw_image(ax: Any, image: np.ndarray, axes: Sequence[Any], colors: dict) -> Any:
    """Draw frequency by time."""
    times = cell_edges(axes[-1].values)
    frequencies = cell_edges(axes[-2].values, log=True)
    mesh = ax.pcolormesh(times, frequencies, image, rasterized=True, **colors)
    ax.set_yscale("log")
    frequency_axis(ax.yaxis, frequencies[0], frequencies[-1])
    ax.set_ylim(frequencies[0], frequencies[-1])
    label_axes(ax, f"time ({axes[-1].unit})", f"frequency ({axes[-2].unit})")
    return mesh


def label_axes(ax: Any, x: str, y: str) -> None:
    """Label both axes, in the sizes that small panels take."""
    ax.set_xlabel(x, fontsize=SIZES["labelsize"])
    ax.set_ylabel(y, fontsize=SIZES["labelsize"])
    ax.tick_params(labelsize=SIZES["ticksize"])
