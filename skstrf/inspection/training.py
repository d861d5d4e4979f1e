"""Learning curves of neural networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, ORANGE, check_axes, finish_chart, new_figure
from skstrf.utils.validation import check_is_fitted

__all__ = ["TrainingDisplay"]

_CURVES = {
    "train_loss": {"color": ORANGE, "linestyle": "--", "label": "training"},
    "valid_loss": {"color": BLUE, "linestyle": "-", "label": "validation"},
    "valid_accuracy": {"color": BLUE, "linestyle": "-", "label": "validation"},
}
_PANELS = (
    ("loss (cross-entropy, nats)", ("train_loss", "valid_loss")),
    ("accuracy (share of sounds)", ("valid_accuracy",)),
)


class TrainingDisplay:
    """Loss and validation accuracy over the epochs of one or several trainings.

    Parameters
    ----------
    histories : sequence of (sequence of mapping)
        History of each training, for instance of each fold of a cross-validation: one mapping for
        each epoch, with ``epoch`` and ``train_loss`` and, if there is a validation set,
        ``valid_loss`` and ``valid_accuracy``.
    best_epochs : sequence of (int or None) or None, default=None
        Epoch of each training whose weights were kept. With None, it is the epoch of the lowest
        validation loss, or none if there is no validation set.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        Loss and, if any training has a validation accuracy, accuracy.
    lines_ : dict of {str: list of Line2D}
        Curves of ``train_loss``, ``valid_loss`` and ``valid_accuracy``, one for each training.
    best_ : list of Line2D
        Markers of the best epochs.
    best_epochs_ : list of (int or None)
        Best epoch of each training.

    See Also
    --------
    TrainingDisplay.from_estimator : Plot the training of a fitted CNNClassifier.

    Examples
    --------
    >>> from skstrf.inspection import TrainingDisplay
    >>> history = [
    ...     {"epoch": 1, "train_loss": 1.4, "valid_loss": 1.2, "valid_accuracy": 0.4},
    ...     {"epoch": 2, "train_loss": 0.9, "valid_loss": 0.8, "valid_accuracy": 0.7},
    ...     {"epoch": 3, "train_loss": 0.7, "valid_loss": 0.9, "valid_accuracy": 0.7},
    ... ]
    >>> display = TrainingDisplay([history]).plot()
    >>> display.best_epochs_
    [2]
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, histories, *, best_epochs=None):
        self.histories = histories
        self.best_epochs = best_epochs

    @classmethod
    def from_estimator(cls, estimator, *, ax=None) -> TrainingDisplay:
        """Plot the training of a fitted classifier.

        Parameters
        ----------
        estimator : CNNClassifier
            Fitted classifier, whose ``history_`` and ``n_epochs_to_best_`` are plotted.
        ax : array-like of Axes or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        TrainingDisplay
            The plotted display.
        """
        check_is_fitted(estimator)
        best = getattr(estimator, "n_epochs_to_best_", None)
        return cls([estimator.history_], best_epochs=[best]).plot(ax=ax)

    def plot(self, ax=None) -> TrainingDisplay:
        """Plot the curves.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on: one for the loss and, if any training has a validation accuracy, a
            second one. With None, a figure is created.

        Returns
        -------
        TrainingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no history, or a history has no epoch.
        """
        histories = _check(self.histories)
        self.best_epochs_ = _best_epochs(histories, self.best_epochs)
        shown = [p for p in _PANELS if any(key in h[0] for h in histories for key in p[1])]
        if ax is None:
            ax = new_figure((4.5 * len(shown), 3.0)).subplots(1, len(shown))
        self.figure_, self.axes_ = check_axes(ax, len(shown), "loss and, if known, accuracy")
        self.lines_: dict[str, list[Any]] = {}
        self.best_: list[Any] = []
        for axis, (label, keys) in zip(self.axes_, shown, strict=True):
            for key in keys:
                self.lines_[key] = _draw_curves(axis, histories, key)
            self.best_ += _draw_best(axis, histories, keys[-1], self.best_epochs_)
            _finish(axis, label)
        return self


def _check(histories: Any) -> list[list[Mapping[str, Any]]]:
    checked = [list(history) for history in histories]
    if not checked or not all(checked):
        raise ValueError("histories must hold at least one training of at least one epoch.")
    for row in (row for history in checked for row in history):
        if not isinstance(row, Mapping) or not {"epoch", "train_loss"} <= set(row):
            raise ValueError(
                "histories must be a list of histories, each of them a list with one dict per "
                f"epoch that has 'epoch' and 'train_loss'; got {row!r}. Put a single history in "
                "a list."
            )
    return checked


def _best_epochs(histories: list, given: Sequence[int | None] | None) -> list[int | None]:
    if given is None:
        return [
            min(h, key=lambda row: row["valid_loss"])["epoch"] if "valid_loss" in h[0] else None
            for h in histories
        ]
    if len(given) != len(histories):
        raise ValueError(
            f"best_epochs has {len(given)} entries for {len(histories)} histories; it must have "
            "one for each."
        )
    return list(given)


def _draw_curves(ax: Any, histories: list, key: str) -> list[Any]:
    style = dict(_CURVES[key])
    label = style.pop("label")
    alpha = 1.0 if len(histories) == 1 else 0.55
    lines = []
    for history in histories:
        points = [(row["epoch"], row[key]) for row in history if key in row]
        if points:
            # A single epoch is a point, which a line does not show.
            marker = "o" if len(points) == 1 else None
            epochs, values = np.array(points, dtype=float).T
            lines += ax.plot(epochs, values, linewidth=1.4, alpha=alpha, marker=marker, **style)
    if lines:
        lines[0].set_label(label)
    return lines


def _draw_best(ax: Any, histories: list, key: str, best_epochs: list[int | None]) -> list[Any]:
    """Draw a ring at the epochs whose weights were kept."""
    points = [
        (row["epoch"], row[key])
        for history, best in zip(histories, best_epochs, strict=True)
        for row in history
        if row["epoch"] == best and key in row
    ]
    if not points:
        return []
    if len(points) == 1:
        label = f"best: epoch {points[0][0]}, {points[0][1]:.3f}"
        ax.axvline(points[0][0], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    else:
        label = f"best epochs (median {np.median([p[0] for p in points]):g})"
    ring = {"markerfacecolor": "white", "markeredgecolor": "black", "markersize": 6}
    return ax.plot(*zip(*points, strict=True), "o", label=label, zorder=4, **ring)


def _finish(ax: Any, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_ylim(0, 1.02 if label.startswith("accuracy") else None)
    epochs = np.concatenate([line.get_xdata() for line in ax.get_lines()])
    ax.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    ax.legend(fontsize=8)
    finish_chart(ax, "epoch", label, grid="both")
