"""Panels, cells and ticks that the displays share; matplotlib loads when something is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["BLUE", "ORANGE", "cell_edges", "frequency_axis", "new_figure", "panels", "tick_cells"]

# Two of the colours of Okabe and Ito, told apart with every common colour blindness.
BLUE = "#0072B2"
ORANGE = "#D55E00"


def new_figure(size: tuple[float, float]) -> Any:
    """Open an empty figure whose parts make room for each other.

    Parameters
    ----------
    size : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Known to pyplot, so that a notebook shows it.

    Examples
    --------
    >>> from skstrf.inspection.panels import new_figure
    >>> figure = new_figure((4, 3))
    >>> import matplotlib.pyplot as plt
    >>> plt.close(figure)
    """
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def panels(ax: Any, n: int, content: str) -> tuple[Any, np.ndarray]:
    """Check the axes a user gave to draw in.

    Parameters
    ----------
    ax : Axes or array-like of Axes
        What was given.
    n : int
        How many are needed.
    content : str
        What they are needed for, in the words of the error.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The one they are in.
    axes : ndarray of shape (n,)
        Those axes.

    Raises
    ------
    ValueError
        When there are more or fewer.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skstrf.inspection.panels import panels
    >>> figure, axes = panels(Figure().subplots(1, 2), 2, "loss and accuracy")
    >>> axes.shape
    (2,)
    """
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if axes.size != n:
        raise ValueError(
            f"ax must hold {n} axes ({content}), got {axes.size}. "
            "Without ax a figure of the right shape is made."
        )
    return axes[0].figure, axes


def cell_edges(values: Any, *, log: bool = False) -> np.ndarray:
    """Borders of the cells around a grid of centres.

    Parameters
    ----------
    values : array-like of shape (n,)
        Centres, ascending.
    log : bool, default=False
        Put borders at geometric instead of arithmetic means.

    Returns
    -------
    ndarray of shape (n + 1,)
        Ascending; half a step beyond the first and last centre.

    Examples
    --------
    >>> from skstrf.inspection.panels import cell_edges
    >>> cell_edges([1, 2, 3])
    array([0.5, 1.5, 2.5, 3.5])
    >>> cell_edges([4, 16], log=True)
    array([ 2.,  8., 32.])
    """
    centres = np.log2(values) if log else np.asarray(values, dtype=float)
    if centres.size == 1:
        # The step is unknown: one channel is a semitone wide, one frame starts at 0.
        half = 1 / 24 if log else abs(centres[0]) or 0.5
        edges = np.array([centres[0] - half, centres[0] + half])
    else:
        middle = (centres[1:] + centres[:-1]) / 2
        edges = np.concatenate(
            [[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]]
        )
    return 2.0**edges if log else edges


def frequency_axis(axis: Any, lowest: float, highest: float) -> None:
    """Give an axis on a logarithmic scale ticks at octaves, in plain Hz.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        Such as ``ax.yaxis``.
    lowest, highest : float
        What it spans, in Hz.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skstrf.inspection.panels import frequency_axis
    >>> ax = Figure().subplots()
    >>> ax.set_yscale("log")
    >>> frequency_axis(ax.yaxis, 180, 7200)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['250', '500', '1000', '2000', '4000']
    """
    ticks = 125 * 2.0 ** np.arange(-3, 8)
    ticks = ticks[(ticks >= lowest) & (ticks <= highest)]
    if ticks.size < 2:
        ticks = np.array([lowest, highest])
    axis.set_ticks(ticks, [f"{tick:.4g}" if tick < 1e4 else f"{tick:.0f}" for tick in ticks])
    axis.set_ticks([], minor=True)


def tick_cells(axis: Any, values: np.ndarray, *, most: int = 12, mirrored: bool = False) -> None:
    """Label cells 0, 1, ... of an axis with their values, leaving some out where they crowd.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        Such as ``ax.xaxis``.
    values : ndarray of shape (n,)
        What the cells stand for.
    most : int, default=12
        Labels at most, about.
    mirrored : bool, default=False
        Count from both ends, so that ``-r`` is labelled where ``r`` is.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skstrf.inspection.panels import tick_cells
    >>> ax = Figure().subplots()
    >>> tick_cells(ax.xaxis, np.array([-4.0, -2, 2, 4]), most=2, mirrored=True)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['-4', '4']
    """
    n = len(values)
    step = -(-n // most)
    if mirrored:
        half = np.arange(0, (n + 1) // 2, step)
        chosen = np.unique(np.concatenate([half, n - 1 - half]))
    else:
        chosen = np.arange(0, n, step)
    axis.set_ticks(chosen, [f"{values[i]:.3g}" for i in chosen])
