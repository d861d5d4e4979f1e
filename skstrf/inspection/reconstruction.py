"""Original and reconstructed auditory spectrogram of a sound."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.auditory import auditory_spectrogram
from skstrf.auditory.measures import decibels, log_spectral_distance, spectrogram_correlation
from skstrf.inspection._drawing import (
    DECIBEL_RANGE,
    TITLE,
    add_colorbar,
    check_axes,
    check_sound,
    check_tensor,
    color_limits,
    draw_image,
    fitted_for,
    name_channels,
    panels_above_channels,
    quantity_of,
    select_channels,
    spectrogram_axes,
)
from skstrf.utils.arrays import to_numpy

__all__ = ["ReconstructionDisplay"]


class ReconstructionDisplay:
    """Spectrograms of a sound and of its reconstruction, with some channels of the tensor.

    The upper row shows the auditory spectrogram of the sound, the reconstruction, and the
    difference of their levels; the rows below show the responses of single channels. Both
    spectrograms are in dB relative to the maximum of the original.

    Parameters
    ----------
    original, reconstruction : array-like or torch.Tensor of shape (n_freqs, n_frames)
        Auditory spectrograms of the same sound, at the same level.
    axes : (Axis, Axis)
        Frequency (Hz) and time (s) of both spectrograms.
    tensor : array-like or torch.Tensor of shape (n_scales, n_rates, n_rows, n_kept), default=None
        Tensor that the reconstruction was computed from. Complex values are shown by their
        magnitude. With None, no channels are plotted.
    tensor_axes : sequence of Axis or None, default=None
        Scale, rate, frequency and time of `tensor`.
    channels : sequence of (scale, rate) or None, default=None
        Channels to plot, as values of the axes. With None, up to three scales and two rates in
        both directions are spread over the tensor.
    quantity : str, default="response"
        Quantity that the tensor holds, for the color bar.

    Attributes
    ----------
    log_spectral_distance_ : float
        Distance in dB, see :func:`skstrf.auditory.measures.log_spectral_distance`.
    correlation_ : float
        Correlation, see :func:`skstrf.auditory.measures.spectrogram_correlation`.
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes
        Original, reconstruction, difference, then one for each channel.
    im_ : ndarray of QuadMesh
        Image of each of these axes.
    colorbars_ : list of Colorbar
        Color bars of the spectrograms, the difference and the channels.

    See Also
    --------
    ReconstructionDisplay.from_estimator : Plot the reconstruction by a transformer.
    skstrf.inspection.sonify : Make the reconstruction audible.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.inspection import ReconstructionDisplay
    >>> from skstrf.transforms import Axis
    >>> frequencies, times = 440 * 2.0 ** np.arange(3), np.arange(5) / 8
    >>> axes = [Axis("frequency", "Hz", frequencies), Axis("time", "s", times)]
    >>> original = np.random.default_rng(0).random((3, 5)) + 0.1
    >>> display = ReconstructionDisplay(original, 0.5 * original, axes).plot()
    >>> display.figure_.get_suptitle()
    'log-spectral distance 6.0 dB, correlation 1.000'
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        original,
        reconstruction,
        axes,
        *,
        tensor=None,
        tensor_axes=None,
        channels=None,
        quantity="response",
    ):
        self.original = original
        self.reconstruction = reconstruction
        self.axes = axes
        self.tensor = tensor
        self.tensor_axes = tensor_axes
        self.channels = channels
        self.quantity = quantity

    @classmethod
    def from_estimator(
        cls, estimator, x, *, channels=None, ax=None, cmap=None, title=None
    ) -> ReconstructionDisplay:
        """Transform a sound, invert its tensor and plot both.

        Parameters
        ----------
        estimator : STRFTransformer
            Transformer fitted on sounds of the length of `x`. If it is not fitted, a clone is
            fitted on `x`, which learns nothing but the length.
        x : array-like of shape (n_times,) or (1, n_times)
            One mono sound. With ``normalize=True``, both spectrograms are those of the sound at
            unit variance.
        channels : sequence of (scale, rate) or None, default=None
            Channels to plot, see :class:`ReconstructionDisplay`.
        ax, cmap, title
            Passed to :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If `x` is not one sound of the length that the estimator was fitted on, or the tensor
            cannot be inverted.
        """
        sound = check_sound(x)
        strf = fitted_for(estimator, sound)
        tensor = strf.transform(sound)
        original = _spectrogram(strf, sound)
        display = cls(
            original,
            to_numpy(strf.inverse_spectrogram(tensor))[0],
            spectrogram_axes(original.shape[1], strf.hop_duration),
            tensor=to_numpy(tensor)[0],
            tensor_axes=strf.axes_,
            channels=channels,
            quantity=quantity_of(strf),
        )
        return display.plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap=None, title=None) -> ReconstructionDisplay:
        """Plot the spectrograms, their difference and the channels.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on: three, and one for each channel. With None, a figure is created.
        cmap : str, Colormap or None, default=None
            Color map of spectrograms and channels. With None, it is "magma", or "RdBu_r" for
            channels with negative values. The difference is always in "RdBu_r", with red where the
            reconstruction is louder.
        title : str or None, default=None
            First line of the title, above the measures; unused if `ax` is given, and the measures
            are then above the reconstruction.

        Returns
        -------
        ReconstructionDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the shapes of spectrograms, tensor and axes do not match, or there is no such
            channel.
        """
        original, reconstruction = self._measured()
        chosen, shown, colors = self._channels(cmap)
        own_figure = ax is None
        known = "undefined" if np.isnan(self.correlation_) else f"{self.correlation_:.3f}"
        measures = (
            f"log-spectral distance {self.log_spectral_distance_:.1f} dB, correlation {known}"
        )
        if own_figure:
            ax = panels_above_channels(
                len(chosen),
                width=10.0,
                height=2.8,
                title=f"{title}\n{measures}" if title else measures,
                ncols=3,
                sharex=True,
                sharey=True,
            )
        content = "spectrograms, difference, channels"
        self.figure_, self.axes_ = check_axes(ax, 3 + len(chosen), content)
        levels = [decibels(v, original) for v in (original, reconstruction)]
        # Relative to silence, any sound is infinitely loud, which no color can show.
        difference = np.clip(levels[1] - levels[0], -DECIBEL_RANGE, DECIBEL_RANGE)
        limit = max(1.0, float(np.percentile(np.abs(difference), 99)))
        level = {"cmap": cmap or "magma", "vmin": -DECIBEL_RANGE, "vmax": 0.0}
        signed = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        names = ["original", "reconstruction", "reconstruction - original"]
        if not own_figure:
            names[1] += "\n" + measures
        images = []
        for panel, image, limits, name in zip(
            self.axes_, [*levels, difference], [level, level, signed], names, strict=False
        ):
            images.append(draw_image(panel, image, self.axes, limits))
            panel.set_title(name, fontsize=TITLE)
            panel.label_outer()
        channels = self.axes_[3:].tolist()
        for panel, image in zip(channels, shown, strict=True):
            images.append(draw_image(panel, image, self.tensor_axes, colors))
        name_channels(channels, chosen, self.tensor_axes)
        self.im_ = np.array(images, dtype=object)
        self._draw_colorbars(channels, own_figure)
        return self

    def _measured(self) -> tuple[np.ndarray, np.ndarray]:
        original, reconstruction = to_numpy(self.original), to_numpy(self.reconstruction)
        shape = tuple(len(axis.values) for axis in self.axes)
        for name, v in (("original", original), ("reconstruction", reconstruction)):
            if v.shape != shape:
                raise ValueError(
                    f"{name} must be one spectrogram of the shape {shape} of axes; "
                    f"got shape {v.shape}."
                )
        self.log_spectral_distance_ = log_spectral_distance(original, reconstruction)
        self.correlation_ = spectrogram_correlation(original, reconstruction)
        return original, reconstruction

    def _channels(self, cmap: Any) -> tuple[list[tuple[int, int]], list[np.ndarray], dict]:
        if self.tensor is None:
            return [], [], {}
        tensor = check_tensor(self.tensor, self.tensor_axes)
        chosen = select_channels(self.channels, self.tensor_axes)
        shown = [tensor[channel] for channel in chosen]
        return chosen, shown, color_limits(tensor, cmap, *shown)

    def _draw_colorbars(self, channels: list, own_figure: bool) -> None:
        # Other axes may stand beside the user's own, so each bar belongs to one of them.
        levels = self.axes_[:2].tolist() if own_figure else self.axes_[1]
        self.colorbars_ = [
            add_colorbar(self.figure_, self.im_[1], levels, "level (dB)"),
            add_colorbar(
                self.figure_, self.im_[2], self.axes_[2], "difference (dB)", extend="both"
            ),
        ]
        if channels:
            where = channels if own_figure else channels[-1]
            self.colorbars_.append(add_colorbar(self.figure_, self.im_[3], where, self.quantity))


def _spectrogram(strf: Any, sound: np.ndarray) -> np.ndarray:
    """Compute the auditory spectrogram that is the input of the cortical stage."""
    from scipy.stats import zscore

    if strf.normalize and np.ptp(sound) > 0:
        sound = zscore(sound, axis=1, ddof=1)
    return auditory_spectrogram(
        sound[0],
        sample_rate=strf.sample_rate,
        hop_duration=strf.hop_duration,
        time_constant=strf.time_constant,
        nonlinearity=strf.nonlinearity,
    )
