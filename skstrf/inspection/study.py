"""StudyDisplay: the candidates of a search in the order they were tried, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, ORANGE, new_figure, panels

__all__ = ["StudyDisplay"]


class StudyDisplay:
    """Scores of the candidates of a search, and the importance of its parameters.

    Parameters
    ----------
    trials : sequence of mapping
        Each with ``number``, ``state`` ("COMPLETE", "PRUNED", ...) and ``score``; pruned ones
        may have a ``curve``, whose last value is shown. The trials of SearchResults are such.
    importances : mapping of str to float or None, default=None
        Share of the variation that each parameter explains; None draws the scores alone.
    score_name : str, default="score"
        What the scores are.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    ax_ : ndarray of Axes
        Scores and, where they are known, importances.
    complete_, pruned_ : PathCollection
        Candidates that have a score, and where others were stopped.
    best_ : Line2D
        The best score so far.
    bars_ : BarContainer or None
        The importances.

    See Also
    --------
    skstrf.experiments.run_search : Makes what is drawn.

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
        """Draw a search.

        Parameters
        ----------
        results : SearchResults
            Of :func:`skstrf.experiments.run_search`.
        ax : array-like of Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        StudyDisplay
            Drawn.
        """
        display = cls(results.trials, importances=results.importances, score_name=results.scoring)
        return display.plot(ax=ax)

    def plot(self, ax=None) -> StudyDisplay:
        """Draw the candidates and the importances.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            One for the scores, and a second for the importances when there are any. None makes
            a figure.

        Returns
        -------
        StudyDisplay
            This object.

        Raises
        ------
        ValueError
            When there is no trial, or one has no number, state or score.
        """
        trials = _check(self.trials)
        importances = dict(self.importances or {})
        n = 1 + bool(importances)
        if ax is None:
            size = (5.6 + 3.6 * (n - 1), 3.4)
            ax = new_figure(size).subplots(1, n, width_ratios=[3, 2][:n])
        self.figure_, self.ax_ = panels(ax, n, "scores and importances"[: 6 if n == 1 else None])
        self._draw_scores(self.ax_[0], trials)
        self.bars_ = _draw_importances(self.ax_[1], importances) if importances else None
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
        ax.set_xlabel("trial", fontsize=9)
        ax.set_ylabel(self.score_name, fontsize=9)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(axis="y", color="0.9", linewidth=0.8)
        # Above the panel: inside it would hide candidates wherever it were.
        ax.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False)
        _finish(ax)


def _draw_importances(ax: Any, importances: Mapping[str, float]) -> Any:
    ordered = sorted(importances.items(), key=lambda item: item[1])
    bars = ax.barh([name for name, _ in ordered], [value for _, value in ordered], color="0.45")
    ax.set_xlabel("importance (share of the variation)", fontsize=9)
    ax.set_xlim(0, 1)
    _finish(ax)
    return bars


def _finish(ax: Any) -> None:
    ax.tick_params(labelsize=8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _check(trials: Any) -> list[Mapping[str, Any]]:
    found = sorted(trials, key=lambda trial: trial["number"]) if len(trials) else []
    if not found:
        raise ValueError("trials is empty: there is nothing to draw.")
    for trial in found:
        if lacking := {"number", "state", "score"} - set(trial):
            raise ValueError(f"trials must have number, state and score: no {lacking} in {trial}.")
    return found
