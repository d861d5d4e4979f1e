"""Content, style and result of a style transfer."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.auditory import auditory_spectrogram
from skstrf.auditory.measures import decibels
from skstrf.inspection._drawing import (
    BLUE,
    DECIBEL_RANGE,
    LABEL,
    ORANGE,
    TITLE,
    add_colorbar,
    check_axes,
    check_sound,
    draw_image,
    draw_scale_rate_map,
    finish_chart,
    new_figure,
    spectrogram_axes,
)
from skstrf.transforms import STRFTransformer
from skstrf.utils.arrays import to_numpy

__all__ = ["StyleTransferDisplay"]

_NAMES = ("content", "result", "style")


class StyleTransferDisplay:
    """Spectrograms and modulation maps of content, result and style, with the loss curves.

    The upper row shows the three auditory spectrograms in dB relative to the maximum of each. The
    middle row shows their textures: the mean magnitudes of the spectro-temporal receptive fields
    by scale and rate, in dB relative to the maximum of the style. The lower row shows the loss.

    Parameters
    ----------
    content, result, style : array-like of shape (n_times,) or (1, n_times)
        Mono sounds, which are scaled to unit variance.
    sample_rate : float, default=16000
        Sampling rate of the three sounds in Hz.
    curve : array-like of shape (n_iter + 1, 3) or None, default=None
        Total, content and style loss, the ``loss_curve_`` of a transfer. With None, the loss is
        not plotted.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        Three spectrograms, three maps and, if there is a curve, the loss.
    im_ : ndarray of QuadMesh
        Images of the first six axes.
    maps_ : ndarray of shape (3, n_scales, n_rates)
        Mean magnitudes in dB.
    lines_ : list of Line2D
        Content and style loss.
    colorbars_ : list of Colorbar
        Color bars of the spectrograms and the maps.

    See Also
    --------
    StyleTransferDisplay.from_estimator : Plot the transfer of a fitted StyleTransfer.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.inspection import StyleTransferDisplay
    >>> sounds = np.random.default_rng(0).standard_normal((3, 8000))
    >>> display = StyleTransferDisplay(*sounds).plot()
    >>> [ax.get_title() for ax in display.axes_[:3]]
    ['content', 'result', 'style']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, content, result, style, *, sample_rate=16000, curve=None):
        self.content = content
        self.result = result
        self.style = style
        self.sample_rate = sample_rate
        self.curve = curve

    @classmethod
    def from_estimator(cls, estimator, x, *, ax=None, title=None) -> StyleTransferDisplay:
        """Transfer the style to a sound and plot the result.

        Parameters
        ----------
        estimator : StyleTransfer
            Fitted estimator, whose first style is plotted.
        x : array-like of shape (n_times,) or (1, n_times)
            One mono sound, the content.
        ax, title
            Passed to :meth:`plot`.

        Returns
        -------
        StyleTransferDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If `x` is not one sound, or the style cannot be transferred to it.
        """
        content = check_sound(x)
        result = to_numpy(estimator.transform(content))
        display = cls(
            content,
            result,
            estimator.styles_[0],
            sample_rate=estimator.representation_.sample_rate,
            curve=estimator.loss_curve_,
        )
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title=None) -> StyleTransferDisplay:
        """Plot the spectrograms, the maps and the loss.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on: six, and one more for the loss. With None, a figure is created.
        title : str or None, default=None
            Title of the figure; unused if `ax` is given.

        Returns
        -------
        StyleTransferDisplay
            The display itself.

        Raises
        ------
        ValueError
            If content, result or style is not one sound, or is silent.
        """
        sounds = [_standardize(check_sound(getattr(self, name)), name) for name in _NAMES]
        with_loss = self.curve is not None
        own_figure = ax is None
        if own_figure:
            ax = _layout(with_loss, title)
        self.figure_, self.axes_ = check_axes(ax, 6 + with_loss, "spectrograms, maps, loss")
        images = self._draw_spectrograms(sounds) + self._draw_maps(sounds)
        self.im_ = np.array(images, dtype=object)
        self.colorbars_ = []
        for last, label in ((2, "level (dB)"), (5, "magnitude (dB re style)")):
            # Other axes may stand beside the user's own, so the bar belongs to the last of them.
            where = self.axes_[last - 2 : last + 1].tolist() if own_figure else self.axes_[last]
            self.colorbars_.append(
                add_colorbar(self.figure_, self.im_[last], where, label, aspect=25, extend="min")
            )
        self.lines_ = self._draw_loss(self.axes_[6]) if with_loss else []
        return self

    def _draw_spectrograms(self, sounds: list[np.ndarray]) -> list[Any]:
        images = []
        colors = {"cmap": "magma", "vmin": -DECIBEL_RANGE, "vmax": 0.0}
        for ax, sound, name in zip(self.axes_[:3], sounds, _NAMES, strict=True):
            v = auditory_spectrogram(sound[0], sample_rate=self.sample_rate)
            images.append(draw_image(ax, decibels(v, v), spectrogram_axes(v.shape[1]), colors))
            ax.set_title(name, fontsize=TITLE)
            ax.label_outer()
        return images

    def _draw_maps(self, sounds: list[np.ndarray]) -> list[Any]:
        strf = STRFTransformer(
            sample_rate=self.sample_rate, frame_step=8, contrast=False, compression=None
        )
        tensors = [strf.fit(sound).transform(sound)[0] for sound in sounds]
        means = np.array([np.asarray(t, dtype=float).mean(axis=(2, 3)) for t in tensors])
        largest = means[2].max()
        self.maps_ = 20 * np.log10(np.maximum(means, 1e-6 * largest) / largest)
        colors = {"vmin": float(self.maps_[2].min()), "vmax": 0.0, "cmap": "cividis"}
        images = []
        for ax, image, name in zip(self.axes_[3:6], self.maps_, _NAMES, strict=True):
            images.append(draw_scale_rate_map(ax, image, strf.scales_, strf.rates_, **colors))
            ax.set_title(f"mean magnitude: {name}", fontsize=TITLE)
            ax.label_outer()
        return images

    def _draw_loss(self, ax: Any) -> list[Any]:
        curve = np.asarray(self.curve, dtype=float)
        lines = []
        for column, name, color in ((1, "content", BLUE), (2, "style", ORANGE)):
            lines += ax.plot(np.maximum(curve[:, column], 1e-6), color=color, label=name)
        ax.set_yscale("log")
        # A loss that begins at 0 would compress the rest of the curves into a corner.
        ax.set_ylim(bottom=max(1e-5, 0.3 * float(curve[-1, 1:].min())))
        ax.axhline(1.0, color="0.35", linewidth=1, linestyle="--")
        ax.legend(fontsize=LABEL, frameon=False, ncols=2, loc="center right")
        finish_chart(ax, "iteration", "loss (untouched: 1)")
        return lines


def _standardize(sound: np.ndarray, name: str) -> np.ndarray:
    if not np.ptp(sound) > 0:
        raise ValueError(f"{name} is silent (or not finite): there is nothing to draw.")
    return (sound - sound.mean()) / sound.std()


def _layout(with_loss: bool, title: str | None) -> np.ndarray:
    heights = [2.6, 2.4, 1.7][: 2 + with_loss]
    rows = new_figure((10.0, sum(heights)), title).subfigures(
        len(heights), 1, height_ratios=heights
    )
    axes = [*rows[0].subplots(1, 3, sharey=True), *rows[1].subplots(1, 3, sharey=True)]
    if with_loss:
        axes.append(rows[2].subplots())
    return np.array(axes, dtype=object)
