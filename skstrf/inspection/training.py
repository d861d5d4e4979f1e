"""Confusion matrices one can read: shares of each true class as color, counts beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, ORANGE, new_figure, panels
from skstrf.utils.validation import check_is_fitted

__all__ = [
    "TrainingDisplay",
    "confusion_matrix_display",
]


_MOST_WITH_TEXT = 20
_LONGEST_NAME = 24  # letters on an axis; the rest of a longer name is cut


def confusion_matrix_display(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    display_labels: Any = None,
    ax: Any = None,
    cmap: Any = "Blues",
) -> Any:
    """Draw which classes are taken for which.

    The color of a cell is its share of the row, of the sounds of that true class; its text
    gives that share in percent and the count below. Empty cells have no text, nor have
    matrices of more than 20 classes.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_sounds,)
        True and predicted classes.
    labels : array-like of shape (n_classes,) or None, default=None
        Classes to show and their order; None shows all that occur, sorted.
    display_labels : array-like of shape (n_classes,) or None, default=None
        What to call them; None calls them by their labels.
    ax : Axes or None, default=None
        Where to draw; None makes a figure that grows with the number of classes.
    cmap : str or Colormap, default="Blues"
        Colors of shares from 0 to 1; the lightness of the default falls evenly, so that it
        can be read with any color vision, and single errors show.

    Returns
    -------
    sklearn.metrics.ConfusionMatrixDisplay
        Drawn. Its ``confusion_matrix`` holds the shares, with rows that sum to 1 (or 0, for a
        class without sounds); ``counts_`` holds the counts.

    Examples
    --------
    >>> from skstrf.inspection import confusion_matrix_display
    >>> display = confusion_matrix_display(["oboe", "oboe", "tuba"], ["oboe", "tuba", "tuba"])
    >>> display.confusion_matrix
    array([[0.5, 0.5],
           [0. , 1. ]])
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
    from sklearn.utils.multiclass import unique_labels

    if labels is None:
        labels = unique_labels(y_true, y_pred)
    counts = confusion_matrix(y_true, y_pred, labels=labels)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    n = len(shares)
    names = [_short(str(name)) for name in (labels if display_labels is None else display_labels)]
    if ax is None:
        ax = new_figure(_size(n, max(map(len, names)))).add_subplot()
    display = ConfusionMatrixDisplay(shares, display_labels=names)
    display.plot(
        ax=panels(ax, 1, "the matrix")[1][0],
        cmap=cmap,
        include_values=n <= _MOST_WITH_TEXT,
        colorbar=False,
        im_kw={"vmin": 0, "vmax": 1},
    )
    display.counts_ = counts
    if n <= _MOST_WITH_TEXT:
        _write_cells(display, totals.ravel())
    _finish(display, n)
    return display


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _size(n_classes: int, n_letters: int) -> tuple[float, float]:
    """Inches that leave the cells square and no margin over."""
    cells = min(8.0, max(2.4, 0.5 * n_classes))
    names = 0.078 * n_letters  # inches a letter at 9 points
    return cells + names + 1.4, cells + 0.72 * names + 0.6


def _write_cells(display: Any, totals: np.ndarray) -> None:
    size = 9 if len(totals) <= 6 else 7.5 if len(totals) <= 14 else 6
    for (row, column), text in np.ndenumerate(display.text_):
        count = display.counts_[row, column]
        share = display.confusion_matrix[row, column]
        text.set_text(f"{100 * share:.0f} %\n{count}" if count else "")
        shade = np.array(display.im_.cmap(display.im_.norm(share))[:3])
        text.set(color=_contrasting(shade), fontsize=size)


def _contrasting(shade: np.ndarray) -> str:
    """Black or white, whichever stands out more: at least 4.5 to 1, as WCAG 2 counts."""
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def _finish(display: Any, n: int) -> None:
    ax = display.ax_
    size = 9 if n <= _MOST_WITH_TEXT else 7 if n <= 40 else 5
    ax.set_xlabel("predicted class", fontsize=10)
    ax.set_ylabel("true class", fontsize=10)
    ax.tick_params(labelsize=size)
    for label in ax.get_xticklabels():
        label.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_parse_math(False)  # a name with two dollar signs is no formula
    borders = np.arange(n + 1) - 0.5
    ax.hlines(borders, -0.5, n - 0.5, color="0.88", linewidth=0.5)
    ax.vlines(borders, -0.5, n - 0.5, color="0.88", linewidth=0.5)
    bar = display.figure_.colorbar(display.im_, ax=ax, pad=0.02, shrink=0.8, aspect=30)
    bar.set_label("share of the true class", fontsize=9)
    bar.ax.tick_params(labelsize=8)


_LINES = {
    "train_loss": {"color": ORANGE, "linestyle": "--", "label": "training"},
    "valid_loss": {"color": BLUE, "linestyle": "-", "label": "validation"},
    "valid_accuracy": {"color": BLUE, "linestyle": "-", "label": "validation"},
}
_PANELS = (
    ("loss", "loss (cross-entropy, nats)", ("train_loss", "valid_loss")),
    ("accuracy", "accuracy (share of sounds)", ("valid_accuracy",)),
)


