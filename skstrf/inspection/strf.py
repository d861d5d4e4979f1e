"""Spectro-temporal modulation tensor of one sound."""

from __future__ import annotations

import copy

import numpy as np

from skstrf.inspection._drawing import (
    TITLE,
    add_colorbar,
    check_axes,
    check_sound,
    check_tensor,
    color_limits,
    draw_image,
    draw_scale_rate_map,
    fitted_for,
    name_channels,
    panels_above_channels,
    quantity_of,
    select_channels,
)

__all__ = ["STRFDisplay"]


class STRFDisplay:
    """Tensor of one sound (scale x rate x frequency x time) as images.

    The upper row shows two averages of the tensor: over scale and rate, which resembles the
    auditory spectrogram, and over frequency and time, a map of scale by rate. The rows below show
    the responses of single channels.

    Parameters
    ----------
    tensor : array-like or torch.Tensor of shape (n_scales, n_rates, n_freqs, n_frames)
        Tensor of one sound. Complex values are shown by their magnitude. If there are negative
        values, zero is in the middle of the colors.
    axes : sequence of Axis
        Name, unit and values of the four axes, as in ``STRFTransformer.axes_``: scale
        (cycles/octave), signed rate (Hz, negative = upward), frequency (Hz), time (s).
    channels : sequence of (scale, rate) or None, default=None
        Channels to plot, as values of the axes. With None, up to three scales and two rates in
        both directions are spread over the tensor.
    quantity : str, default="response"
        Quantity that the tensor holds, for the color bars.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        The mean over scale and rate, the map of scale by rate, then one for each channel.
    im_ : ndarray of QuadMesh
        Image of each of these axes. The channels share one color range.
    colorbars_ : list of Colorbar
        Color bars of the mean, the map and the channels.

    See Also
    --------
    STRFDisplay.from_estimator : Plot the tensor that a transformer computes of a sound.

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
        """Compute the tensor of a sound and plot it.

        The plot shows magnitudes, compressed as the estimator does it, without the contrast that
        subtracts the mean over scale and rate: that mean is the first panel.

        Parameters
        ----------
        estimator : STRFTransformer
            Transformer fitted on sounds of the length of `x`. If it is not fitted, a clone is
            fitted on `x`, which learns nothing but the length.
        x : array-like of shape (n_times,) or (1, n_times)
            One mono sound.
        channels : sequence of (scale, rate) or None, default=None
            Channels to plot, see :class:`STRFDisplay`.
        ax, cmap, title
            Passed to :meth:`plot`.

        Returns
        -------
        STRFDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If `x` is not one sound of the length that the estimator was fitted on.

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
        sound = check_sound(x)
        # A shallow copy keeps what was fitted and leaves the settings of the original alone.
        strf = copy.copy(fitted_for(estimator, sound))
        known = strf.get_params()
        settings = {"output": "magnitude", "contrast": False}
        strf.set_params(**{name: value for name, value in settings.items() if name in known})
        tensor = strf.transform(sound)[0]
        display = cls(tensor, strf.axes_, channels=channels, quantity=quantity_of(strf))
        return display.plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap=None, title=None) -> STRFDisplay:
        """Plot the tensor.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on: two, and one for each channel. With None, a figure is created.
        cmap : str, Colormap or None, default=None
            Color map. With None, it is "magma", or "RdBu_r" for a tensor with negative values;
            both can be read with any color vision.
        title : str or None, default=None
            Title of the figure; unused if `ax` is given.

        Returns
        -------
        STRFDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the shapes of tensor and axes do not match, or there is no such channel.
        """
        tensor = check_tensor(self.tensor, self.axes)
        chosen = select_channels(self.channels, self.axes)
        own_figure = ax is None
        if own_figure:
            ax = panels_above_channels(
                len(chosen), width=9.0, height=2.5, title=title, ncols=2, width_ratios=(1.15, 1)
            )
        self.figure_, self.axes_ = check_axes(ax, 2 + len(chosen), "mean, map and channels")
        mean, grid, *channels = self.axes_
        over_channels, over_places = tensor.mean(axis=(0, 1)), tensor.mean(axis=(2, 3))
        scales, rates = (np.asarray(axis.values, dtype=float) for axis in self.axes[:2])
        images = [
            draw_image(mean, over_channels, self.axes, color_limits(tensor, cmap, over_channels)),
            draw_scale_rate_map(
                grid, over_places, scales, rates, **color_limits(tensor, cmap, over_places)
            ),
        ]
        shown = [tensor[channel] for channel in chosen]
        limits = color_limits(tensor, cmap, *shown)
        for panel, image in zip(channels, shown, strict=True):
            images.append(draw_image(panel, image, self.axes, limits))
        self.im_ = np.array(images, dtype=object)
        name_channels(channels, chosen, self.axes)
        mean.set_title("mean over scale and rate", fontsize=TITLE)
        grid.set_title("mean over frequency and time", fontsize=TITLE)
        # Other axes may stand beside the user's own, so the bar belongs to the last of them.
        beside = (mean, grid, channels if own_figure else channels[-1])
        self.colorbars_ = [
            add_colorbar(self.figure_, image, where, self.quantity)
            for image, where in zip(self.im_[:3], beside, strict=True)
        ]
        return self
