"""MPCADisplay: what multilinear PCA keeps of every mode."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, ORANGE, new_figure, panels
from skstrf.utils.validation import check_is_fitted

__all__ = ["MPCADisplay"]

_COLUMNS = 4


class MPCADisplay:
    """Cumulative explained variance of every mode, and where it is cut.

    Parameters
    ----------
    eigenvalues : sequence of array-like of shape (I_n,)
        For every mode those of its total scatter matrix, descending.
    ranks : sequence of int
        How many components of each mode are kept.
    mode_names : sequence of str or None, default=None
        What the modes are called; None numbers them from 1.
    share : float or None, default=None
        The share of each mode's variation that was asked for; None draws no line for it.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes
        One for each mode.
    lines_ : list of Line2D
        The cumulative share of every mode, from 0 components on.
    cuts_ : list of Line2D
        The point of every curve that is kept.

    See Also
    --------
    MPCADisplay.from_estimator : From a fitted MPCA.

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
    def from_estimator(cls, estimator, mode_names=None, *, ax=None) -> MPCADisplay:
        """Draw a fitted MPCA.

        Parameters
        ----------
        estimator : MPCA
            Fitted.
        mode_names : sequence of str or None, default=None
            What the modes are called, such as the names of a transformer's ``axes_``.
        ax : array-like of Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        MPCADisplay
            Drawn.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf import MPCA
        >>> from skstrf.inspection import MPCADisplay
        >>> X = np.random.default_rng(0).standard_normal((20, 4, 5))
        >>> display = MPCADisplay.from_estimator(MPCA((2, 3)).fit(X), ["scale", "rate"])
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        check_is_fitted(estimator)
        ranks = [len(components) for components in estimator.components_]
        wanted = estimator.n_components
        per_mode = isinstance(wanted, Real) and not isinstance(wanted, Integral)
        share = float(wanted) if per_mode and estimator.criterion == "per-mode" else None
        display = cls(estimator.mode_eigenvalues_, ranks, mode_names=mode_names, share=share)
        return display.plot(ax=ax)

    def plot(self, ax=None) -> MPCADisplay:
        """Draw one panel a mode.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            One for each mode; None makes a figure.

        Returns
        -------
        MPCADisplay
            This object.

        Raises
        ------
        ValueError
            When eigenvalues, ranks and names do not fit each other.
        """
        shares, names = _check(self.eigenvalues, self.ranks, self.mode_names)
        if ax is None:
            ax = _layout(len(shares))
        self.figure_, self.axes_ = panels(ax, len(shares), "one for each mode")
        self.lines_, self.cuts_ = [], []
        for axis, share, rank, name in zip(self.axes_, shares, self.ranks, names, strict=True):
            line, cut = _draw_mode(axis, share, rank)
            self.lines_.append(line)
            self.cuts_.append(cut)
            kept = f"{rank} of {share.size - 1} keep {100 * share[rank]:.1f} %"
            axis.set_title(f"{name}: {kept}", fontsize=9)
            if self.share is not None:
                axis.axhline(100 * self.share, color="0.45", linewidth=0.9, linestyle=":")
        self._label()
        return self

    def _label(self) -> None:
        for axis in self.axes_:
            axis.set_xlabel("components", fontsize=9)
            axis.set_ylabel("cumulative explained\nvariance (%)", fontsize=9)
            if axis.get_subplotspec() is not None:
                axis.label_outer()
                axis.set_xlabel("components", fontsize=9)
        if self.share is not None:
            self.axes_[0].annotate(
                f"{100 * self.share:g} % asked for",
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


def _check(eigenvalues: Any, ranks: Any, names: Any) -> tuple[list[np.ndarray], list[str]]:
    """Cumulative shares from 0 on, and a name for each mode."""
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
        # Data that do not vary are explained by any component.
        kept = values.cumsum() / total if total > 0 else np.ones(values.size)
        shares.append(np.concatenate([[0.0], kept]))
    return shares, [str(name) for name in names]


def _layout(n_modes: int) -> np.ndarray:
    columns = min(_COLUMNS, n_modes)
    rows = -(-n_modes // columns)
    figure = new_figure((max(3.2, 2.4 * columns), 2.5 * rows))
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for unused in axes[n_modes:]:
        unused.remove()
    return axes[:n_modes]


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
    ax.tick_params(labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return line, cut