class TrainingDisplay:
    """Loss and validation accuracy of one or several trainings over the epochs.

    Parameters
    ----------
    histories : sequence of (sequence of mapping)
        For every training one mapping an epoch, with ``epoch`` and ``train_loss`` and, with a
        validation part, ``valid_loss`` and ``valid_accuracy``.
    best_epochs : sequence of (int or None) or None, default=None
        The epoch of each training whose weights were kept. None takes the one with the lowest
        validation loss, or marks none where there was no validation part.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes
        Loss and, when any training has it, accuracy.
    lines_ : dict of {str: list of Line2D}
        The curves of ``train_loss``, ``valid_loss`` and ``valid_accuracy``, one a training.
    best_ : list of Line2D
        Marks of the best epochs.

    See Also
    --------
    TrainingDisplay.from_estimator : From a fitted CNNClassifier.
    TrainingDisplay.from_histories : From the histories of several.

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
        """Draw the training of a fitted classifier.

        Parameters
        ----------
        estimator : CNNClassifier
            Fitted: its ``history_`` and ``n_epochs_to_best_`` are read.
        ax : array-like of Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        TrainingDisplay
            Drawn.
        """
        check_is_fitted(estimator)
        best = getattr(estimator, "n_epochs_to_best_", None)
        return cls([estimator.history_], best_epochs=[best]).plot(ax=ax)

    @classmethod
    def from_histories(cls, histories, *, best_epochs=None, ax=None) -> TrainingDisplay:
        """Draw several trainings, such as those of a cross-validation, together.

        Parameters
        ----------
        histories : sequence of (sequence of mapping)
            See :class:`TrainingDisplay`.
        best_epochs : sequence of (int or None) or None, default=None
            See :class:`TrainingDisplay`.
        ax : array-like of Axes or None, default=None
            See :meth:`plot`.

        Returns
        -------
        TrainingDisplay
            Drawn.
        """
        return cls(histories, best_epochs=best_epochs).plot(ax=ax)

    def plot(self, ax=None) -> TrainingDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            One for the loss, and a second for the accuracy when any training has it. None
            makes a figure.

        Returns
        -------
        TrainingDisplay
            This object.

        Raises
        ------
        ValueError
            When there is no history, or an empty one.
        """
        histories = _check(self.histories)
        self.best_epochs_ = _best_epochs(histories, self.best_epochs)
        shown = [p for p in _PANELS if any(key in h[0] for h in histories for key in p[2])]
        if ax is None:
            self.figure_ = new_figure((4.5 * len(shown), 3.0))
            ax = self.figure_.subplots(1, len(shown))
        self.figure_, self.axes_ = panels(ax, len(shown), " and ".join(p[0] for p in shown))
        self.lines_: dict[str, list[Any]] = {}
        self.best_: list[Any] = []
        for axis, (_, label, keys) in zip(self.axes_, shown, strict=True):
            for key in keys:
                self.lines_[key] = _draw_curves(axis, histories, key)
            self.best_ += _draw_best(axis, histories, keys[-1], self.best_epochs_)
            _finish_training(axis, label)
        return self


def _check(histories: Any) -> list[list[Mapping[str, Any]]]:
    checked = [list(history) for history in histories]
    if not checked or not all(checked):
        raise ValueError("histories must hold at least one training of at least one epoch.")
    for row in (row for history in checked for row in history):
        if not isinstance(row, Mapping) or not {"epoch", "train_loss"} <= set(row):
            raise ValueError(
                "histories must be a list of histories, each a list with one dict an epoch that "
                f"has 'epoch' and 'train_loss'; got {row!r}. Put a single history in a list."
            )
    return checked


def _best_epochs(histories: list, given: Sequence[int | None] | None) -> list[int | None]:
    if given is None:
        given = [None] * len(histories)
        return [
            min(h, key=lambda row: row["valid_loss"])["epoch"] if "valid_loss" in h[0] else None
            for h in histories
        ]
    if len(given) != len(histories):
        raise ValueError(
            f"best_epochs has {len(given)} entries for {len(histories)} histories: give each one."
        )
    return list(given)


def _curve(history: list, key: str) -> tuple[np.ndarray, np.ndarray]:
    rows = [(row["epoch"], row[key]) for row in history if key in row]
    epochs, values = np.array(rows, dtype=float).T if rows else (np.empty(0), np.empty(0))
    return epochs, values


def _draw_curves(ax, histories, key) -> list[Any]:
    style = dict(_LINES[key])
    label = style.pop("label")
    alpha = 1.0 if len(histories) == 1 else 0.55
    lines = []
    for history in histories:
        epochs, values = _curve(history, key)
        if epochs.size:
            # A single epoch is a point, which a line does not show.
            marker = "o" if epochs.size == 1 else None
            lines += ax.plot(epochs, values, linewidth=1.4, alpha=alpha, marker=marker, **style)
    if lines:
        lines[0].set_label(label)
    return lines


def _draw_best(ax, histories, key, best_epochs) -> list[Any]:
    """A ring where the kept weights were reached."""
    points = []
    for history, best in zip(histories, best_epochs, strict=True):
        points += [
            (row["epoch"], row[key]) for row in history if row["epoch"] == best and key in row
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


def _finish_training(ax, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch", fontsize=9)
    ax.set_ylabel(label, fontsize=9)
    ax.tick_params(labelsize=8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if label.startswith("accuracy"):
        ax.set_ylim(0, 1.02)
    else:
        ax.set_ylim(bottom=0)
    epochs = np.concatenate([line.get_xdata() for line in ax.get_lines()])
    ax.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
