"""ComparisonDisplay: accuracy of several ways, side by side."""

from __future__ import annotations

from typing import Any

from skstrf.inspection._drawing import BLUE, new_figure, panels

__all__ = ["ComparisonDisplay"]


class ComparisonDisplay:
    """Accuracy of several ways with its spread, a line for each.

    Parameters
    ----------
    rows : sequence of mapping
        Each with ``name`` and ``accuracy``, which has ``mean`` and ``std`` (or None).
    chance : float or None, default=None
        Accuracy of guessing the commonest class.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    ax_ : matplotlib.axes.Axes
        The panel.
    points_ : ErrorbarContainer
        The means, with bars of one standard deviation.
    chance_ : Line2D or None
        The level of chance.

    See Also
    --------
    skstrf.experiments.run_comparison : Measures what is drawn.

    Examples
    --------
    >>> from skstrf.inspection import ComparisonDisplay
    >>> rows = [
    ...     {"name": "all", "accuracy": {"mean": 0.9, "std": 0.02}},
    ...     {"name": "MPCA", "accuracy": {"mean": 0.92, "std": None}},
    ... ]
    >>> display = ComparisonDisplay(rows, chance=0.1).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['all', 'MPCA']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, rows, *, chance=None):
        self.rows = rows
        self.chance = chance

    @classmethod
    def from_results(cls, results, *, ax=None) -> ComparisonDisplay:
        """Draw a comparison.

        Parameters
        ----------
        results : ComparisonResults
            Of :func:`skstrf.experiments.run_comparison`.
        ax : Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        ComparisonDisplay
            Drawn.
        """
        return cls(results.rows, chance=results.chance).plot(ax=ax)

    def plot(self, ax=None) -> ComparisonDisplay:
        """Draw the lines.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ComparisonDisplay
            This object.

        Raises
        ------
        ValueError
            When there is no row.
        """
        rows = list(self.rows)
        if not rows:
            raise ValueError("rows is empty: there is nothing to draw.")
        if ax is None:
            ax = new_figure((7.6, 1.2 + 0.32 * len(rows))).subplots()
        self.figure_, axes = panels(ax, 1, "accuracy")
        self.ax_ = axes[0]
        places = list(range(len(rows)))
        self.points_ = self.ax_.errorbar(
            [row["accuracy"]["mean"] for row in rows],
            places,
            xerr=[_known(row["accuracy"]["std"]) for row in rows],
            fmt="o",
            color=BLUE,
            markersize=5,
            capsize=2,
        )
        self.chance_ = None
        if self.chance is not None:
            self.chance_ = self.ax_.axvline(self.chance, color="0.35", linewidth=1, linestyle=":")
            # A label beside the line could hide a point that is no better.
            self.ax_.set_title("dotted: chance", fontsize=8, loc="right", color="0.35")
        self.ax_.set_yticks(places, [row["name"] for row in rows], fontsize=8)
        self.ax_.invert_yaxis()
        self.ax_.set_xlim(0, 1.02)
        self.ax_.set_xlabel("accuracy (mean ± std)", fontsize=9)
        self.ax_.tick_params(labelsize=8)
        self.ax_.grid(axis="x", color="0.9", linewidth=0.8)
        self.ax_.set_axisbelow(True)
        for side in ("top", "right"):
            self.ax_.spines[side].set_visible(False)
        return self


def _known(std: Any) -> float:
    return 0.0 if std is None else float(std)
