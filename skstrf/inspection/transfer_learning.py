"""TransferDisplay: accuracy against the share of labels, by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skstrf.inspection._drawing import BLUE, ORANGE, new_figure, panels

__all__ = [
    "TransferDisplay",
]


# After the first method, in gray: colors of Okabe and Ito and marks that tell lines apart too.
_STYLES = (
    ("0.45", "o"),
    ("#CC79A7", "v"),
    (BLUE, "s"),
    ("#009E73", "D"),
    (ORANGE, "^"),
    ("#56B4E9", "P"),
    ("#E69F00", "X"),
)


class TransferDisplay:
    """Accuracy on a target against the share of its labels that is known, a line for each method.

    Parameters
    ----------
    rows : sequence of mapping
        Each with ``method``, ``fraction``, ``accuracy`` and, if known, ``std`` over seeds and
        ``n_labels``; such as the table of TransferResults.
    chance : float or None, default=None
        Accuracy of guessing the commonest class.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    ax_ : matplotlib.axes.Axes
        The panel.
    lines_ : dict of str to ErrorbarContainer
        Of each method: the mean, with bars of one standard deviation over seeds.
    chance_ : Line2D or None
        The level of chance.

    See Also
    --------
    skstrf.experiments.run_transfer : Measures what is drawn.

    Examples
    --------
    >>> from skstrf.inspection import TransferDisplay
    >>> rows = [
    ...     {"method": "from scratch", "fraction": 0.1, "accuracy": 0.4, "std": 0.05},
    ...     {"method": "from scratch", "fraction": 1.0, "accuracy": 0.8, "std": 0.02},
    ...     {"method": "fine-tuned", "fraction": 0.1, "accuracy": 0.6, "std": 0.04},
    ...     {"method": "fine-tuned", "fraction": 1.0, "accuracy": 0.8, "std": 0.03},
    ... ]
    >>> display = TransferDisplay(rows, chance=0.1).plot()
    >>> list(display.lines_)
    ['from scratch', 'fine-tuned']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, rows, *, chance=None):
        self.rows = rows
        self.chance = chance

    @classmethod
    def from_results(cls, results, *, ax=None) -> TransferDisplay:
        """Draw an experiment.

        Parameters
        ----------
        results : TransferResults
            Of :func:`skstrf.experiments.run_transfer`.
        ax : Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        TransferDisplay
            Drawn.
        """
        return cls(results.table(), chance=results.chance).plot(ax=ax)

    def plot(self, ax=None) -> TransferDisplay:
        """Draw the lines.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        TransferDisplay
            This object.

        Raises
        ------
        ValueError
            When there are no rows, or one has no method, fraction or accuracy.
        """
        by_method = _by_method(self.rows)
        if ax is None:
            ax = new_figure((6.4, 4.6)).subplots()
        self.figure_, axes = panels(ax, 1, "accuracy against the share of labels")
        self.ax_ = axes[0]
        self.lines_, self.chance_ = {}, None
        for number, (method, rows) in enumerate(by_method.items()):
            color, mark = _STYLES[number % len(_STYLES)]
            shift = 1 + 0.025 * (number - (len(by_method) - 1) / 2)
            self.lines_[method] = self.ax_.errorbar(
                [row["fraction"] * shift for row in rows],  # beside each other, not on one spot
                [row["accuracy"] for row in rows],
                [_known(row.get("std")) for row in rows],
                color=color,
                marker=mark,
                markersize=4.5,
                linewidth=1.4,
                elinewidth=0.9,
                capsize=2,
                linestyle="--" if number == 0 else "-",
                label=method,
            )
        if self.chance is not None:
            self.chance_ = self.ax_.axhline(
                self.chance, color="0.35", linewidth=1, linestyle=":", label="chance"
            )
        self._finish(next(iter(by_method.values())))
        return self

    def _finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        ax = self.ax_
        ax.set_xscale("log")
        ticks = [row["fraction"] for row in rows]
        counts = [f"\n({row['n_labels']})" if "n_labels" in row else "" for row in rows]
        labels = [f"{100 * x:g} %{count}" for x, count in zip(ticks, counts, strict=True)]
        ax.set_xticks(ticks, labels, fontsize=8)
        ax.set_xticks([], minor=True)
        ax.set_xlabel("labels of the target that are known (sounds)", fontsize=9)
        ax.set_ylabel("accuracy on the target (mean ± std over seeds)", fontsize=9)
        ax.tick_params(labelsize=8)
        ax.grid(axis="y", color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.set_ylim(0, 1.05)
        # Above the panel: inside it would hide bars of the spread.
        ax.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)


def _by_method(rows: Any) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if lacking := {"method", "fraction", "accuracy"} - set(row):
            raise ValueError(
                f"rows must have method, fraction and accuracy: no {lacking} in {row}."
            )
        found.setdefault(row["method"], []).append(row)
    if not found:
        raise ValueError("rows is empty: there is nothing to draw.")
    return {name: sorted(group, key=lambda row: row["fraction"]) for name, group in found.items()}


def _known(std: float | None) -> float:
    return float("nan") if std is None else float(std)
