"""Helper functions that several displays share; matplotlib is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skstrf.auditory import center_frequencies
from skstrf.auditory.cochlea import frames_per_second
from skstrf.transforms.base import Axis
from skstrf.utils.arrays import to_numpy
from skstrf.utils.optional import import_optional
from skstrf.utils.validation import check_is_fitted

# Two colors of Okabe and Ito, which differ under every common color vision deficiency.
BLUE = "#0072B2"
ORANGE = "#D55E00"
# Font sizes of image panels. The panels of charts are larger, and so is their text.
TITLE, LABEL, TICKS = 9, 8, 7
DECIBEL_RANGE = 60.0  # of the spectrograms
RATE_LABEL = "← upward    rate (Hz)    downward →"
SCALE_LABEL = "scale (cycles/octave)"

_TENSOR_AXES = ("scale", "rate", "frequency", "time")
_CHANNEL_COLUMNS = 4


# Figures and axes


def new_figure(size: tuple[float, float], title: str | None = None) -> Any:
    """Create an empty figure with constrained layout and, if given, a title."""
    plt = import_optional("matplotlib.pyplot", extra="plot")
    figure = plt.figure(figsize=size, layout="constrained")
    if title:
        # File names may hold dollar signs, which are not formulas.
        figure.suptitle(title, fontsize=10, parse_math=False)
    return figure


def panel_grid(parent: Any, n: int, n_columns: int, **settings: Any) -> np.ndarray:
    """Add `n` axes to a figure, in rows of at most `n_columns`."""
    columns = min(n_columns, n)
    grid = parent.subplots(-(-n // columns), columns, squeeze=False, **settings).ravel()
    for unused in grid[n:]:
        unused.remove()
    return grid[:n]


def panels_above_channels(
    n_channels: int, *, width: float, height: float, title: str | None, **above: Any
) -> np.ndarray:
    """Create a figure with some panels above and the channels in rows of four below."""
    rows = -(-n_channels // _CHANNEL_COLUMNS)
    if not rows:
        return new_figure((width, height), title).subplots(1, **above)
    heights = (height, 1.35 * rows + 0.6)
    figure = new_figure((width, sum(heights)), title)
    figure.get_layout_engine().set(w_pad=0.07)
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    channels = panel_grid(bottom, n_channels, _CHANNEL_COLUMNS, sharex=True, sharey=True)
    return np.concatenate([top.subplots(1, **above), channels])


def check_axes(ax: Any, n: int, content: str) -> tuple[Any, np.ndarray]:
    """Return the figure of `n` axes and the axes as a flat array."""
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if axes.size != n:
        raise ValueError(
            f"ax must hold {n} axes ({content}), got {axes.size}. "
            "With ax=None, a suitable figure is created."
        )
    # The figure of axes may be a subfigure, whose own figure is the whole one.
    return axes[0].figure.figure, axes


# Charts


def finish_chart(ax: Any, x: str, y: str = "", *, grid: str = "") -> None:
    """Label the axes of a chart, remove the frame where no axis is, and draw grid lines below."""
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis=grid, color="0.9", linewidth=0.8)


def legend_above(ax: Any, n_columns: int) -> None:
    """Draw the legend above the panel: inside, it could hide data."""
    ax.legend(
        fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=n_columns, frameon=False
    )


def check_rows(rows: Any, name: str, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    """Check that there is a row to draw, and that all rows have the keys."""
    found = list(rows)
    if not found:
        raise ValueError(f"{name} is empty: there is nothing to draw.")
    for row in found:
        if missing := set(keys) - set(row):
            raise ValueError(f"{name} must have {', '.join(keys)}: no {missing} in {row}.")
    return found


# Images


def draw_image(ax: Any, image: np.ndarray, axes: Sequence[Axis], colors: dict) -> Any:
    """Draw an image of frequency by time, the last two of `axes`."""
    times = cell_edges(axes[-1].values)
    frequencies = cell_edges(axes[-2].values, log=True)
    mesh = ax.pcolormesh(times, frequencies, image, rasterized=True, **colors)
    ax.set_yscale("log")
    _tick_frequencies(ax.yaxis, frequencies[0], frequencies[-1])
    ax.set_ylim(frequencies[0], frequencies[-1])
    label_image(ax, f"time ({axes[-1].unit})", f"frequency ({axes[-2].unit})")
    return mesh


def draw_scale_rate_map(ax: Any, image: np.ndarray, scales: Any, rates: Any, **colors: Any) -> Any:
    """Draw a map of scale by signed rate in which all channels have cells of the same size."""
    edges = [np.arange(n + 1) - 0.5 for n in image.shape]
    mesh = ax.pcolormesh(edges[1], edges[0], image, rasterized=True, **colors)
    _tick_cells(ax.yaxis, scales)
    _tick_cells(ax.xaxis, rates, mirrored=True)
    n_upward = np.sum(np.asarray(rates) < 0)
    if 0 < n_upward < len(rates):
        ax.axvline(n_upward - 0.5, color="white", linewidth=1.5)
    label_image(ax, RATE_LABEL, SCALE_LABEL)
    return mesh


def label_image(ax: Any, x: str, y: str) -> None:
    """Label the axes of an image panel."""
    ax.set_xlabel(x, fontsize=LABEL)
    ax.set_ylabel(y, fontsize=LABEL)
    ax.tick_params(labelsize=TICKS)


def add_colorbar(figure: Any, image: Any, ax: Any, label: str, **settings: Any) -> Any:
    """Add a labeled color bar beside one or several axes."""
    bar = figure.colorbar(image, ax=ax, pad=0.02, **({"aspect": 30} | settings))
    bar.set_label(label, fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICKS)
    return bar


def color_limits(tensor: np.ndarray, cmap: Any, *images: np.ndarray) -> dict[str, Any]:
    """Choose the color map and range that images of one tensor share."""
    signed = bool((tensor < 0).any())
    low, high = min(map(np.min, images)), max(map(np.max, images))
    if signed:
        # Means that cancel leave rounding errors, which must not fill the range of colors.
        high = max(-low, high, 1e-4 * float(np.abs(tensor).max()))
        low = -high
    return {"cmap": cmap or ("RdBu_r" if signed else "magma"), "vmin": low, "vmax": high}


def cell_edges(values: Any, *, log: bool = False) -> np.ndarray:
    """Compute the borders of the cells around centers on a linear or logarithmic axis."""
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


def _tick_frequencies(axis: Any, lowest: float, highest: float) -> None:
    """Set ticks at octaves, labeled in plain Hz, on a logarithmic axis."""
    ticks = 125 * 2.0 ** np.arange(-3, 8)
    ticks = ticks[(ticks >= lowest) & (ticks <= highest)]
    if ticks.size < 2:
        ticks = np.array([lowest, highest])
    axis.set_ticks(ticks, [f"{tick:.4g}" if tick < 1e4 else f"{tick:.0f}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _tick_cells(axis: Any, values: np.ndarray, *, mirrored: bool = False) -> None:
    """Label cells 0, 1, ... with their values, about twelve of them where there are more."""
    n = len(values)
    step = -(-n // 12)
    if mirrored:
        half = np.arange(0, (n + 1) // 2, step)
        chosen = np.unique(np.concatenate([half, n - 1 - half]))
    else:
        chosen = np.arange(0, n, step)
    axis.set_ticks(chosen, [f"{values[i]:.3g}" for i in chosen])


# Sounds, spectrograms and tensors


def check_sound(x: Any) -> np.ndarray:
    """Return one mono sound as an array of shape (1, n_times)."""
    sound = np.atleast_2d(to_numpy(x))
    if sound.ndim != 2 or len(sound) != 1:
        raise ValueError(
            f"x must be one mono sound of shape (n_times,), got shape {np.shape(x)}. "
            "Draw several sounds one by one."
        )
    return sound


def fitted_for(estimator: Any, sound: np.ndarray) -> Any:
    """Return the transformer itself or, if it is not fitted, a clone fitted on the sound."""
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return clone(estimator).fit(sound)
    if sound.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"x has {sound.shape[1]} samples, but the {type(estimator).__name__} was fitted on "
            f"sounds of {estimator.n_features_in_}. Pass a sound of that length, or "
            "sklearn.base.clone(estimator), which is then fitted on x."
        )
    return estimator


def quantity_of(estimator: Any) -> str:
    """Name the quantity that a transformer's output holds."""
    compression = getattr(estimator, "compression", None)
    if compression == "log":
        return f"log(1 + response / {estimator.compression_floor:g})"
    return "cube root of response" if compression == "cbrt" else "response"


