"""StyleTransferDisplay: a content, a style, and what became of the two."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.auditory import auditory_spectrogram, center_frequencies, frames_per_second
from skstrf.auditory.measures import decibels
from skstrf.inspection._drawing import (
    BLUE,
    ORANGE,
    SIZES,
    draw_image,
    label_axes,
    new_figure,
    one_sound,
    panels,
    tick_cells,
)
from skstrf.transforms import Axis, STRFTransformer
from skstrf.utils.arrays import to_numpy

__all__ = ["StyleTransferDisplay"]

_RANGE = 60.0  # dB of a spectrogram shown
_NAMES = ("content", "result", "style")


class StyleTransferDisplay:
    """Picture of a content, a result and a style, and of the way to the result.

    Above the three auditory spectrograms, in dB below each one's maximum; below them the mean
    magnitudes of their receptive fields by scale and rate, in dB below the maximum of the style's,
    which is what the three have as texture; then the loss.

    Parameters
    ----------
    content, result, style : array-like of shape (n_times,) or (1, n_times)
        Sounds; each is brought to unit variance.
    sample_rate : float, default=16000
        Of all three, in Hz.
    curve : array-like of shape (n_iter + 1, 3) or None, default=None
        ``loss_curve_`` of a transfer: total, content and style. None leaves out the panel.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes
        Three spectrograms, three maps, and the loss if there is one.
    im_ : ndarray of QuadMesh
        What is in the first six.
    maps_ : ndarray of shape (3, n_scales, n_rates)
        The mean magnitudes in dB.
    lines_ : list of Line2D
        Content and style loss.

    See Also
    --------
    StyleTransferDisplay.from_estimator : From a fitted StyleTransfer and a content.

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
        """Transfer the style to a sound and draw what happens.

        Parameters
        ----------
        estimator : StyleTransfer
            Fitted; its first style is drawn.
        x : array-like of shape (n_times,) or (1, n_times)
            One mono content.
        ax, title
            See :meth:`plot`.

        Returns
        -------
        StyleTransferDisplay
            Drawn.

        Raises
        ------
        ValueError
            When `x` is not one sound, or cannot be transferred.
        """
        content = one_sound(x)
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
        """Draw spectrograms, maps and loss.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Six, and one more for the loss. None makes a figure.
        title : str or None, default=None
            Above the figure; left out when `ax` is given.

        Returns
        -------
        StyleTransferDisplay
            This object.

        Raises
        ------
        ValueError
            When one of the three is not one sound, or is silent.
        """
        sounds = [
            _standardized(one_sound(getattr(self, name)), name, self.sample_rate)
            for name in _NAMES
        ]
        if ax is None:
            self.figure_, self.axes_ = _layout(with_loss=self.curve is not None)
            if title:
                self.figure_.suptitle(title, fontsize=10, parse_math=False)
        else:
            wanted = 6 + (self.curve is not None)
            self.figure_, self.axes_ = panels(ax, wanted, "spectrograms, maps, loss")
        images = self._draw_spectrograms(sounds) + self._draw_maps(sounds)
        self.im_ = np.array(images, dtype=object)
        self._draw_colorbars(whole_rows=ax is None)
        self.lines_ = [] if self.curve is None else self._draw_loss(self.axes_[6])
        return self

    def _draw_spectrograms(self, sounds: list[np.ndarray]) -> list[Any]:
        images = []
        for ax, sound, name in zip(self.axes_, sounds, _NAMES, strict=False):
            v = auditory_spectrogram(sound[0], sample_rate=self.sample_rate)
            times = (np.arange(v.shape[1]) + 0.5) / frames_per_second()
            axes = Axis("frequency", "Hz", center_frequencies()), Axis("time", "s", times)
            limits = {"cmap": "magma", "vmin": -_RANGE, "vmax": 0.0}
            images.append(draw_image(ax, decibels(v, v), axes, limits))
            ax.set_title(name, fontsize=SIZES["titlesize"])
            ax.label_outer()
        return images

    def _draw_maps(self, sounds: list[np.ndarray]) -> list[Any]:
        strf = STRFTransformer(
            sample_rate=self.sample_rate, frame_step=8, contrast=False, compression=None
        )
        means = []
        for sound in sounds:
            tensor = strf.fit(sound).transform(sound)[0]
            means.append(np.asarray(tensor, dtype=float).mean(axis=(2, 3)))
        scales, rates = (axis.values for axis in strf.axes_[:2])
        largest = means[2].max()
        self.maps_ = 20 * np.log10(np.maximum(np.array(means), 1e-6 * largest) / largest)
        limits = {"vmin": float(self.maps_[2].min()), "vmax": 0.0, "cmap": "cividis"}
        images = []
        for ax, image, name in zip(self.axes_[3:6], self.maps_, _NAMES, strict=True):
            edges = [np.arange(n + 1) - 0.5 for n in image.shape]
            images.append(ax.pcolormesh(edges[1], edges[0], image, **limits))
            tick_cells(ax.xaxis, rates, mirrored=True)
            tick_cells(ax.yaxis, scales)
            label_axes(ax, "rate (Hz)", "scale (cycles/octave)")
            ax.set_title(f"receptive fields: {name}", fontsize=SIZES["titlesize"])
            ax.label_outer()
        return images

    def _draw_loss(self, ax: Any) -> list[Any]:
        curve = np.asarray(self.curve, dtype=float)
        lines = []
        for column, name, color in ((1, "content", BLUE), (2, "style", ORANGE)):
            values = np.maximum(curve[:, column], 1e-6)
            (line,) = ax.plot(values, color=color, label=name)
            lines.append(line)
        ax.set_yscale("log")
        # A loss that starts at 0 would squeeze all that matters into a corner.
        ax.set_ylim(bottom=max(1e-5, 0.3 * float(curve[-1, 1:].min())))
        ax.axhline(1.0, color="0.35", linewidth=1, linestyle="--")
        ax.legend(fontsize=SIZES["labelsize"], frameon=False, ncols=2, loc="center right")
        label_axes(ax, "iteration", "loss (untouched: 1)")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        return lines

    def _draw_colorbars(self, *, whole_rows: bool) -> None:
        self.colorbars_ = []
        rows = ((0, "level (dB)"), (3, "magnitude (dB re style)"))
        for first, words in rows:
            where = self.axes_[first : first + 3].tolist() if whole_rows else self.axes_[first + 2]
            bar = self.figure_.colorbar(
                self.im_[first + 2], ax=where, pad=0.02, aspect=25, extend="min"
            )
            bar.set_label(words, fontsize=SIZES["labelsize"])
            bar.ax.tick_params(labelsize=SIZES["ticksize"])
            self.colorbars_.append(bar)


def _standardized(sound: np.ndarray, name: str, sample_rate: float) -> np.ndarray:
    if not np.ptp(sound) > 0:
        raise ValueError(f"{name} is silent (or not finite): there is nothing to draw.")
    return (sound - sound.mean()) / sound.std()


def _layout(*, with_loss: bool) -> tuple[Any, np.ndarray]:
    heights = [2.6, 2.4, 1.7][: 2 + with_loss]
    figure = new_figure((10.0, sum(heights)))
    rows = figure.subfigures(len(heights), 1, height_ratios=heights)
    axes = [*rows[0].subplots(1, 3, sharey=True), *rows[1].subplots(1, 3, sharey=True)]
    if with_loss:
        axes.append(rows[2].subplots())
    return figure, np.array(axes, dtype=object)
