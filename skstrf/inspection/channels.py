"""Map of the scores of single (scale, rate) channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.inspection._drawing import (
    BLUE,
    ORANGE,
    TITLE,
    add_colorbar,
    check_axes,
    draw_scale_rate_map,
    finish_chart,
    new_figure,
)

__all__ = ["ChannelScoreDisplay"]

# Two-sided 95 % quantile of the normal distribution.
_Z = 1.96


class ChannelScoreDisplay:
    """Scores of all channels as a map of scale by signed rate, with the best ones marked.

    The map shows mean scores. A dot marks a channel whose mean is less than 1.96 standard errors
    above chance. The panel beside the map shows the channels in the order of their scores, with
    error bars of 1.96 standard errors.

    Parameters
    ----------
    mean : array-like of shape (n_scales, n_rates)
        Mean score of each channel.
    error : array-like of shape (n_scales, n_rates)
        Standard error of each mean; NaN where it is unknown.
    scales : array-like of shape (n_scales,) or None, default=None
        Scales in cycles/octave, in ascending order. With None, they are numbered.
    rates : array-like of shape (n_rates,) or None, default=None
        Signed rates in Hz, in ascending order. With None, they are numbered.
    chance : float or None, default=None
        Score of predicting the most frequent class.
    n_best : int, default=5
        Number of channels to mark.
    score_name : str, default="accuracy"
        Name of the score for the labels.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes of shape (2,)
        The map and the ordered channels.
    mesh_ : QuadMesh
        The map.
    best_ : ndarray of shape (n_best, 2)
        Indices of scale and rate of the marked channels, best first.
    marks_ : list of Rectangle
        Frames of the marked channels.
    dots_ : PathCollection
        Dots at channels that may be at chance, as (rate, scale) indices.

    See Also
    --------
    skstrf.channel_scores : Compute the scores.

    References
    ----------
    .. [1] E. Eremeeva, "Transform analysis and music style transfer with deep neural networks",
       ATIAM report, IRCAM, 2017, figure 7.

    Examples
    --------
    >>> from skstrf.inspection import ChannelScoreDisplay
    >>> display = ChannelScoreDisplay(
    ...     [[0.5, 0.9], [0.6, 0.7]], [[0.1, 0.1], [0.1, 0.1]], chance=0.5, n_best=1
    ... ).plot()
    >>> display.best_
    array([[0, 1]])
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        mean,
        error,
        *,
        scales=None,
        rates=None,
        chance=None,
        n_best=5,
        score_name="accuracy",
    ):
        self.mean = mean
        self.error = error
        self.scales = scales
        self.rates = rates
        self.chance = chance
        self.n_best = n_best
        self.score_name = score_name

    @classmethod
    def from_scores(
        cls, scores, *, scales=None, rates=None, n_best=5, score_name="accuracy", ax=None
    ) -> ChannelScoreDisplay:
        """Plot the result of `channel_scores`, or the ``scores_`` of a fitted selector.

        Parameters
        ----------
        scores : ChannelScores
            The scores.
        scales, rates : array-like or None, default=None
            Values of the axes, such as ``scales_`` and ``rates_`` of a fitted STRFTransformer.
        n_best : int, default=5
            Number of channels to mark.
        score_name : str, default="accuracy"
            Name of the score for the labels.
        ax : array-like of Axes of shape (2,) or None, default=None
            Axes to plot on, see :meth:`plot`.

        Returns
        -------
        ChannelScoreDisplay
            The plotted display.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf.feature_selection import ChannelScores
        >>> from skstrf.inspection import ChannelScoreDisplay
        >>> folds = np.random.default_rng(0).uniform(0.4, 0.9, (3, 4, 5))
        >>> scores = ChannelScores(folds, chance=0.5, test_share=0.25)
        >>> display = ChannelScoreDisplay.from_scores(scores, rates=[-4, -2, 2, 4])
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        display = cls(
            scores.mean,
            scores.standard_error,
            scales=scales,
            rates=rates,
            chance=scores.chance,
            n_best=n_best,
            score_name=score_name,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None) -> ChannelScoreDisplay:
        """Plot the map and the ordered channels.

        Parameters
        ----------
        ax : array-like of Axes of shape (2,) or None, default=None
            Axes to plot on. With None, a figure is created.

        Returns
        -------
        ChannelScoreDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the shapes of mean, error, scales and rates do not match, or the scores are not
            finite.
        """
        mean, error, scales, rates = _check(self.mean, self.error, self.scales, self.rates)
        if ax is None:
            figure = new_figure((10.5, max(3.4, min(7.0, 1.4 + 0.4 * len(scales)))))
            ax = figure.subplots(1, 2, width_ratios=(1.5, 1))
        self.figure_, self.axes_ = check_axes(ax, 2, "the map and the ordered channels")
        order = np.argsort(-mean, axis=None, kind="stable")
        best = order[: max(0, min(self.n_best, mean.size))]
        self.best_ = np.stack(np.unravel_index(best, mean.shape), axis=1)
        self._draw_map(mean, error, scales, rates)
        self._draw_order(mean.ravel()[order], error.ravel()[order])
        return self

    def _draw_map(self, mean: Any, error: Any, scales: Any, rates: Any) -> None:
        from matplotlib.patches import Rectangle

        ax = self.axes_[0]
        self.mesh_ = draw_scale_rate_map(ax, mean, scales, rates, cmap="cividis")
        if self.scales is None:
            ax.set_ylabel("scale (number)")
        if self.rates is None:
            ax.set_xlabel("rate (number)")
        # Comparisons with NaN, an unknown error, are false: such channels have no dot.
        doubtful = np.zeros(mean.shape, dtype=bool)
        if self.chance is not None:
            doubtful = mean - self.chance <= _Z * error
        at_scale, at_rate = doubtful.nonzero()
        self.dots_ = ax.scatter(at_rate, at_scale, s=7, color="white", linewidths=0)
        self.marks_ = []
        for number, (scale, rate) in enumerate(self.best_, 1):
            frame = Rectangle(
                (rate - 0.5, scale - 0.5), 1, 1, fill=False, ec=ORANGE, lw=2, zorder=3
            )
            self.marks_.append(ax.add_patch(frame))
            color = "black" if self.mesh_.norm(mean[scale, rate]) > 0.5 else "white"
            ax.text(rate, scale, str(number), color=color, ha="center", va="center", fontsize=8)
        note = "" if self.chance is None else "; dots: may be chance"
        ax.set_title(f"each channel alone{note}", fontsize=TITLE)
        bar = add_colorbar(self.figure_, self.mesh_, ax, self.score_name)
        low, high = self.mesh_.get_clim()
        if self.chance is not None and low <= self.chance <= high:
            bar.ax.axhline(self.chance, color="white", linewidth=2)
            bar.ax.axhline(self.chance, color="black", linewidth=1, linestyle="--")

    def _draw_order(self, means: np.ndarray, errors: np.ndarray) -> None:
        from matplotlib.ticker import MaxNLocator

        ax = self.axes_[1]
        places, spread = np.arange(1, means.size + 1), _Z * np.nan_to_num(errors)
        n_best = len(self.best_)
        style = {"fmt": "o", "markersize": 3, "elinewidth": 0.8}
        for color, part in ((ORANGE, slice(0, n_best)), (BLUE, slice(n_best, None))):
            ax.errorbar(places[part], means[part], spread[part], color=color, **style)
        if self.chance is not None:
            ax.axhline(self.chance, color="0.35", linewidth=1, linestyle="--")
            ax.annotate(
                f"chance {self.chance:.3g}",
                (0, self.chance),  # on the left, where the best channels leave room below
                xycoords=("axes fraction", "data"),
                xytext=(3, -3),
                textcoords="offset points",
                ha="left",
                va="top",
                fontsize=8,
                color="0.35",
            )
        ax.set_xlim(0.5, means.size + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        n_equal = int(np.sum(means == means[0]))
        equal = f" ({n_equal} channels)" if n_equal > max(1, n_best) else ""
        title = f"best {means[0]:.3g}{equal}, median {np.median(means):.3g}"
        ax.set_title(title, fontsize=TITLE)
        finish_chart(
            ax, "channels, best first", f"{self.score_name} (mean ± 1.96 standard errors)"
        )


def _check(mean: Any, error: Any, scales: Any, rates: Any) -> tuple[np.ndarray, ...]:
    mean, error = np.asarray(mean, dtype=float), np.asarray(error, dtype=float)
    if mean.ndim != 2 or mean.size == 0 or error.shape != mean.shape:
        raise ValueError(
            f"mean and error must have one shape (n_scales, n_rates), got {mean.shape} and "
            f"{error.shape}."
        )
    if not np.isfinite(mean).all() or np.any(error < 0):
        raise ValueError("mean must be finite, and error not negative.")
    axes = []
    for name, values, n in (("scales", scales, len(mean)), ("rates", rates, mean.shape[1])):
        values = np.arange(1, n + 1) if values is None else np.asarray(values, dtype=float)
        if values.shape != (n,):
            raise ValueError(f"{name} has shape {values.shape}, but mean has {n} {name}.")
        axes.append(values)
    return mean, error, *axes
