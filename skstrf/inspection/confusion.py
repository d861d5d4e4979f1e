"""Confusion matrices one can read: shares of each true class as colour, counts beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.inspection.panels import new_figure, panels

__all__ = ["confusion_matrix_display"]

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

    The colour of a cell is its share of the row, of the sounds of that true class; its text
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
        Colours of shares from 0 to 1; the lightness of the default falls evenly, so that it
        can be read with any colour vision, and single errors show.

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
