"""Spectro-temporal receptive fields as images."""

from __future__ import annotations

from typing import Any

import numpy as np

from skstrf.auditory import receptive_field
from skstrf.auditory.cochlea import frames_per_second
from skstrf.auditory.cortex import DEFAULT_RATES, DEFAULT_SCALES, signed_rates
from skstrf.auditory.modulation_filters import ReceptiveField, check_ascending, filter_kinds
from skstrf.inspection._drawing import (
    LABEL,
    TITLE,
    channel_name,
    check_axes,
    direction,
    indices_of,
    label_image,
    new_figure,
)
from skstrf.utils.validation import check_is_fitted

__all__ = ["ReceptiveFieldDisplay"]

_SIGNED_RATES = tuple(signed_rates(DEFAULT_RATES))
# The part of a field that is shown, which holds all but a few percent of its energy: cycles of
# its rate before and after the response, and cycles of its scale on both sides.
_CYCLES = (-2.2, 0.4)
_SPECTRAL_CYCLES = 1.1
_MANY = 12  # panels; more are small and share their titles and labels
_MIN_POINTS = 64  # along the shorter side of a panel


class ReceptiveFieldDisplay:
    """Images of spectro-temporal receptive fields.

    A panel shows the sound that its channel responds to, as it appears in a spectrogram: time runs
    to the right, the response is read at 0 ms, and 0 octaves is the frequency of the channel.
    Sound in the red regions excites the channel, and sound in the blue regions inhibits it.

    Parameters
    ----------
    fields : sequence of (sequence of ReceptiveField)
        One row for each scale, which holds one field for each rate, see
        :func:`skstrf.auditory.receptive_field`.
    rates : array-like of shape (n_rates,)
        Signed rates in Hz; negative rates move upward in frequency, positive rates downward.
    scales : array-like of shape (n_scales,)
        Scales in cycles/octave.
    best_frequency : float or None, default=None
        Frequency of the channels in Hz. With None, the frequency axis is in octaves instead of Hz.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        Figure that holds the axes.
    axes_ : ndarray of Axes of shape (n_scales, n_rates)
        Axes in the order of `scales` and `rates`; the figure has the highest scale on top.
    im_ : ndarray of AxesImage of shape (n_scales, n_rates)
        Images of the fields, each divided by its largest absolute value.
    colorbar_ : Colorbar
        Color bar of all panels.

    See Also
    --------
    ReceptiveFieldDisplay.from_rates_scales : Plot the fields of rates and scales.
    ReceptiveFieldDisplay.from_estimator : Plot the channels of a transformer.
    skstrf.auditory.receptive_field : Compute one field.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005, figure 2.

    Examples
    --------
    >>> from skstrf.auditory import receptive_field
    >>> from skstrf.inspection import ReceptiveFieldDisplay
    >>> fields = [[receptive_field(-4, 1), receptive_field(4, 1)]]
    >>> display = ReceptiveFieldDisplay(fields, rates=[-4, 4], scales=[1]).plot()
    >>> [ax.get_title() for ax in display.axes_[0]]
    ['1 cyc/oct, 4 Hz upward', '1 cyc/oct, 4 Hz downward']
    >>> import matplotlib.pyplot as plt
    >>> plt.close(display.figure_)
    """

    def __init__(self, fields, rates, scales, *, best_frequency=None):
        self.fields = fields
        self.rates = rates
        self.scales = scales
        self.best_frequency = best_frequency

    @classmethod
    def from_rates_scales(
        cls,
        rates=_SIGNED_RATES,
        scales=DEFAULT_SCALES,
        *,
        bandpass=True,
        frame_rate=125.0,
        n_frames=256,
        best_frequency=None,
        ax=None,
        cmap="RdBu_r",
        title=None,
    ) -> ReceptiveFieldDisplay:
        """Plot the fields of rates and scales.

        Parameters
        ----------
        rates : sequence of float, default=(-32, -16, -8, -4, -2, 2, 4, 8, 16, 32)
            Signed rates in Hz, in ascending order.
        scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
            Scales in cycles/octave, in ascending order.
        bandpass : bool, default=True
            Whether all filters are band-pass. If False, the lowest and the highest rate and scale
            are the low-pass and high-pass filters of a bank made with ``bandpass=False``.
        frame_rate : float, default=125.0
            Frames per second of the spectrogram.
        n_frames : int, default=256
            Number of frames of the spectrogram, which has a small effect on the rate filters.
        best_frequency : float or None, default=None
            Frequency of the channels in Hz, see :class:`ReceptiveFieldDisplay`.
        ax, cmap, title
            Passed to :meth:`plot`.

        Returns
        -------
        ReceptiveFieldDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If rates or scales are not ascending, or a rate is 0 or above half the frame rate.

        Examples
        --------
        >>> from skstrf.inspection import ReceptiveFieldDisplay
        >>> display = ReceptiveFieldDisplay.from_rates_scales([-8, 8], [0.5, 2])
        >>> display.figure_.savefig("fields.png")  # doctest: +SKIP
        >>> import matplotlib.pyplot as plt
        >>> plt.close(display.figure_)
        """
        signed = _check_signed(rates)
        bank = check_ascending(scales, "scales")
        size = {"frame_rate": float(frame_rate), "n_frames": n_frames}
        fields = _fields(signed, bank, np.unique(np.abs(signed)), bank, bandpass, size)
        display = cls(fields, signed, bank, best_frequency=best_frequency)
        return display.plot(ax=ax, cmap=cmap, title=title)

    @classmethod
    def from_estimator(
        cls, estimator, *, channels=None, best_frequency=None, ax=None, cmap="RdBu_r", title=None
    ) -> ReceptiveFieldDisplay:
        """Plot the channels of a transformer, with its low-pass and high-pass filters.

        Parameters
        ----------
        estimator : STRFTransformer
            Fitted transformer.
        channels : (sequence of float, sequence of float) or None, default=None
            Scales and signed rates to plot. With None, all are plotted.
        best_frequency : float or None, default=None
            Frequency of the channels in Hz, see :class:`ReceptiveFieldDisplay`.
        ax, cmap, title
            Passed to :meth:`plot`.

        Returns
        -------
        ReceptiveFieldDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If the transformer has no such rate or scale.
        """
        check_is_fitted(estimator)
        scales, rates = all_scales, all_rates = estimator.scales_, estimator.rates_
        if channels is not None:
            scales = all_scales[indices_of(channels[0], all_scales, "scale")]
            rates = all_rates[indices_of(channels[1], all_rates, "rate")]
        frame_rate = frames_per_second(estimator.hop_duration)
        duration = estimator.n_features_in_ / estimator.sample_rate
        size = {"frame_rate": frame_rate, "n_frames": max(1, int(np.ceil(duration * frame_rate)))}
        bank = all_rates[all_rates > 0]
        fields = _fields(rates, scales, bank, all_scales, estimator.bandpass, size)
        display = cls(fields, rates, scales, best_frequency=best_frequency)
        return display.plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap="RdBu_r", title=None) -> ReceptiveFieldDisplay:
        """Plot one panel for each field.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to plot on, one for each scale and rate, beginning with all rates of the first
            scale. With None, a figure is created in which scales increase upward and rates to the
            right.
        cmap : str or Colormap, default="RdBu_r"
            Diverging color map, whose middle is zero. The default can be read with any color
            vision.
        title : str or None, default=None
            Title of the figure; unused if `ax` is given.

        Returns
        -------
        ReceptiveFieldDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the shapes of fields, rates and scales do not match.
        """
        shape = _check_fields(self.fields, self.rates, self.scales, self.best_frequency)
        own_figure = ax is None
        if own_figure:
            ax = _layout(shape, title)
        self.figure_, axes = check_axes(ax, shape[0] * shape[1], "one for each scale and rate")
        self.axes_ = axes.reshape(shape)
        self.im_ = np.empty(shape, dtype=object)
        for place, panel in np.ndenumerate(self.axes_):
            scale, rate = place
            self.im_[place] = _draw_field(panel, self.fields[scale][rate], cmap)
            panel.set_title(channel_name(self.scales[scale], self.rates[rate]), fontsize=LABEL)
            _label(panel, self.best_frequency, n_ticks=2 if self.axes_.size > _MANY else 4)
        if own_figure:
            for panel in axes:
                panel.label_outer()
            if axes.size > _MANY:
                self._share_labels()
        bar = self.figure_.colorbar(
            self.im_[0, 0], ax=axes.tolist(), pad=0.02, aspect=40, ticks=[-1, 0, 1]
        )
        bar.ax.set_yticklabels(["inhibits", "0", "excites"], fontsize=LABEL)
        bar.set_label("weight / largest of its field", fontsize=LABEL)
        self.colorbar_ = bar
        return self

    def _share_labels(self) -> None:
        """Label rows and columns once, as the panels are too small for labels of their own."""
        for panel in self.axes_.ravel():
            panel.set(title="", xlabel="", ylabel="")
        for panel, rate in zip(self.axes_[-1], self.rates, strict=True):
            panel.set_title(f"{abs(rate):.3g} Hz\n{direction(rate)}", fontsize=LABEL)
        for panel, scale in zip(self.axes_[:, 0], self.scales, strict=True):
            panel.set_ylabel(f"{scale:.3g} cyc/oct", fontsize=LABEL)
        unit = "octaves" if self.best_frequency is None else "Hz"
        self.figure_.supxlabel("time relative to the response (ms)", fontsize=TITLE)
        self.figure_.supylabel(f"frequency ({unit})", fontsize=TITLE)


