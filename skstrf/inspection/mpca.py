"""Cumulative explained variance of multilinear PCA."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from skstrf.inspection._drawing import (
    BLUE,
    ORANGE,
    TITLE,
    check_axes,
    finish_chart,
    new_figure,
    panel_grid,
)
from skstrf.utils.validation import check_is_fitted

__all__ = ["MPCADisplay"]

_COLUMNS = 4


class MPCADisplay:
    """Cumulative explained variance of every mode, with the number of components kept.

    Parameters
    ----------
    eigenvalues : sequence of array-like of shape (I_n,)
        Eigenvalues of the total scatter matrix of each mode, in descending order.
    ranks : sequence of int
        Number of components kept of each mode.
    mode_names : sequence of str or None, default=None
        Names of the modes. With None, they are numbered from 1.
    share : float or None, default=None
        Requested share of the variation of each mode, drawn as a line. With None, there is no
        line.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        One for each mode.
    lines_ : list of Line2D
        Cumulative share of each mode, from 0 components on.
    cuts_ : list of Line2D
        Point of each curve at the number of components kept.

    See Also
    --------
    MPCADisplay.from_estimator : Plot a fitted MPCA.

    References
    ----------
    .. [1] H. Lu, K. N. Plataniotis and A. N. Venetsanopoulos, "MPCA: Multilinear principal
       component analysis of tensor objects", IEEE Trans. Neural Networks 19(1), 18-39, 2008,
       section III.F.

    Examples
    --------
    >>> from skstrf.inspection import MPCADisplay
    >>> display = MPCADisplay([[6, 3, 1], [9, 1]], (2, 1), mode_names=["scale", "rate"]).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['scale: 2 of 3 keep 90.0 %', 'rate: 1 of 2 keep 90.0 %']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, eigenvalues, ranks, *, mode_names=None, share=None):
        self.eigenvalues = eigenvalues
        self.ranks = ranks
        self.mode_names = mode_names
        self.share = share

    @classmethod
    def from_estimator(cls, estimator, *, mode_names=None, ax=None) -> MPCADisplay:
        """Plot a fitted MPCA.

        Parameters
        ----------
        estimator : MPCA
            Fitted estimator.
        mode_names : sequence of str or None, default=None
            Names of the modes, such as the names of a transformer's ``axes_``.
        ax : array-like of Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        MPCADisplay
            The plotted display.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf import MPCA
        >>> from skstrf.inspection import MPCADisplay
        >>> X = np.random.default_rng(0).standard_normal((20, 4, 5))
        >>> mpca = MPCA(n_components=(2, 3)).fit(X)
        >>> display = MPCADisplay.from_estimator(mpca, mode_names=["scale", "rate"])
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        check_is_fitted(estimator)
        ranks = [len(components) for components in estimator.components_]
        wanted = estimator.n_components
        is_share = isinstance(wanted, Real) and not isinstance(wanted, Integral)
        share = float(wanted) if is_share and estimator.criterion == "per-mode" else None
        display = cls(estimator.mode_eigenvalues_, ranks, mode_names=mode_names, share=share)
        return display.plot(ax=ax)

    def plot(self, ax=None) -> MPCADisplay:
        """Plot one panel for each mode.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on, one for each mode. With None, a figure is created.

        Returns
        -------
        MPCADisplay
            The display itself.

        Raises
        ------
        ValueError
            If the numbers of eigenvalues, ranks and names do not match, or eigenvalues are
            negative or not finite.
        """
        shares, names = _check(self.eigenvalues, self.ranks, self.mode_names)
        n = len(shares)
        if ax is None:
            figure = new_figure((max(3.2, 2.4 * min(_COLUMNS, n)), 2.5 * -(-n // _COLUMNS)))
            ax = panel_grid(figure, n, _COLUMNS, sharey=True)
        self.figure_, self.axes_ = check_axes(ax, n, "one for each mode")
        self.lines_, self.cuts_ = [], []
        for axis, share, rank, name in zip(self.axes_, shares, self.ranks, names, strict=True):
            line, cut = _draw_mode(axis, share, rank)
            self.lines_.append(line)
            self.cuts_.append(cut)
            kept = f"{rank} of {share.size - 1} keep {100 * share[rank]:.1f} %"
            axis.set_title(f"{name}: {kept}", fontsize=TITLE)
            if self.share is not None:
                axis.axhline(100 * self.share, color="0.45", linewidth=0.9, linestyle=":")
        if self.share is not None:
            self.axes_[0].annotate(
                f"{100 * self.share:g} % requested",
                (1, 100 * self.share),
                xycoords=("axes fraction", "data"),
                xytext=(-3, -3),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=7,
                color="0.35",
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5},
            )
        return self


def _check(eigenvalues: Any, ranks: Any, names: Any) -> tuple[list[np.ndarray], list[str]]:
    """Return the cumulative shares of each mode, from 0 components on, and its name."""
    spectra = [np.asarray(values, dtype=float) for values in eigenvalues]
    if names is None:
        names = [f"mode {number}" for number in range(1, len(spectra) + 1)]
    if not spectra or not len(spectra) == len(ranks) == len(names):
        raise ValueError(
            f"eigenvalues, ranks and mode_names must have one entry for each mode, got "
            f"{len(spectra)}, {len(ranks)} and {len(names)}."
        )
    shares = []
    for values, rank, name in zip(spectra, ranks, names, strict=True):
        if values.ndim != 1 or not (np.isfinite(values).all() and np.all(values >= 0)):
            raise ValueError(f"eigenvalues of {name} must be finite, not negative and 1-D.")
        if not 1 <= rank <= values.size:
            raise ValueError(f"ranks: {name} keeps {rank} of {values.size} components.")
        total = values.sum()
        # Data without variation are explained by any component.
        kept = values.cumsum() / total if total > 0 else np.ones(values.size)
        shares.append(np.concatenate([[0.0], kept]))
    return shares, [str(name) for name in names]


def _draw_mode(ax: Any, share: np.ndarray, rank: int) -> tuple[Any, Any]:
    from matplotlib.ticker import MaxNLocator

    percent = 100 * share
    marker = "." if share.size <= 20 else None
    (line,) = ax.plot(np.arange(share.size), percent, color=BLUE, linewidth=1.4, marker=marker)
    ax.fill_between(np.arange(rank + 1), percent[: rank + 1], color=BLUE, alpha=0.12, linewidth=0)
    ax.vlines(rank, 0, percent[rank], color=ORANGE, linewidth=1.2, linestyle="--")
    (cut,) = ax.plot([rank], [percent[rank]], "o", color=ORANGE, markersize=6)
    ax.set_xlim(0, 1.02 * (share.size - 1))
    ax.set_ylim(0, 104)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    finish_chart(ax, "", "cumulative explained\nvariance (%)")
    if ax.get_subplotspec() is not None:
        ax.label_outer()
    ax.set_xlabel("components", fontsize=9)  # of every panel, for the scales differ
    return line, cut
