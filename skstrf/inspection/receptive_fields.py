"""ReceptiveFieldDisplay: where and when sound excites a channel, and where it inhibits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skstrf.auditory import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    ReceptiveField,
    frames_per_second,
    receptive_field,
    signed_rates,
)
from skstrf.auditory.modulation_filters import check_ascending, filter_kinds
from skstrf.inspection._drawing import SIZES, channel_name, new_figure, panels
from skstrf.utils.validation import check_is_fitted

__all__ = ["ReceptiveFieldDisplay"]

_SIGNED_RATES = tuple(signed_rates(DEFAULT_RATES))
# What of a field is shown: cycles of its rate before and after the response, and of its scale
# on both sides. All but a few percent of its energy is there.
_CYCLES = (-2.2, 0.4)
_SPECTRAL_CYCLES = 1.1
_MANY = 12  # panels, from which on they are small and share their names
_POINTS = 64  # of the shorter side of a panel, at least


class ReceptiveFieldDisplay:
    """Pictures of spectro-temporal receptive fields.

    A panel shows the sound that its channel answers to, as it looks in a spectrogram: time runs
    to the right and the response is read at 0 ms, 0 octaves is the channel's own frequency.
    Sound in the red regions excites the channel, sound in the blue ones inhibits it.

    Parameters
    ----------
    fields : sequence of (sequence of ReceptiveField)
        For every scale one field a rate, from :func:`skstrf.auditory.receptive_field`.
    rates : array-like of shape (n_rates,)
        Hz, signed: negative = upward-moving, positive = downward-moving.
    scales : array-like of shape (n_scales,)
        Cycles/octave.
    best_frequency : float or None, default=None
        In Hz, of the channels; the frequency axis is then in Hz instead of octaves.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure drawn in.
    axes_ : ndarray of Axes of shape (n_scales, n_rates)
        In the order of `scales` and `rates`; the figure has the highest scale on top.
    im_ : ndarray of AxesImage of shape (n_scales, n_rates)
        The fields, each divided by its largest absolute value.
    colorbar_ : Colorbar
        Of all panels.

    See Also
    --------
    ReceptiveFieldDisplay.from_rates_scales : From rates and scales alone.
    ReceptiveFieldDisplay.from_estimator : The channels of a transformer.
    skstrf.auditory.receptive_field : The numbers, and how they are defined.

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
        """Draw the fields of some rates and scales.

        Parameters
        ----------
        rates : sequence of float, default=(-32, -16, -8, -4, -2, 2, 4, 8, 16, 32)
            Hz, signed, ascending.
        scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
            Cycles/octave, ascending.
        bandpass : bool, default=True
            False draws the lowest and the highest rate and scale as the low-pass and
            high-pass filters that they are in a bank made with ``bandpass=False``.
        frame_rate : float, default=125.0
            Frames of the spectrogram per second.
        n_frames : int, default=256
            Frames of the spectrogram; the rate filters depend on it a little.
        best_frequency : float or None, default=None
            See :class:`ReceptiveFieldDisplay`.
        ax, cmap, title
            See :meth:`plot`.

        Returns
        -------
        ReceptiveFieldDisplay
            Drawn.

        Raises
        ------
        ValueError
            On rates or scales that are not ascending, a rate of 0, or one above half the frame
            rate.

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
        """Draw the channels of a transformer, low-pass and high-pass ones as they are.

        Parameters
        ----------
        estimator : STRFTransformer
            Fitted.
        channels : (sequence of float, sequence of float) or None, default=None
            The scales and the signed rates to draw. None draws all.
        best_frequency : float or None, default=None
            See :class:`ReceptiveFieldDisplay`.
        ax, cmap, title
            See :meth:`plot`.

        Returns
        -------
        ReceptiveFieldDisplay
            Drawn.

        Raises
        ------
        ValueError
            When the transformer has no such rate or scale.
        """
        check_is_fitted(estimator)
        all_scales, all_rates = estimator.scales_, estimator.rates_
        scales, rates = (all_scales, all_rates) if channels is None else channels
        scales = _known(scales, all_scales, "scale")
        rates = _known(rates, all_rates, "rate")
        frame_rate = frames_per_second(estimator.hop_duration)
        duration = estimator.n_features_in_ / estimator.sample_rate
        size = {"frame_rate": frame_rate, "n_frames": max(1, int(np.ceil(duration * frame_rate)))}
        bank = all_rates[all_rates > 0]
        fields = _fields(rates, scales, bank, all_scales, estimator.bandpass, size)
        display = cls(fields, rates, scales, best_frequency=best_frequency)
        return display.plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap="RdBu_r", title=None) -> ReceptiveFieldDisplay:
        """Draw one panel a field.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            One for each scale and rate, all rates of the first scale first. None makes a
            figure with scales upward and rates to the right.
        cmap : str or Colormap, default="RdBu_r"
            Diverging colors with zero in the middle; the default can be read with any color
            vision.
        title : str or None, default=None
            Above the whole figure; left out when `ax` is given.

        Returns
        -------
        ReceptiveFieldDisplay
            This object.

        Raises
        ------
        ValueError
            When fields, rates and scales do not fit each other.
        """
        shape = _check_fields(self.fields, self.rates, self.scales, self.best_frequency)
        if ax is None:
            self.figure_, axes = _layout(shape, self.fields, title)
        else:
            self.figure_, axes = panels(ax, shape[0] * shape[1], "one for each scale and rate")
        self.axes_ = axes.reshape(shape)
        self.im_ = np.empty(shape, dtype=object)
        for place, panel in np.ndenumerate(self.axes_):
            scale, rate = place
            self.im_[place] = _draw_field(panel, self.fields[scale][rate], cmap)
            name = channel_name(self.scales[scale], self.rates[rate])
            panel.set_title(name, fontsize=SIZES["labelsize"])
            _label(panel, self.best_frequency, n_ticks=2 if self.axes_.size > _MANY else 4)
        if ax is None:
            _name_grid(self.axes_, self.rates, self.scales)
        bar = self.figure_.colorbar(
            self.im_[0, 0], ax=self.axes_.ravel().tolist(), pad=0.02, aspect=40, ticks=[-1, 0, 1]
        )
        bar.ax.set_yticklabels(["inhibits", "0", "excites"], fontsize=SIZES["labelsize"])
        bar.set_label("weight / largest of its field", fontsize=SIZES["labelsize"])
        self.colorbar_ = bar
        return self


def _check_signed(rates: Any) -> np.ndarray:
    signed = np.atleast_1d(np.asarray(rates, dtype=float))
    if signed.ndim != 1 or not signed.size or not (np.isfinite(signed).all() and signed.all()):
        raise ValueError(f"rates must be signed and not 0, in Hz; got {rates!r}.")
    if (np.diff(signed) <= 0).any():
        raise ValueError(f"rates must be ascending, so negative ones first; got {rates!r}.")
    return signed


def _known(wanted: Any, known: np.ndarray, name: str) -> np.ndarray:
    values = np.atleast_1d(np.asarray(wanted, dtype=float))
    found = [int(np.abs(known - value).argmin()) for value in values]
    for value, index in zip(values, found, strict=True):
        if not np.isclose(known[index], value, rtol=0.01, atol=0):
            there = ", ".join(f"{v:.4g}" for v in known)
            raise ValueError(f"channels: there is no {name} {value:g}, there are {there}.")
    if not found:
        raise ValueError(f"channels must name at least one {name}.")
    return known[found]


def _fields(rates, scales, bank_rates, bank_scales, bandpass, size) -> list[list[ReceptiveField]]:
    """The shown part of every field, in points close enough for a smooth picture."""
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
            oversampling=max(1, int(np.ceil(_POINTS / shorter))),
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
                f"every field must be finite, of the shape {(len(octaves), len(times))} of its "
                f"octaves and times; got {np.shape(field)}."
            )
    if best_frequency is not None and not best_frequency > 0:
        raise ValueError(f"best_frequency must lie above 0 Hz, got {best_frequency!r}.")
    return shape


def _layout(shape: tuple[int, int], fields: Any, title: str | None) -> tuple[Any, np.ndarray]:
    n_scales, n_rates = shape
    many = n_scales * n_rates > _MANY
    width, height = (1.0, 0.95) if many else (2.2, 2.0)
    figure = new_figure((width * n_rates + 1.8, height * n_scales + 1.0))
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    axes = figure.subplots(n_scales, n_rates, sharex="col", sharey="row", squeeze=False)
    return figure, axes[::-1].ravel()  # low scales at the bottom


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
    ax.tick_params(labelsize=SIZES["ticksize"])
    ax.set_xlabel("time (ms)", fontsize=SIZES["labelsize"])
    ax.set_ylabel("frequency (octaves)", fontsize=SIZES["labelsize"])
    if best_frequency is not None:
        ax.set_ylabel("frequency (Hz)", fontsize=SIZES["labelsize"])
        ax.yaxis.set_major_formatter(
            FuncFormatter(lambda octave, _: f"{best_frequency * 2.0**octave:.0f}")
        )


def _name_grid(axes: np.ndarray, rates: Sequence[float], scales: Sequence[float]) -> None:
    """Name rows and columns once where panels are too small for titles of their own."""
    for ax in axes.ravel():
        ax.label_outer()
    if axes.size <= _MANY:
        return
    for ax in axes.ravel():
        ax.set_title("")
        ax.set_xlabel("")
        ax.set_ylabel("")
    for ax, rate in zip(axes[-1], rates, strict=True):
        direction = "upward" if rate < 0 else "downward"
        ax.set_title(f"{abs(rate):.3g} Hz\n{direction}", fontsize=SIZES["labelsize"])
    for ax, scale in zip(axes[:, 0], scales, strict=True):
        ax.set_ylabel(f"{scale:.3g} cyc/oct", fontsize=SIZES["labelsize"])
    figure = axes[0, 0].figure
    figure.supxlabel("time (ms), the response at 0", fontsize=SIZES["titlesize"])
    formatter = axes[0, 0].yaxis.get_major_formatter()
    unit = "Hz" if type(formatter).__name__ == "FuncFormatter" else "octaves"
    figure.supylabel(f"frequency ({unit})", fontsize=SIZES["titlesize"])