def _check_signed(rates: Any) -> np.ndarray:
    signed = np.atleast_1d(np.asarray(rates, dtype=float))
    if signed.ndim != 1 or not signed.size or not (np.isfinite(signed).all() and signed.all()):
        raise ValueError(f"rates must be signed and not 0, in Hz; got {rates!r}.")
    if (np.diff(signed) <= 0).any():
        raise ValueError(f"rates must be ascending, negative ones first; got {rates!r}.")
    return signed


def _fields(rates, scales, bank_rates, bank_scales, bandpass, size) -> list[list[ReceptiveField]]:
    """Compute the shown part of every field, with enough points for a smooth image."""
    rate_kinds = dict(zip(bank_rates, filter_kinds(len(bank_rates), bandpass), strict=True))
    scale_kinds = dict(zip(bank_scales, filter_kinds(len(bank_scales), bandpass), strict=True))
    n_points = size["frame_rate"] * np.ptp(_CYCLES)

    def field(rate, scale):
        shorter = min(n_points / abs(rate), 24 * 2 * _SPECTRAL_CYCLES / scale)
        return receptive_field(
            rate,
            scale,
            rate_kind=rate_kinds[abs(rate)],
            scale_kind=scale_kinds[scale],
            oversampling=max(1, int(np.ceil(_MIN_POINTS / shorter))),
            time_limits=tuple(1000 * cycles / abs(rate) for cycles in _CYCLES),
            octave_limits=(-_SPECTRAL_CYCLES / scale, _SPECTRAL_CYCLES / scale),
            **size,
        )

    return [[field(rate, scale) for rate in rates] for scale in scales]


