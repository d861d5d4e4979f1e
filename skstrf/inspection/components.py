"""Components that are outer products of one profile for each axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.inspection._drawing import (
    BLUE,
    TITLE,
    check_axes,
    finish_chart,
    new_figure,
    panel_grid,
)
from skstrf.utils.validation import check_is_fitted

__all__ = ["ComponentsDisplay"]

# Rows drawn unless `n_components` says otherwise.
_ROWS = 6


class ComponentsDisplay:
    """Profiles of components along every axis: one row of panels for each component.

    Parameters
    ----------
    components : sequence of array-like of shape (n_components, I_n)
        Profiles along each axis, one row for each component.
    mode_names : sequence of str or None, default=None
        Names of the axes. With None, they are numbered from 1.
    n_components : int, default=6
        Number of components to draw, the first ones.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        Panels, row by row.
    lines_ : list of Line2D
        Profile in each panel.

    See Also
    --------
    ComponentsDisplay.from_estimator : Plot a fitted TensorPLS or NonNegativeCP.

    Examples
    --------
    >>> from skstrf.inspection import ComponentsDisplay
    >>> display = ComponentsDisplay([[[1, 0, 0]], [[0.6, 0.8]]], mode_names=["scale", "rate"])
    >>> [ax.get_title() for ax in display.plot().axes_]
    ['1: scale', '1: rate']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, components, *, mode_names=None, n_components=_ROWS):
        self.components = components
        self.mode_names = mode_names
        self.n_components = n_components

    @classmethod
    def from_estimator(
        cls, estimator, *, mode_names=None, n_components=_ROWS, ax=None
    ) -> ComponentsDisplay:
        """Plot the components of a fitted estimator.

        Parameters
        ----------
        estimator : TensorPLS or NonNegativeCP
            Fitted estimator.
        mode_names : sequence of str or None, default=None
            Names of the axes, such as the names of a transformer's ``axes_``.
        n_components : int, default=6
            Number of components to draw, the first ones.
        ax : array-like of Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        ComponentsDisplay
            The plotted display.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf import NonNegativeCP
        >>> from skstrf.inspection import ComponentsDisplay
        >>> cp = NonNegativeCP(2, random_state=0).fit(np.random.default_rng(0).random((9, 3, 4)))
        >>> display = ComponentsDisplay.from_estimator(cp, mode_names=["scale", "rate"])
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        check_is_fitted(estimator)
        display = cls(estimator.components_, mode_names=mode_names, n_components=n_components)
        return display.plot(ax=ax)

    def plot(self, ax=None) -> ComponentsDisplay:
        """Plot one panel for each component and axis.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on, row by row. With None, a figure is created.

        Returns
        -------
        ComponentsDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the axes have different numbers of components, or the names do not match.
        """
        profiles, names = _check(self.components, self.mode_names)
        rows, columns = min(int(self.n_components), len(profiles[0])), len(profiles)
        if rows < 1:
            raise ValueError(f"n_components={self.n_components}: give at least 1.")
        if ax is None:
            figure = new_figure((2.4 * columns, 1.2 * rows + 0.5))
            ax = panel_grid(figure, rows * columns, columns)
        content = "one for each component and axis"
        self.figure_, self.axes_ = check_axes(ax, rows * columns, content)
        self.lines_ = []
        for place, panel in enumerate(self.axes_):
            row, column = divmod(place, columns)
            profile = profiles[column][row]
            marker = "." if profile.size <= 20 else None
            (line,) = panel.plot(profile, color=BLUE, linewidth=1.3, marker=marker)
            self.lines_.append(line)
            panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
            panel.set_title(f"{row + 1}: {names[column]}", fontsize=TITLE)
            finish_chart(panel, "index" if row == rows - 1 else "")
        return self


def _check(components: Any, names: Any) -> tuple[list[np.ndarray], list[str]]:
    profiles = [np.asarray(rows, dtype=float) for rows in components]
    if names is None:
        names = [f"axis {number}" for number in range(1, len(profiles) + 1)]
    if not profiles or len(profiles) != len(names):
        raise ValueError(
            f"components and mode_names must have one entry for each axis, got {len(profiles)} "
            f"and {len(names)}."
        )
    if any(p.ndim != 2 or len(p) != len(profiles[0]) for p in profiles):
        raise ValueError("components must hold the same number of rows for every axis.")
    return profiles, [str(name) for name in names]
