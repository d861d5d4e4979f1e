"""What all nine transformers promise alike."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

import skstrf

GRID = 125 / 8  # 1024 samples at 16 kHz: a frame of the STRF with frame_step 8
FRAMED = {
    "ChromaTransformer": {},
    "CochleogramTransformer": {},
    "GammatoneTransformer": {"n_filters": 16},
    "MFCCTransformer": {"n_mels": 40},
    "MelTransformer": {"n_mels": 40},
    "STFTTransformer": {},
    "ScatteringTransformer": {"J": 6},
    "WaveletTransformer": {"bins_per_octave": 4},
}
INVERTIBLE = sorted(set(FRAMED) - {"ChromaTransformer", "ScatteringTransformer"})
BANKS = ["CochleogramTransformer", "GammatoneTransformer", "WaveletTransformer"]
framed = pytest.mark.parametrize("name", FRAMED)
invertible = pytest.mark.parametrize("name", INVERTIBLE)


def make(name, **options):
    return getattr(skstrf, name)(**{**FRAMED.get(name, {}), **options})


@pytest.fixture(scope="module")
def sounds():
    return np.random.default_rng(0).standard_normal((2, 9000)).astype(np.float32)


@pytest.mark.parametrize("n_times", [9000, 1024 * 6, 1024 * 6 + 1])
def test_all_nine_are_on_one_grid(sounds, n_times):
    sounds = sounds[:, :n_times]
    strf = skstrf.STRFTransformer(frame_step=8).fit(sounds)
    expected = strf.axes_[-1]
    assert strf.transform(sounds).shape[-1] == len(expected.values)
    for name in FRAMED:
        transformer = make(name, frame_rate=GRID).fit(sounds)
        axis = transformer.axes_[-1]
        assert (axis.name, axis.unit) == ("time", "s")
        np.testing.assert_allclose(axis.values, expected.values, rtol=1e-12, err_msg=name)
        assert transformer.transform(sounds).shape[-1] == len(axis.values), name


@framed
@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050])
@pytest.mark.parametrize("frame_rate", [40, 125 / 8])
def test_axes_are_those_of_the_output(name, sample_rate, frame_rate):
    hop = round(sample_rate / frame_rate)
    for n_times in (1, 7, hop, hop + 1, 4000):
        X = np.random.default_rng(0).standard_normal((1, n_times))
        transformer = make(name, sample_rate=sample_rate, frame_rate=frame_rate).fit(X)
        tensor = transformer.transform(X)
        assert tensor.shape[1:] == tuple(len(axis.values) for axis in transformer.axes_)
        assert tensor.shape[-1] == -(-n_times // hop)
        assert transformer.hop_length_ == hop
        assert np.isfinite(tensor).all()


@framed
def test_a_click_falls_into_its_frame(name):
    # 0.5 s is the end of frame 7: a click in the middle of frame 4 is loudest there.
    X = np.zeros((1, 9000))
    X[0, 4 * 1024 + 512] = 1
    options = {"norm": None} if name == "ChromaTransformer" else {}
    transformer = make(name, frame_rate=GRID, **options).fit(X)
    profile = np.abs(transformer.transform(X)[0]).sum(axis=0)
    if name not in ("ChromaTransformer", "CochleogramTransformer"):  # decibels under 0
        profile = np.abs(transformer.transform(X) - transformer.transform(0 * X))[0].sum(axis=0)
    assert profile.argmax() == 4
    # And the middle of the frame is the middle of what is seen of the click.
    center = (profile * transformer.axes_[-1].values).sum() / profile.sum()
    np.testing.assert_allclose(center, transformer.axes_[-1].values[4], atol=0.03)


@framed
def test_dtypes(name, sounds):
    for given in (np.float32, np.float64):
        X = sounds.astype(given)
        assert make(name).fit_transform(X).dtype == given
        for wanted in ("float32", "float64"):
            assert make(name, dtype=wanted).fit_transform(X).dtype == wanted


@framed
def test_single_precision_is_close_to_double(name, sounds):
    options = {} if name in ("MFCCTransformer", "ChromaTransformer") else {"compression": None}
    single = make(name, **options).fit_transform(sounds)
    double = make(name, **options).fit_transform(sounds.astype(float))
    assert np.abs(single - double).max() < 2e-5 * np.abs(double).max()


@framed
def test_loud_neighbors_change_nothing(name, sounds):
    X = np.stack([1e-3 * sounds[0], 10 * sounds[1]]).astype(float)
    together = make(name).fit_transform(X)
    np.testing.assert_allclose(make(name).fit_transform(X[:1]), together[:1], rtol=1e-9, atol=1e-9)


@framed
def test_silence_is_finite_and_equal_everywhere(name):
    tensor = make(name).fit_transform(np.zeros((2, 5000)))
    assert np.isfinite(tensor).all()
    np.testing.assert_allclose(tensor, tensor[:1, :, :1] * np.ones(tensor.shape))


@framed
def test_torch_and_threads(name, sounds):
    transformer = make(name).fit(sounds)
    expected = transformer.transform(sounds)
    tensor = transformer.transform(torch.from_numpy(sounds))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    threads = clone(transformer).set_params(n_jobs=2).fit_transform(sounds)
    np.testing.assert_array_equal(threads, expected)


@framed
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frame_rate": 20000}, "frame_rate=20000 is above sample_rate"),
        ({"frame_rate": 9000}, "too far from a whole number"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"sample_rate": -1}, "sample_rate"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_bad_settings_are_named(name, options, words, sounds):
    with pytest.raises(ValueError, match=words):
        make(name, **options).fit(sounds)


@pytest.mark.parametrize("name", [*BANKS, "MelTransformer", "MFCCTransformer"])
def test_bands_must_be_in_the_sound(name, sounds):
    with pytest.raises(ValueError, match=r"fmax=9000 Hz is above half of sample_rate=16000"):
        make(name, fmax=9000).fit(sounds)
    with pytest.raises(ValueError, match=r"fmin=4000 Hz is not below fmax=3000"):
        make(name, fmin=4000, fmax=3000).fit(sounds)


@pytest.mark.parametrize("name", [n for n in FRAMED if n != "ChromaTransformer"])
@pytest.mark.parametrize("options", [{"compression": "sqrt"}, {"compression_floor": 0}])
def test_bad_compression(name, options, sounds):
    if name == "MFCCTransformer" and "compression" in options:
        pytest.skip("coefficients are always those of decibels")
    with pytest.raises(ValueError, match="compression"):
        make(name, **options).fit(sounds)


@pytest.mark.parametrize("name", ["ChromaTransformer", "ScatteringTransformer"])
def test_what_cannot_be_inverted_says_so_by_having_no_inverse(name):
    assert not hasattr(make(name), "inverse_transform")


@invertible
def test_inverse_has_length_and_type_of_the_sounds(name, sounds):
    for dtype in (np.float32, np.float64):
        X = sounds[:, :3001].astype(dtype)
        transformer = make(name, max_iter=2, random_state=0).fit(X)
        sound = transformer.inverse_transform(transformer.transform(X))
        assert (sound.shape, sound.dtype) == (X.shape, dtype)
    back = transformer.inverse_transform(torch.from_numpy(transformer.transform(X)))
    assert isinstance(back, torch.Tensor)
    np.testing.assert_array_equal(back.numpy(), sound)


@invertible
def test_inverse_of_a_short_sound_and_of_silence(name):
    for n_times in (1, 10, 700):
        X = np.zeros((1, n_times))
        transformer = make(name, max_iter=2, random_state=0).fit(X)
        sound = transformer.inverse_transform(transformer.transform(X))
        assert sound.shape == X.shape
        assert np.abs(sound).max() < 0.01


@invertible
def test_inverse_depends_on_its_sound_and_seed_alone(name, sounds):
    transformer = make(name, max_iter=2, random_state=0).fit(sounds)
    tensor = transformer.transform(sounds)
    both = transformer.inverse_transform(tensor)
    np.testing.assert_allclose(transformer.inverse_transform(tensor[1:]), both[1:], atol=1e-5)
    np.testing.assert_array_equal(transformer.inverse_transform(tensor), both)
    threads = clone(transformer).set_params(n_jobs=2).fit(sounds)
    np.testing.assert_array_equal(threads.inverse_transform(tensor), both)
    other = clone(transformer).set_params(random_state=1).fit(sounds)
    assert np.abs(other.inverse_transform(tensor) - both).max() > 1e-3


@invertible
def test_a_hint_helps(name, recordings, convergence):
    X = recordings[:2, :8000]
    transformer = make(name, max_iter=0, random_state=0).fit(X)
    tensor = transformer.transform(X)
    judge = skstrf.STFTTransformer(compression=None).fit(X)
    blind = convergence(judge.transform(transformer.inverse_transform(tensor)), judge.transform(X))
    hinted = convergence(
        judge.transform(transformer.inverse_transform(tensor, phase=X)), judge.transform(X)
    )
    assert (hinted < blind).all()


@invertible
def test_bad_tensors_are_refused(name, sounds):
    transformer = make(name).fit(sounds)
    tensor = transformer.transform(sounds)
    inverse = transformer.inverse_transform
    for wrong in (tensor[:, 1:], tensor[..., 1:], tensor[0], tensor[:0]):
        with pytest.raises(ValueError, match="X has shape"):
            inverse(wrong)
    with pytest.raises(ValueError, match="X is complex"):
        inverse(tensor + 0j)
    with pytest.raises(ValueError, match="X holds"):
        inverse(np.full(tensor.shape, "a"))
    with pytest.raises(ValueError, match="phase has shape"):
        inverse(tensor, phase=sounds[:, 1:])
    with pytest.raises(ValueError, match="phase contains NaN"):
        inverse(tensor, phase=np.full(sounds.shape, np.nan))
    with pytest.raises(ValueError, match="complex sounds"):
        inverse(tensor, phase=sounds + 0j)
    broken = tensor.copy()
    broken[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        inverse(broken)


@pytest.mark.parametrize("name", [*BANKS, "STFTTransformer"])
def test_bad_complex_tensors_are_refused(name, sounds):
    transformer = make(name, output="complex").fit(sounds)
    tensor = transformer.transform(sounds)
    assert tensor.dtype == np.complex64
    with pytest.raises(ValueError, match="X is real"):
        transformer.inverse_transform(tensor.real)
    with pytest.raises(ValueError, match="phase is given"):
        transformer.inverse_transform(tensor, phase=sounds)


@pytest.mark.parametrize("name", [*BANKS, "STFTTransformer"])
def test_outputs_agree(name, sounds):
    options = {"compression": None, "frame_rate": 16000, "fmax": 4000}
    if name == "STFTTransformer":
        options = {"compression": None}
    parts = {
        output: make(name, output=output, **options).fit_transform(sounds[:1, :2000].astype(float))
        for output in ("complex", "magnitude", "power")
    }
    np.testing.assert_allclose(np.abs(parts["complex"]), parts["magnitude"], atol=1e-10)
    np.testing.assert_allclose(parts["magnitude"] ** 2, parts["power"], atol=1e-10)