def _check_fields(fields: Any, rates: Any, scales: Any, best_frequency: Any) -> tuple[int, int]:
    shape = len(scales), len(rates)
    if not all(shape) or len(fields) != shape[0] or any(len(row) != shape[1] for row in fields):
        raise ValueError(
            f"fields must hold one row for each of {shape[0]} scales, with one field for each of "
            f"{shape[1]} rates."
        )
    for field, times, octaves in (field for row in fields for field in row):
        if np.shape(field) != (len(octaves), len(times)) or not np.isfinite(field).all():
            raise ValueError(
                f"every field must be finite, with the shape {(len(octaves), len(times))} of its "
                f"octaves and times; got {np.shape(field)}."
            )
    if best_frequency is not None and not best_frequency > 0:
        raise ValueError(f"best_frequency must be above 0 Hz, got {best_frequency!r}.")
    return shape


def _layout(shape: tuple[int, int], title: str | None) -> np.ndarray:
    n_scales, n_rates = shape
    width, height = (1.0, 0.95) if n_scales * n_rates > _MANY else (2.2, 2.0)
    figure = new_figure((width * n_rates + 1.8, height * n_scales + 1.0), title)
    axes = figure.subplots(n_scales, n_rates, sharex="col", sharey="row", squeeze=False)
    return axes[::-1].ravel()  # low scales at the bottom


def _draw_field(ax: Any, field: ReceptiveField, cmap: Any) -> Any:
    weights, times, octaves = (np.asarray(part) for part in field)
    largest = np.abs(weights).max()
    image = ax.imshow(
        weights / largest if largest > 0 else weights,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(*_span(times), *_span(octaves)),
        cmap=cmap,
        vmin=-1,
        vmax=1,
    )
    ax.axvline(0, color="0.35", linewidth=0.6, linestyle=":")
    ax.axhline(0, color="0.35", linewidth=0.6, linestyle=":")
    return image


def _span(centers: np.ndarray) -> tuple[float, float]:
    half = (centers[-1] - centers[0]) / max(1, len(centers) - 1) / 2 or 0.5
    return float(centers[0] - half), float(centers[-1] + half)


def _label(ax: Any, best_frequency: float | None, n_ticks: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    unit = "octaves" if best_frequency is None else "Hz"
    label_image(ax, "time (ms)", f"frequency ({unit})")
    if best_frequency is not None:
        ax.yaxis.set_major_formatter(
            FuncFormatter(lambda octave, _: f"{best_frequency * 2.0**octave:.0f}")
        )
