"""ChannelScoreDisplay: what can be learned from every (scale, rate) channel alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.inspection._drawing import BLUE, ORANGE, new_figure, panels, tick_cells

__all__ = ["ChannelScoreDisplay"]

# Two-sided 95 % of a normal distribution.
_Z = 1.96


class ChannelScoreDisplay:
    """Scores of all channels, scale against signed rate, with the best ones marked.

    The map shows mean scores; a cell with a dot is within 1.96 standard errors of chance. The
    panel beside it has the channels in the order of their scores, with those errors.

    Parameters
    ----------
    mean : array-like of shape (n_scales, n_rates)
        Mean score of each channel.
    error : array-like of shape (n_scales, n_rates)
        Its standard error; NaN where it is not known.
    scales : array-like of shape (n_scales,) or None, default=None
        In cycles/octave, ascending; None numbers them.
    rates : array-like of shape (n_rates,) or None, default=None
        In Hz, signed and ascending; None numbers them.
    chance : float or None, default=None
        The score of predicting the most frequent class.
    n_best : int, default=5
        How many channels to mark.
    score_name : str, default="accuracy"
        What the score is.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes of shape (2,)
        The map, and the channels in order.
    mesh_ : QuadMesh
        The map.
    best_ : ndarray of shape (n_best, 2)
        Index of scale and rate of the marked channels, best first.
    marks_ : list of Rectangle
        Their frames.
    dots_ : PathCollection
        At the cells that may be chance, as (rate, scale) indices.

    See Also
    --------
    skstrf.channel_scores : Computes what is drawn.

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
        """Draw what `channel_scores` gave, or a fitted selector's ``scores_``.

        Parameters
        ----------
        scores : ChannelScores
            The scores.
        scales, rates : array-like or None, default=None
            Such as ``scales_`` and ``rates_`` of a fitted STRFTransformer.
        n_best : int, default=5
            How many channels to mark.
        score_name : str, default="accuracy"
            What the score is.
        ax : array-like of Axes of shape (2,) or None, default=None
            See :meth:`plot`.

        Returns
        -------
        ChannelScoreDisplay
            Drawn.

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
        """Draw the map and the channels in order.

        Parameters
        ----------
        ax : array-like of Axes of shape (2,) or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ChannelScoreDisplay
            This object.

        Raises
        ------
        ValueError
            When mean, error, scales and rates do not fit each other.
        """
        mean, error, scales, rates = _check(self.mean, self.error, self.scales, self.rates)
        if ax is None:
            figure = new_figure((10.5, max(3.4, min(7.0, 1.4 + 0.4 * len(scales)))))
            ax = figure.subplots(1, 2, width_ratios=(1.5, 1))
        self.figure_, self.axes_ = panels(ax, 2, "the map, and the channels in order")
        order = np.argsort(-mean, axis=None, kind="stable")
        best = order[: max(0, min(self.n_best, mean.size))]
        self.best_ = np.stack(np.unravel_index(best, mean.shape), axis=1)
        self._draw_map(mean, error, scales, rates)
        self._draw_order(mean, error, order)
        return self

    def _draw_map(self, mean: Any, error: Any, scales: Any, rates: Any) -> None:
        from matplotlib.patches import Rectangle

        ax = self.axes_[0]
        edges = [np.arange(n + 1) - 0.5 for n in mean.shape]
        self.mesh_ = ax.pcolormesh(edges[1], edges[0], mean, cmap="cividis")
        doubtful = np.zeros(mean.shape, dtype=bool)
        if self.chance is not None:
            # NaN, an error that is not known, is not below anything: no dot then.
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
        tick_cells(ax.yaxis, scales)
        tick_cells(ax.xaxis, rates, mirrored=True)
        n_up = int(np.sum(rates < 0))
        if 0 < n_up < len(rates):
            ax.axvline(n_up - 0.5, color="white", linewidth=1.5)
        upward = "← upward    rate (Hz)    downward →"
        ax.set_xlabel("rate (number)" if self.rates is None else upward, fontsize=9)
        ax.set_ylabel(
            "scale (number)" if self.scales is None else "scale (cycles/octave)", fontsize=9
        )
        note = "" if self.chance is None else "; dots: may be chance"
        ax.set_title(f"each channel alone{note}", fontsize=9)
        ax.tick_params(labelsize=8)
        self._draw_bar()

    def _draw_bar(self) -> None:
        bar = self.figure_.colorbar(self.mesh_, ax=self.axes_[0], pad=0.02, aspect=30)
        bar.set_label(self.score_name, fontsize=9)
        bar.ax.tick_params(labelsize=8)
        low, high = self.mesh_.get_clim()
        if self.chance is not None and low <= self.chance <= high:
            bar.ax.axhline(self.chance, color="white", linewidth=2)
            bar.ax.axhline(self.chance, color="black", linewidth=1, linestyle="--")

    def _draw_order(self, mean: np.ndarray, error: np.ndarray, order: np.ndarray) -> None:
        from matplotlib.ticker import MaxNLocator

        ax = self.axes_[1]
        places = np.arange(1, order.size + 1)
        values, spread = mean.ravel()[order], _Z * np.nan_to_num(error.ravel()[order])
        n_best = len(self.best_)
        for color, part in ((ORANGE, slice(0, n_best)), (BLUE, slice(n_best, None))):
            ax.errorbar(
                places[part],
                values[part],
                spread[part],
                fmt="o",
                markersize=3,
                elinewidth=0.8,
                color=color,
            )
        if self.chance is not None:
            ax.axhline(self.chance, color="0.35", linewidth=1, linestyle="--")
            ax.annotate(
                f"chance {self.chance:.3g}",
                (0, self.chance),  # on the left, where the best channels leave room below them
                xycoords=("axes fraction", "data"),
                xytext=(3, -3),
                textcoords="offset points",
                ha="left",
                va="top",
                fontsize=8,
                color="0.35",
            )
        ax.set_xlim(0.5, order.size + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set_xlabel("channels, best first", fontsize=9)
        ax.set_ylabel(f"{self.score_name} (mean ± 1.96 standard errors)", fontsize=9)
        n_equal = int(np.sum(values == values[0]))
        equal = f" ({n_equal} channels)" if n_equal > max(1, n_best) else ""
        ax.set_title(f"best {values[0]:.3g}{equal}, median {np.median(values):.3g}", fontsize=9)
        ax.tick_params(labelsize=8)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)


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
