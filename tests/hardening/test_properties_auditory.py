"""The auditory model on any shape, dtype, length and setting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skstrf import auditory
from skstrf.auditory.measures import log_spectral_distance, spectrogram_correlation
from tests.hardening.laws import arrays, ascending, examples, float_of, numbers, result_of

LENGTHS = st.sampled_from([1, 2, 3, 7, 127, 128, 129, 500, 1000, 2049])
SOUNDS = arrays(1, 2, 3, longest=2, lengths=LENGTHS)
SPECTROGRAMS = arrays(2, 3, longest=24)
NONLINEARITIES = st.sampled_from(["linear", "half-wave", "hard", 0.1, 2, "soft", 0.0, np.nan])
CHOICES = {
    "output": st.sampled_from(["complex", "magnitude", "real", "phase"]),
    "pooling": st.sampled_from(["sample", "mean"]),
    "bandpass": st.booleans(),
    "frame_step": numbers(1, 9, whole=True),
    "channel_step": numbers(1, 5, whole=True),
}
PADDING = {"full_time": numbers(0, 1), "full_frequency": numbers(0, 1)}


def nested(options):
    return st.fixed_dictionaries({}, optional=options)


COCHLEA = {
    "hop_duration": numbers(1, 20),
    "time_constant": numbers(0, 50),
    "nonlinearity": NONLINEARITIES,
    "octave_shift": st.sampled_from([0, -1, 1, 0.5, np.nan, np.inf, 1e300]),
}


@examples(60)
@given(x=SOUNDS, options=nested({**COCHLEA, "sample_rate": numbers(4000, 48000)}))
def test_auditory_spectrogram(x, options):
    v = result_of(auditory.auditory_spectrogram, x, n_jobs=1, **options)
    if v is None:
        return
    assert v.shape[:-1] == (*x.shape[:-1], 128)
    assert v.dtype == float_of(x)
    assert np.isfinite(v).all()
    assert (v >= 0).all()
    if options.get("sample_rate", 16000) == 16000 and not options.get("octave_shift"):
        samples = round(options.get("hop_duration", 8.0) * 16)
        assert v.shape[-1] == -(-x.shape[-1] // samples)


@examples(40)
@given(
    v=SPECTROGRAMS,
    rates=ascending(0.5, 60),
    scales=ascending(0.1, 12),
    options=nested({
        **CHOICES, **PADDING, "frame_rate": numbers(100, 200),
        "channels_per_octave": numbers(20, 30),
    }),
)  # fmt: skip
def test_cortical_transform(v, rates, scales, options):
    c = result_of(auditory.cortical_transform, v, rates=rates, scales=scales, **options)
    if c is None:
        return
    n_rows = v.shape[-2] + 2 * int(v.shape[-2] / 2 * options.get("full_frequency", 0))
    n_frames = v.shape[-1] + 2 * int(v.shape[-1] / 2 * options.get("full_time", 0))
    assert c.shape == (
        *v.shape[:-2], np.size(scales), 2 * np.size(rates),
        -(-n_rows // int(options.get("channel_step", 1))),
        -(-n_frames // int(options.get("frame_step", 1))),
    )  # fmt: skip
    single = v.dtype == np.float32
    is_complex = options.get("output", "complex") == "complex"
    assert c.dtype == np.dtype(
        ("c8" if single else "c16") if is_complex else ("f4" if single else "f8")
    )
    assert np.isfinite(c).all()


@examples(12)
@given(
    v=arrays(2, longest=24, any=False),
    rates=ascending(1, 60, 3),
    scales=ascending(0.2, 12, 3),
    options=nested({**CHOICES, **PADDING}),
    more=nested({
        "method": st.sampled_from(["least-squares", "normalized"]),
        "norm": numbers(0, 1), "max_iter": numbers(1, 9, whole=True), "tol": numbers(0, 0.1),
    }),
)  # fmt: skip
def test_invert_cortical_transform(v, rates, scales, options, more):
    options = {k: o for k, o in options.items() if k != "pooling"}
    c = result_of(auditory.cortical_transform, v, rates=rates, scales=scales, **options)
    if c is None:
        return
    options["content"] = options.pop("output", "complex")
    w = result_of(
        auditory.invert_cortical_transform, c, rates=rates, scales=scales,
        n_freqs=v.shape[0], n_frames=v.shape[1], **options, **more,
    )  # fmt: skip
    if w is None:
        return
    assert w.shape == v.shape
    assert w.dtype == (np.float32 if c.dtype in (np.float32, np.complex64) else np.float64)
    assert np.isfinite(w).all()
    if more.get("method", "least-squares") == "least-squares":
        # Its tensor is no farther than that of silence.
        output = options.pop("content", "complex")
        again = auditory.cortical_transform(
            w, rates=rates, scales=scales, output=output, **options
        )
        distance = np.linalg.norm(again.astype("c16") - c)
        assert distance <= 1.001 * np.linalg.norm(c.astype("c16")) + 1e-30


@examples(25)
@given(
    c=arrays(2, 4, 5, longest=4, dtypes=("f4", "f8", "c8", "i4", "U3", "O", "?")),
    n_freqs=numbers(1, 5, whole=True),
    n_frames=numbers(1, 5, whole=True),
    content=st.sampled_from(["complex", "real", "magnitude"]),
)
def test_any_tensor_is_inverted_or_refused(c, n_freqs, n_frames, content):
    w = result_of(
        auditory.invert_cortical_transform, c, rates=[4], scales=[1], n_freqs=n_freqs,
        n_frames=n_frames, content=content, max_iter=3,
    )  # fmt: skip
    assert w is None or np.isfinite(w).all()


@examples(8)
@given(
    v=arrays(2, 3, longest=2, lengths=st.integers(1, 12)),
    n_channels=st.sampled_from([128, 128, 128, 128, 127, 1]),
    options=nested({
        **COCHLEA, "sample_rate": numbers(4000, 48000), "n_times": numbers(1, 1500, whole=True),
        "method": st.sampled_from(["gradient", "projection"]), "tol": numbers(0, 1),
        "rescale": st.booleans(), "max_iter": numbers(1, 3, whole=True),
    }),
)  # fmt: skip
def test_invert_auditory_spectrogram(v, n_channels, options):
    v = np.repeat(v[..., :1, :], n_channels, axis=-2)
    x = result_of(auditory.invert_auditory_spectrogram, v, **{"max_iter": 2, **options})
    if x is None:
        return
    assert x.shape[:-1] == v.shape[:-2]
    assert x.dtype == (np.float32 if v.dtype == np.float32 else np.float64)
    assert np.isfinite(x).all()
    if "n_times" in options:
        assert x.shape[-1] == options["n_times"]


@examples(60)
@given(
    rate=numbers(-60, 60),
    scale=numbers(0, 12),
    duration=numbers(0.001, 0.1),
    options=nested({"sample_rate": numbers(500, 48000), "depth": numbers(0, 1)}),
)
def test_moving_ripple(rate, scale, duration, options):
    x = result_of(auditory.moving_ripple, rate, scale, duration, random_state=0, **options)
    if x is None:
        return
    assert x.shape == (round(duration * options.get("sample_rate", 16000)),)
    assert x.dtype == np.float64
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 1e-6
    assert np.isclose(x.std(), 1) or x.std() == 0


@examples(40)
@given(
    v=SPECTROGRAMS,
    scales=ascending(0.1, 12),
    options=nested({"channels_per_octave": numbers(20, 30), "bandpass": st.booleans()}),
    norm=numbers(0, 1),
)
def test_scale_transform_and_back(v, scales, options, norm):
    c = result_of(auditory.scale_transform, v, scales=scales, **options)
    if c is None:
        return
    assert c.shape == (*v.shape[:-2], np.size(scales), *v.shape[-2:])
    assert np.isfinite(c).all()
    w = result_of(auditory.invert_scale_transform, c, scales=scales, norm=norm, **options)
    if w is None:
        return
    assert w.shape == v.shape
    assert w.dtype == (np.float32 if c.dtype == np.complex64 else np.float64)
    assert np.isfinite(w).all()


@examples(60)
@given(
    best=numbers(0.01, 30),
    n_bins=numbers(1, 200, whole=True),
    density=numbers(20, 200),
    kind=st.sampled_from(["band", "low", "high", "band", "low", "high", "wide"]),
)
def test_rate_and_scale_filters(best, n_bins, density, kind):
    response = result_of(auditory.rate_filter, best, n_bins, frame_rate=density, kind=kind)
    gain = result_of(auditory.scale_filter, best, n_bins, channels_per_octave=density, kind=kind)
    for found in (response, gain):
        if found is not None:
            assert found.shape == (n_bins,)
            assert np.isfinite(found).all()
    assert response is None or np.abs(response).max() <= 1 + 1e-9
    assert gain is None or gain.min() >= 0


@examples(40)
@given(
    rate=numbers(-60, 60),
    scale=numbers(0.1, 12),
    options=nested({
        "n_freqs": numbers(1, 40, whole=True), "n_frames": numbers(1, 40, whole=True),
        "frame_rate": numbers(100, 200), "channels_per_octave": numbers(20, 30),
        "oversampling": numbers(1, 3, whole=True),
        "time_limits": st.tuples(numbers(-300, 0), numbers(0, 300)),
    }),
)  # fmt: skip
def test_receptive_field(rate, scale, options):
    found = result_of(auditory.receptive_field, rate, scale, **options)
    if found is None:
        return
    assert found.field.shape == (found.octaves.size, found.times.size)
    assert all(np.isfinite(part).all() for part in found)


@examples(40)
@given(a=SPECTROGRAMS, b=SPECTROGRAMS, same=st.booleans(), reach=numbers(1, 200))
def test_measures(a, b, same, reach):
    b = a[..., ::-1] if same else b
    distance = result_of(log_spectral_distance, a, b, dynamic_range=reach)
    if distance is not None:
        assert np.shape(distance) == a.shape[:-2]
        assert (np.asarray(distance) >= 0).all()  # infinite against silence, as said
    correlation = result_of(spectrogram_correlation, a, b)
    if correlation is not None:
        assert np.shape(correlation) == a.shape[:-2]
        assert not (np.abs(correlation) > 1 + 1e-9).any()
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        constant = (np.ptp(a, axis=(-2, -1)) == 0) | (np.ptp(b, axis=(-2, -1)) == 0)
        np.testing.assert_array_equal(np.isnan(correlation), constant)
