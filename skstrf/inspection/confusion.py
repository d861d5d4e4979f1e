"""Confusion matrix with shares as colors and counts as text."""

from __future__ import annotations

import numpy as np

from skstrf.inspection._drawing import add_colorbar, check_axes, new_figure

__all__ = ["ConfusionDisplay"]

_MAX_CLASSES_WITH_TEXT = 20
_MAX_LETTERS = 24  # of a class name; the rest of a longer name is cut


class ConfusionDisplay:
    """Confusion matrix whose colors are shares of the true class.

    The color of a cell is its share of the row, that is, of the sounds of the true class. Its text
    is the share in percent and, below, the count. Empty cells have no text, and neither have
    matrices of more than 20 classes.

    Parameters
    ----------
    confusion_matrix : array-like of shape (n_classes, n_classes)
        Counts, with true classes in rows and predicted classes in columns.
    display_labels : array-like of shape (n_classes,) or None, default=None
        Names of the classes. With None, they are numbered from 0.

    Attributes
    ----------
    shares_ : ndarray of shape (n_classes, n_classes)
        Counts divided by the sums of their rows; 0 in the row of a class without sounds.
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    ax_ : matplotlib.axes.Axes
        Axes with the matrix.
    im_ : AxesImage
        Image of the shares.
    text_ : ndarray of Text of shape (n_classes, n_classes) or None
        Text of the cells; None for more than 20 classes.
    colorbar_ : Colorbar
        Color bar of the shares.

    See Also
    --------
    ConfusionDisplay.from_predictions : Plot the matrix of true and predicted classes.
    ConfusionDisplay.from_estimator : Plot the matrix of a fitted classifier.

    Examples
    --------
    >>> from skstrf.inspection import ConfusionDisplay
    >>> display = ConfusionDisplay([[1, 1], [0, 1]], display_labels=["oboe", "tuba"]).plot()
    >>> display.shares_
    array([[0.5, 0.5],
           [0. , 1. ]])
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, confusion_matrix, *, display_labels=None):
        self.confusion_matrix = confusion_matrix
        self.display_labels = display_labels

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, labels=None, display_labels=None, ax=None, cmap="Blues"
    ) -> ConfusionDisplay:
        """Plot the confusion matrix of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier, or a pipeline that ends with one.
        X : array-like of shape (n_sounds, ...)
            Input of the classifier.
        y : array-like of shape (n_sounds,)
            True classes.
        labels, display_labels, ax, cmap
            See :meth:`from_predictions`.

        Returns
        -------
        ConfusionDisplay
            The plotted display.
        """
        return cls.from_predictions(
            y,
            estimator.predict(X),
            labels=labels,
            display_labels=display_labels,
            ax=ax,
            cmap=cmap,
        )

    @classmethod
    def from_predictions(
        cls, y_true, y_pred, *, labels=None, display_labels=None, ax=None, cmap="Blues"
    ) -> ConfusionDisplay:
        """Plot the confusion matrix of true and predicted classes.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_sounds,)
            True and predicted classes.
        labels : array-like of shape (n_classes,) or None, default=None
            Classes to show, in this order. With None, all classes that occur are shown, sorted.
        display_labels : array-like of shape (n_classes,) or None, default=None
            Names of the classes. With None, their labels are shown.
        ax : Axes or None, default=None
            Axes to plot on, see :meth:`plot`.
        cmap : str or Colormap, default="Blues"
            Color map, see :meth:`plot`.

        Returns
        -------
        ConfusionDisplay
            The plotted display.

        Examples
        --------
        >>> from skstrf.inspection import ConfusionDisplay
        >>> display = ConfusionDisplay.from_predictions(["oboe", "tuba"], ["tuba", "tuba"])
        >>> display.confusion_matrix
        array([[0, 1],
               [0, 1]])
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        from sklearn.metrics import confusion_matrix
        from sklearn.utils.multiclass import unique_labels

        if labels is None:
            labels = unique_labels(y_true, y_pred)
        counts = confusion_matrix(y_true, y_pred, labels=labels)
        names = labels if display_labels is None else display_labels
        return cls(counts, display_labels=names).plot(ax=ax, cmap=cmap)

    def plot(self, ax=None, *, cmap="Blues") -> ConfusionDisplay:
        """Plot the matrix.

        Parameters
        ----------
        ax : Axes or None, default=None
            Axes to plot on. With None, a figure is created that grows with the number of classes.
        cmap : str or Colormap, default="Blues"
            Color map of shares from 0 to 1. The lightness of the default decreases evenly, so that
            it can be read with any color vision, and single errors can be seen.

        Returns
        -------
        ConfusionDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the matrix is not square, or the number of names is not the number of classes.
        """
        counts = np.asarray(self.confusion_matrix)
        n = len(counts)
        labels = range(n) if self.display_labels is None else self.display_labels
        names = [_shorten(str(name)) for name in labels]
        if counts.shape != (n, n) or len(names) != n or not n:
            raise ValueError(
                "confusion_matrix must be square, with one display label for each class; got "
                f"shape {counts.shape} and {len(names)} labels."
            )
        totals = counts.sum(axis=1, keepdims=True)
        self.shares_ = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
        if ax is None:
            ax = new_figure(_figure_size(n, max(map(len, names)))).add_subplot()
        self.figure_, (self.ax_,) = check_axes(ax, 1, "the matrix")
        self.im_ = self.ax_.imshow(
            self.shares_, cmap=cmap, vmin=0, vmax=1, interpolation="nearest"
        )
        self.text_ = self._write_cells(counts) if n <= _MAX_CLASSES_WITH_TEXT else None
        self._label(names)
        self.colorbar_ = add_colorbar(
            self.figure_, self.im_, self.ax_, "share of the true class", shrink=0.8
        )
        return self

    def _write_cells(self, counts: np.ndarray) -> np.ndarray:
        size = 9 if len(counts) <= 6 else 7.5 if len(counts) <= 14 else 6
        texts = np.empty(counts.shape, dtype=object)
        for (row, column), share in np.ndenumerate(self.shares_):
            count = counts[row, column]
            shade = np.array(self.im_.cmap(self.im_.norm(share))[:3])
            texts[row, column] = self.ax_.text(
                column,
                row,
                f"{100 * share:.0f} %\n{count}" if count else "",
                ha="center",
                va="center",
                color=_contrasting(shade),
                fontsize=size,
            )
        return texts

    def _label(self, names: list[str]) -> None:
        ax, n = self.ax_, len(names)
        ax.set_xticks(range(n), names)
        ax.set_yticks(range(n), names)
        ax.set_xlabel("predicted class", fontsize=10)
        ax.set_ylabel("true class", fontsize=10)
        ax.tick_params(labelsize=9 if n <= _MAX_CLASSES_WITH_TEXT else 7 if n <= 40 else 5)
        for label in ax.get_xticklabels():
            label.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
        for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
            label.set_parse_math(False)  # a name with two dollar signs is not a formula
        borders = np.arange(n + 1) - 0.5
        ax.hlines(borders, -0.5, n - 0.5, color="0.88", linewidth=0.5)
        ax.vlines(borders, -0.5, n - 0.5, color="0.88", linewidth=0.5)


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_LETTERS else name[: _MAX_LETTERS - 1] + "…"


def _figure_size(n_classes: int, n_letters: int) -> tuple[float, float]:
    """Compute the size at which the cells are square and no margin is left."""
    cells = min(8.0, max(2.4, 0.5 * n_classes))
    names = 0.078 * n_letters  # inches per letter at 9 points
    return cells + names + 1.4, cells + 0.72 * names + 0.6


def _contrasting(shade: np.ndarray) -> str:
    """Choose black or white text, whose contrast is then at least 4.5 to 1 as WCAG 2 counts."""
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"
