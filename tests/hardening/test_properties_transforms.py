"""Every transformer of sounds on any sound, length and setting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skstrf
from tests.hardening.laws import arrays, ascending, examples, numbers, result_of

SOUNDS = arrays(2, longest=2, lengths=st.sampled_from([1, 2, 3, 100, 256, 257, 1200]))
COUNTS = numbers(1, 12, whole=True)
GRID = {
    "sample_rate": numbers(4000, 24000),
    "frame_rate": st.sampled_from(
        [62.5, 62.5, 100, 16000, 15625, 3, 1e-9, 1e9, np.inf, np.nan, 0]
    ),
    "dtype": st.sampled_from([None, "float32", "float64", "float16"]),
}
COMPRESSION = {
    "compression": st.sampled_from(["db", "log", "log1p", None, 0.3, 0, -1, 2.0, "none"]),
    "compression_floor": numbers(1e-9, 1),
}
FRAME = {
    "n_fft": st.sampled_from([None, 1024, 2048, 600, 512, 2, 1, 0, -4, 2.5]),
    "win_length": st.sampled_from([None, 512, 300, 1000, 1024, 1, 0, -4, 2.5]),
    "window": st.sampled_from(["hann", "hamming", "blackman", "boxcar", "glass", ("kaiser", 4.0)]),
}
BAND = {"fmin": numbers(0, 4000), "fmax": st.none() | numbers(100, 12000)}
OUTPUT = {"output": st.sampled_from(["magnitude", "power", "complex", "real"])}
MEL = {"n_mels": COUNTS, "htk": st.booleans(), "norm": st.sampled_from(["slaney", None, None, 1])}
BANK = {**GRID, **BAND, **OUTPUT, **COMPRESSION}
SETTINGS = {
    "STFTTransformer": {**GRID, **FRAME, **OUTPUT, **COMPRESSION},
    "MelTransformer": {**GRID, **FRAME, **BAND, **MEL, **OUTPUT, **COMPRESSION},
    "MFCCTransformer": {
        **GRID, **FRAME, **BAND, **MEL, "n_mfcc": COUNTS, "lifter": numbers(0, 30),
        "dct_type": st.integers(0, 4), "compression_floor": numbers(1e-9, 1),
    },
    "ChromaTransformer": {
        **GRID, **FRAME, "n_chroma": COUNTS, "tuning": st.none() | numbers(-0.5, 0.5),
        "ctroct": numbers(0, 9), "octwidth": st.none() | numbers(0.1, 4),
        "norm": st.sampled_from([np.inf, 1, 2, None, 3]),
    },
    "WaveletTransformer": {
        **BANK, "bins_per_octave": COUNTS,
        "wavelet": st.sampled_from(["cmor16-1.0", "cmor1.5-1.0", "shan1-1", "mexh", "db4", "no"]),
    },
    "ScatteringTransformer": {
        **GRID, **COMPRESSION, "J": numbers(1, 7, whole=True),
        "Q": st.sampled_from([1, 4, (2, 1), (1, 2), (0, 1), (), "a"]),
        "T": st.none() | numbers(1, 300, whole=True),
        "orders": st.sampled_from([(1,), (1, 2), (2,), (0, 1), (), (3,), "a"]),
    },
    "GammatoneTransformer": {**BANK, "n_filters": COUNTS},
    "CochleogramTransformer": {**BANK, "n_filters": COUNTS, "include_edges": st.booleans()},
    "STRFTransformer": {
        "rates": ascending(1, 60, 2), "scales": ascending(0.2, 12, 2),
        "sample_rate": numbers(4000, 48000), "hop_duration": numbers(1, 20),
        "time_constant": numbers(0, 50), "bandpass": st.booleans(),
        "nonlinearity": st.sampled_from(["linear", "half-wave", "hard", 0.1, "soft", np.nan]),
        "output": st.sampled_from(["magnitude", "complex", "real"]),
        "frame_step": numbers(1, 9, whole=True), "frame_rate": st.none() | numbers(1, 125),
        "channel_step": numbers(1, 200, whole=True),
        "pooling": st.sampled_from(["mean", "sample"]),
        "compression": st.sampled_from(["log", "cbrt", None]), "dtype": GRID["dtype"],
        "compression_floor": numbers(1e-6, 1), "contrast": st.sampled_from(["auto", True, False]),
        "normalize": st.booleans(),
    },
}  # fmt: skip
SMALL = {"ScatteringTransformer": {"J": 4}, "WaveletTransformer": {"bins_per_octave": 2}}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_transformers(name):
    @examples(15)
    @given(x=SOUNDS, options=st.fixed_dictionaries({}, optional=SETTINGS[name]))
    def check(x, options):
        # Most settings at once are refused: keep a few of those drawn.
        keep = sorted(options)[:: max(1, len(options) // 3)]
        chosen = {**SMALL.get(name, {}), **{key: options[key] for key in keep}}
        transformer = getattr(skstrf, name)(**chosen)
        y = result_of(transformer.fit_transform, x)
        if y is None:
            return
        assert y.shape == (len(x), *(len(axis.values) for axis in transformer.axes_))
        assert np.isfinite(y).all()
        single = np.dtype(chosen.get("dtype") or ("f4" if x.dtype == np.float32 else "f8")) == "f4"
        assert y.real.dtype == (np.float32 if single else np.float64)
        np.testing.assert_array_equal(transformer.transform(x), y)
        # A sound does not depend on its neighbors.
        np.testing.assert_allclose(transformer.transform(x[:1]), y[:1], rtol=1e-4, atol=1e-6)

    check()
