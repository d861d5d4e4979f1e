"""STRFDisplay: the tensor of one sound."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from skstrf.inspection._drawing import (
    SIZES,
    Colors,
    checked_tensor,
    chosen_channels,
    draw_image,
    fitted_on,
    label_axes,
    name_slices,
    new_figure,
    one_sound,
    panels,
    quantity_of,
    tick_cells,
)

__all__ = ["STRFDisplay"]

_COLUMNS = 4  # of the grid of slices


class STRFDisplay:
    """Picture of one sound's tensor scale x rate x frequency x time.

    Above, what is left of the tensor when two axes are averaged away: frequency
    by time, which looks like the auditory spectrogram, and scale by rate. Below,
    the responses of some single channels.

    Parameters
    ----------
    tensor : array-like or torch.Tensor of shape (n_scales, n_rates, n_freqs, n_frames)
        Of one sound. Complex values are shown by their magnitude; where there are negative
        ones, zero is in the middle of the colors.
    axes : sequence of Axis
        Name, unit and values of the four axes, as in ``STRFTransformer.axes_``: scale
        (cycles/octave), signed rate (Hz, negative = upward-moving), frequency (Hz), time (s).
    channels : sequence of (scale, rate) or None, default=None
        Channels to draw, by their values on the axes. None spreads up to three scales and
        two rates in both directions over the tensor.
    quantity : str, default="response"
        What the values are, for the color bars.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes
        The spectrogram-like mean, the scale-rate map, then one for each channel.
    im_ : ndarray of QuadMesh
        What is in each of these. The channels share one range of colors.
    colorbars_ : list of Colorbar
        Of the mean, the map and the channels.

    See Also
    --------
    STRFDisplay.from_estimator : From a transformer and a sound.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, figures 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.inspection import STRFDisplay
    >>> from skstrf.transforms import Axis
    >>> axes = [
    ...     Axis("scale", "cycles/octave", np.array([0.5, 1.0])),
    ...     Axis("rate", "Hz", np.array([-4.0, 4.0])),
    ...     Axis("frequency", "Hz", 440 * 2.0 ** np.arange(3)),
    ...     Axis("time", "s", np.arange(5) / 8),
    ... ]
    >>> display = STRFDisplay(np.ones((2, 2, 3, 5)), axes, channels=[(1, -4)]).plot()
    >>> [ax.get_title() for ax in display.axes_]
    ['mean over scale and rate', 'mean over frequency and time', '1 cyc/oct, 4 Hz upward']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, tensor, axes, *, channels=None, quantity="response"):
        self.tensor = tensor
        self.axes = axes
        self.channels = channels
        self.quantity = quantity

    @classmethod
    def from_estimator(
        cls, estimator, x, *, channels=None, ax=None, cmap=None, title=None
    ) -> STRFDisplay:
        """Compute the tensor of a sound and draw it.

        What is drawn is the magnitude of the responses, compressed as the estimator does it,
        before contrast subtracts the mean over scale and rate: that mean is the first panel.

        Parameters
        ----------
        estimator : STRFTransformer
            Fitted on sounds of the length of `x`; one that is not fitted is cloned and
            fitted (nothing is learned from sounds).
        x : array-like of shape (n_times,) or (1, n_times)
            One mono sound.
        channels : sequence of (scale, rate) or None, default=None
            See :class:`STRFDisplay`.
        ax, cmap, title
            See :meth:`plot`.

        Returns
        -------
        STRFDisplay
            Drawn.

        Raises
        ------
        ValueError
            When `x` is not one sound, or not of the length the estimator was fitted on.

        Examples
        --------
        >>> from skstrf import STRFTransformer
        >>> from skstrf.auditory import moving_ripple
        >>> from skstrf.inspection import STRFDisplay
        >>> x = moving_ripple(rate=8, scale=1, duration=0.5, random_state=0)
        >>> display = STRFDisplay.from_estimator(STRFTransformer(), x)
        >>> display.figure_.savefig("ripple.png")  # doctest: +SKIP
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        sound = one_sound(x)
        strf = _magnitudes(estimator, sound)
        tensor = strf.transform(sound)[0]
        display = cls(tensor, strf.axes_, channels=channels, quantity=quantity_of(strf))
        return display.plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap=None, title=None) -> STRFDisplay:
        """Draw the tensor.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Two, and one for each channel. None makes a figure.
        cmap : str, Colormap or None, default=None
            Colors. None takes "magma", or "RdBu_r" for a tensor with negative values, which
            can be read with any color vision.
        title : str or None, default=None
            Above the whole figure; left out when `ax` is given.

        Returns
        -------
        STRFDisplay
            This object.

        Raises
        ------
        ValueError
            When tensor, axes and channels do not fit each other.
        """
        tensor = checked_tensor(self.tensor, self.axes)
        chosen = chosen_channels(self.channels, self.axes)
        if ax is None:
            self.figure_, self.axes_ = _layout(len(chosen))
            if title:
                self.figure_.suptitle(title, fontsize=11, parse_math=False)
        else:
            self.figure_, self.axes_ = panels(ax, 2 + len(chosen), "mean, map and channels")
        mean, grid, *slices = self.axes_
        colors = Colors(tensor, cmap)
        shown = [tensor[channel] for channel in chosen]
        limits = colors.of(*shown)
        scale_rate, image = tensor.mean(axis=(2, 3)), tensor.mean(axis=(0, 1))
        images = [
            draw_image(mean, image, self.axes, colors.of(image)),
            _draw_map(grid, scale_rate, self.axes, colors.of(scale_rate)),
            *(draw_image(*pair, self.axes, limits) for pair in zip(slices, shown, strict=True)),
        ]
        name_slices(slices, chosen, self.axes)
        mean.set_title("mean over scale and rate", fontsize=SIZES["titlesize"])
        grid.set_title("mean over frequency and time", fontsize=SIZES["titlesize"])
        self.im_ = np.array(images, dtype=object)
        self._draw_colorbars(mean, grid, slices, whole_rows=ax is None)
        return self

    def _draw_colorbars(self, mean, grid, slices, *, whole_rows) -> None:
        self.colorbars_ = []
        for image, where in zip(self.im_[:3], (mean, grid, slices), strict=True):
            # Beside axes of a user's own there may be others: one bar beside the last slice.
            where = where if whole_rows or where is not slices else slices[-1]
            bar = self.figure_.colorbar(image, ax=where, pad=0.02, aspect=30)
            bar.set_label(self.quantity, fontsize=SIZES["labelsize"])
            bar.ax.tick_params(labelsize=SIZES["ticksize"])
            self.colorbars_.append(bar)


def _magnitudes(estimator: Any, sound: np.ndarray) -> Any:
    """The estimator, fitted, with magnitudes for output; the one given stays as it is."""
    known = estimator.get_params()
    settings = {"output": "magnitude", "contrast": False}
    return copy.copy(fitted_on(estimator, sound)).set_params(
        **{name: value for name, value in settings.items() if name in known}
    )


def _layout(n_slices: int) -> tuple[Any, np.ndarray]:
    """One figure: two panels above, the slices in rows of four below."""
    columns = min(_COLUMNS, n_slices)
    rows = -(-n_slices // columns)
    heights = (2.5, 1.35 * rows + 0.6)
    figure = new_figure((9.0, sum(heights)))
    figure.get_layout_engine().set(w_pad=0.07)
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    above = top.subplots(1, 2, width_ratios=(1.15, 1))
    below = bottom.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for unused in below[n_slices:]:
        unused.remove()
    return figure, np.concatenate([above, below[:n_slices]])


def _draw_map(ax, image, axes, colors) -> Any:
    """Scale by signed rate, every channel a cell of the same size."""
    scales, rates = (np.asarray(axis.values, dtype=float) for axis in axes[:2])
    edges = [np.arange(n + 1) - 0.5 for n in image.shape]
    mesh = ax.pcolormesh(edges[1], edges[0], image, rasterized=True, **colors)
    tick_cells(ax.yaxis, scales)
    tick_cells(ax.xaxis, rates, mirrored=True)
    ax.axvline(np.sum(rates < 0) - 0.5, color="white", linewidth=1.5)
    label_axes(ax, f"← upward    rate ({axes[1].unit})    downward →", f"scale ({axes[0].unit})")
    return mesh
