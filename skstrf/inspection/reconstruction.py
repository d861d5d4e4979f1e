"""ReconstructionDisplay: a sound before and after the cortex, and what was lost on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.auditory import (
    auditory_spectrogram,
    center_frequencies,
    frames_per_second,
    log_spectral_distance,
    spectrogram_correlation,
)
from skstrf.auditory.measures import decibels
from skstrf.inspection._drawing import (
    SIZES,
    Colors,
    checked_tensor,
    chosen_channels,
    draw_image,
    fitted_on,
    name_slices,
    new_figure,
    one_sound,
    panels,
    quantity_of,
)
from skstrf.transforms import Axis
from skstrf.utils.arrays import to_numpy

__all__ = ["ReconstructionDisplay"]

_COLUMNS = 4  # of the grid of slices
_RANGE = 60.0  # dB of a spectrogram shown, and compared


class ReconstructionDisplay:
    """Picture of a sound, of what some channels of its tensor hold, and of what comes back.

    Above the auditory spectrogram, that of the reconstruction, and the difference of their
    levels; below the responses of single channels. Both spectrograms are in dB below the
    maximum of the original.

    Parameters
    ----------
    original, reconstruction : array-like or torch.Tensor of shape (n_freqs, n_frames)
        Auditory spectrograms of the same sound, at the same level.
    axes : (Axis, Axis)
        Frequency (Hz) and time (s) of both.
    tensor : array-like, torch.Tensor of shape (n_scales, n_rates, n_rows, n_kept) or None
        What the reconstruction was made from. Complex values are shown by their magnitude.
        None leaves out the lower part.
    tensor_axes : sequence of Axis or None, default=None
        Scale, rate, frequency and time of `tensor`.
    channels : sequence of (scale, rate) or None, default=None
        Channels to draw, by their values on the axes. None spreads up to three scales and two
        rates in both directions over the tensor.
    quantity : str, default="response"
        What the values of the tensor are, for the color bar.

    Attributes
    ----------
    log_spectral_distance_ : float
        In dB, see :func:`skstrf.auditory.log_spectral_distance`.
    correlation_ : float
        See :func:`skstrf.auditory.spectrogram_correlation`.
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes
        Original, reconstruction, difference, then one for each channel.
    im_ : ndarray of QuadMesh
        What is in each of these.
    colorbars_ : list of Colorbar
        Of the spectrograms, the difference and the channels.

    See Also
    --------
    ReconstructionDisplay.from_estimator : From a transformer and a sound.
    skstrf.inspection.sonify : The reconstruction for the ear.

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
        """Transform a sound, invert its tensor and draw both.

        Parameters
        ----------
        estimator : STRFTransformer
            Fitted on sounds of the length of `x`; one that is not fitted is cloned and
            fitted (nothing is learned from sounds).
        x : array-like of shape (n_times,) or (1, n_times)
            One mono sound. With ``normalize=True`` both spectrograms are those of the sound
            brought to unit variance.
        channels : sequence of (scale, rate) or None, default=None
            See :class:`ReconstructionDisplay`.
        ax, cmap, title
            See :meth:`plot`.

        Returns
        -------
        ReconstructionDisplay
            Drawn.

        Raises
        ------
        ValueError
            When `x` is not one sound, not of the length the estimator was fitted on, or the
            tensor cannot be inverted.
        """
        sound = one_sound(x)
        strf = fitted_on(estimator, sound)
        tensor = strf.transform(sound)
        original = _spectrogram(strf, sound)
        display = cls(
            original,
            to_numpy(strf.inverse_transform(tensor, to="spectrogram"))[0],
            _spectrogram_axes(strf, original.shape[1]),
            tensor=to_numpy(tensor)[0],
            tensor_axes=strf.axes_,
            channels=channels,
            quantity=quantity_of(strf),
        )
        return display.plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap=None, title=None) -> ReconstructionDisplay:
        """Draw spectrograms, difference and channels.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Three, and one for each channel. None makes a figure.
        cmap : str, Colormap or None, default=None
            Colors of spectrograms and channels. None takes "magma", or "RdBu_r" for channels
            with negative values. The difference is always "RdBu_r": red where the reconstruction
            is louder.
        title : str or None, default=None
            Above the whole figure, before the measures; left out when `ax` is given, and the
            measures stand above the reconstruction.

        Returns
        -------
        ReconstructionDisplay
            This object.

        Raises
        ------
        ValueError
            When spectrograms, tensor, axes and channels do not fit each other.
        """
        original, reconstruction = self._measured()
        chosen, shown, colors = self._slices(cmap)
        n_panels = 3 + len(chosen)
        if ax is None:
            self.figure_, self.axes_ = _layout(len(chosen))
            words = [title] if title else []
            self.figure_.suptitle(
                "\n".join([*words, self._measures()]), fontsize=10, parse_math=False
            )
        else:
            self.figure_, self.axes_ = panels(ax, n_panels, "spectrograms, difference, channels")
        levels = [decibels(v, original) for v in (original, reconstruction)]
        # Against silence any sound is infinitely loud, which no color shows.
        difference = np.clip(levels[1] - levels[0], -_RANGE, _RANGE)
        limit = max(1.0, float(np.percentile(np.abs(difference), 99)))
        scale = {"cmap": cmap or "magma", "vmin": -_RANGE, "vmax": 0.0}
        signed = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        images = [
            draw_image(panel, image, self.axes, limits)
            for panel, image, limits in zip(
                self.axes_[:3], [*levels, difference], [scale, scale, signed], strict=True
            )
        ]
        slices = self.axes_[3:].tolist()
        for panel, image in zip(slices, shown, strict=True):
            images.append(draw_image(panel, image, self.tensor_axes, colors))
        self.im_ = np.array(images, dtype=object)
        name_slices(slices, chosen, self.tensor_axes)
        self._name_spectrograms(measured=ax is not None)
        self._draw_colorbars(slices, whole_rows=ax is None)
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

    def _measures(self) -> str:
        distance, correlation = self.log_spectral_distance_, self.correlation_
        known = "undefined" if np.isnan(correlation) else f"{correlation:.3f}"
        return f"log-spectral distance {distance:.1f} dB, correlation {known}"

    def _slices(self, cmap: Any) -> tuple[list[tuple[int, int]], list[np.ndarray], dict]:
        if self.tensor is None:
            return [], [], {}
        tensor = checked_tensor(self.tensor, self.tensor_axes)
        chosen = chosen_channels(self.channels, self.tensor_axes)
        shown = [tensor[channel] for channel in chosen]
        return chosen, shown, Colors(tensor, cmap).of(*shown)

    def _name_spectrograms(self, *, measured: bool) -> None:
        names = ["original", "reconstruction", "reconstruction - original"]
        if measured:
            names[1] += "\n" + self._measures()
        for panel, name in zip(self.axes_[:3], names, strict=True):
            panel.set_title(name, fontsize=SIZES["titlesize"])
            panel.label_outer()

    def _draw_colorbars(self, slices: list, *, whole_rows: bool) -> None:
        first, second, third = self.axes_[:3]
        parts = [(self.im_[1], second, "level (dB)"), (self.im_[2], third, "difference (dB)")]
        if whole_rows:
            parts[0] = (self.im_[1], [first, second], "level (dB)")
        if slices:
            parts.append((self.im_[3], slices if whole_rows else slices[-1], self.quantity))
        self.colorbars_ = []
        for image, where, words in parts:
            extend = "both" if image is self.im_[2] else "neither"
            bar = self.figure_.colorbar(image, ax=where, pad=0.02, aspect=30, extend=extend)
            bar.set_label(words, fontsize=SIZES["labelsize"])
            bar.ax.tick_params(labelsize=SIZES["ticksize"])
            self.colorbars_.append(bar)


def _spectrogram(strf: Any, sound: np.ndarray) -> np.ndarray:
    """The auditory spectrogram that the transformer's cortical stage sees."""
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


def _spectrogram_axes(strf: Any, n_frames: int) -> tuple[Axis, Axis]:
    times = (np.arange(n_frames) + 0.5) / frames_per_second(strf.hop_duration)
    return Axis("frequency", "Hz", center_frequencies()), Axis("time", "s", times)


def _layout(n_slices: int) -> tuple[Any, np.ndarray]:
    """One figure: three panels above, the slices in rows of four below."""
    columns = max(1, min(_COLUMNS, n_slices))
    rows = -(-n_slices // columns)
    if not rows:
        figure = new_figure((10.0, 3.0))
        return figure, figure.subplots(1, 3, sharex=True, sharey=True)
    heights = (2.8, 1.35 * rows + 0.6)
    figure = new_figure((10.0, sum(heights)))
    figure.get_layout_engine().set(w_pad=0.07)
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    above = top.subplots(1, 3, sharex=True, sharey=True)
    below = bottom.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for unused in below[n_slices:]:
        unused.remove()
    return figure, np.concatenate([above, below[:n_slices]])
