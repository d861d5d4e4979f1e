"""Scores and parameter importances of a hyperparameter search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skstrf.inspection._drawing import (
    BLUE,
    ORANGE,
    check_axes,
    check_rows,
    finish_chart,
    legend_above,
    new_figure,
)

__all__ = ["StudyDisplay"]


class StudyDisplay:
    """Scores of the trials of a search, and the importance of its parameters.

    Parameters
    ----------
    trials : sequence of mapping
        Trials of the search, as in SearchResults. Each mapping has ``number``, ``state``
        ("COMPLETE", "PRUNED", ...) and ``score``. Pruned trials may have a ``curve`` of
        (epoch, score), whose last score is plotted.
    importances : mapping of str to float or None, default=None
        Share of the variation of the scores that each parameter explains. With None, only the
        scores are plotted.
    score_name : str, default="score"
        Name of the score for the labels.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        Scores and, if they are known, importances.
    complete_, pruned_ : PathCollection
        Scores of complete trials, and of pruned trials when they were stopped.
    best_ : Line2D
        Best score so far.
    bars_ : BarContainer or None
        Importances.

    See Also
    --------
    skstrf.experiments.run_search : Run a search.

    Examples
    --------
    >>> from skstrf.inspection import StudyDisplay
    >>> trials = [
    ...     {"number": 0, "state": "COMPLETE", "score": 0.6},
    ...     {"number": 1, "state": "PRUNED", "score": None, "curve": [[250, 0.3]]},
    ...     {"number": 2, "state": "COMPLETE", "score": 0.8},
    ... ]
    >>> display = StudyDisplay(trials, importances={"lr": 0.7, "dropout": 0.3}).plot()
    >>> display.best_.get_ydata()
    array([0.6, 0.6, 0.8])
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, trials, *, importances=None, score_name="score"):
        self.trials = trials
        self.importances = importances
        self.score_name = score_name

    @classmethod
    def from_results(cls, results, *, ax=None) -> StudyDisplay:
        """Plot the results of a search.

        Parameters
        ----------
        results : SearchResults
            Results of :func:`skstrf.experiments.run_search`.
        ax : array-like of Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        StudyDisplay
            The plotted display.
        """
        display = cls(results.trials, importances=results.importances, score_name=results.scoring)
        return display.plot(ax=ax)

    def plot(self, ax=None) -> StudyDisplay:
        """Plot the scores and the importances.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on: one for the scores and, if there are importances, a second one. With
            None, a figure is created.

        Returns
        -------
        StudyDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no trial, or a trial has no number, state or score.
        """
        trials = check_rows(self.trials, "trials", ("number", "state", "score"))
        trials.sort(key=lambda trial: trial["number"])
        importances = dict(self.importances or {})
        n = 2 if importances else 1
        if ax is None:
            ax = new_figure((2.0 + 3.6 * n, 3.4)).subplots(1, n, width_ratios=[3, 2][:n])
        self.figure_, self.axes_ = check_axes(ax, n, "scores and, if known, importances")
        self._draw_scores(self.axes_[0], trials)
        self.bars_ = _draw_importances(self.axes_[1], importances) if importances else None
        return self

    def _draw_scores(self, ax: Any, trials: list[Mapping[str, Any]]) -> None:
        complete = [t for t in trials if t["state"] == "COMPLETE"]
        pruned = [t for t in trials if t["state"] == "PRUNED" and t.get("curve")]
        numbers = np.array([t["number"] for t in trials])
        scores = np.array([t["score"] if t["state"] == "COMPLETE" else -np.inf for t in trials])
        best = np.maximum.accumulate(scores)
        known = np.isfinite(best)
        self.best_ = ax.step(
            numbers[known],
            best[known],
            where="post",
            color=BLUE,
            linewidth=1.4,
            label="best so far",
        )[0]
        self.complete_ = ax.scatter(
            [t["number"] for t in complete],
            [t["score"] for t in complete],
            color=BLUE,
            s=22,
            label="complete",
            zorder=3,
        )
        self.pruned_ = ax.scatter(
            [t["number"] for t in pruned],
            [t["curve"][-1][1] for t in pruned],
            color=ORANGE,
            marker="x",
            s=24,
            label="pruned, score when stopped",
        )
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend_above(ax, 3)
        finish_chart(ax, "trial", self.score_name, grid="y")


def _draw_importances(ax: Any, importances: Mapping[str, float]) -> Any:
    ordered = sorted(importances.items(), key=lambda item: item[1])
    bars = ax.barh([name for name, _ in ordered], [value for _, value in ordered], color="0.45")
    ax.set_xlim(0, 1)
    finish_chart(ax, "importance (share of the variation)")
    return bars