def spectrogram_axes(n_frames: int, hop_duration: float = 8.0) -> tuple[Axis, Axis]:
    """Return the frequency and time axes of an auditory spectrogram."""
    times = (np.arange(n_frames) + 0.5) / frames_per_second(hop_duration)
    return Axis("frequency", "Hz", center_frequencies()), Axis("time", "s", times)


def check_tensor(tensor: Any, axes: Sequence[Axis]) -> np.ndarray:
    """Return a tensor as an array of finite real numbers that matches its axes."""
    array = to_numpy(tensor)
    if np.iscomplexobj(array):
        array = np.abs(array)
    names = tuple(axis.name for axis in axes)
    if names != _TENSOR_AXES:
        raise ValueError(f"axes must be {', '.join(_TENSOR_AXES)}, in this order; got {names}.")
    shape = tuple(len(axis.values) for axis in axes)
    if array.shape != shape:
        raise ValueError(
            f"tensor must be that of one sound, with the shape {shape} of axes; "
            f"got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("tensor contains NaN or infinite values.")
    return array


# Channels


def select_channels(channels: Any, axes: Sequence[Axis]) -> list[tuple[int, int]]:
    """Return (scale, rate) indices of the channels to draw; None selects up to twelve."""
    scales, rates = (np.asarray(axis.values, dtype=float) for axis in axes[:2])
    if channels is None:
        positive = _spread(np.flatnonzero(rates > 0), 2)
        chosen = [*_spread(np.flatnonzero(rates < 0), 2), *positive]
        # Low scales are at the bottom, as in the map.
        return [(s, r) for s in _spread(np.arange(scales.size), 3)[::-1] for r in chosen]
    pairs = list(channels)
    if not pairs:
        raise ValueError("channels must name at least one (scale, rate), or be None.")
    return list(
        zip(
            indices_of([scale for scale, _ in pairs], scales, "scale"),
            indices_of([rate for _, rate in pairs], rates, "rate"),
            strict=True,
        )
    )


def indices_of(wanted: Any, known: np.ndarray, name: str) -> list[int]:
    """Return the indices of values in `known`, up to 1 % for rounded powers of two."""
    indices = []
    for value in np.atleast_1d(np.asarray(wanted, dtype=float)):
        index = int(np.abs(known - value).argmin())
        if not np.isclose(known[index], value, rtol=0.01, atol=0):
            there = ", ".join(f"{v:.4g}" for v in known)
            raise ValueError(f"channels: there is no {name} {value:g}, there are {there}.")
        indices.append(index)
    if not indices:
        raise ValueError(f"channels must name at least one {name}.")
    return indices


def channel_name(scale: float, rate: float) -> str:
    """Name a channel for a title."""
    return f"{scale:.3g} cyc/oct, {abs(rate):.3g} Hz {direction(rate)}"


def direction(rate: float) -> str:
    """Name the direction in which the modulation of a signed rate moves."""
    return "upward" if rate < 0 else "downward"


def name_channels(panels: Sequence[Any], chosen: Sequence[tuple], axes: Sequence[Axis]) -> None:
    """Title panels with their channels, and keep tick labels at the outer panels only."""
    for ax, (scale, rate) in zip(panels, chosen, strict=True):
        name = channel_name(axes[0].values[scale], axes[1].values[rate])
        ax.set_title(name, fontsize=LABEL)
        ax.label_outer()


def _spread(indices: np.ndarray, n: int) -> list[int]:
    """Choose about `n` indices, evenly spaced and away from both ends where there are enough."""
    if indices.size <= n:
        return indices.tolist()
    places = np.linspace(0, indices.size - 1, n + 2)[1:-1]
    return sorted({int(indices[round(place)]) for place in places})
