"""StyleTransfer takes the style, keeps the content, level, length and channels."""

import dask.array as da
import numpy as np
import pytest
import torch
from sklearn.base import clone

from skstrf import CNNClassifier, STRFTransformer, StyleTransfer
from skstrf.style import objectives
from skstrf.style.base import ProgressReporter
from skstrf.style.objectives import make_objective
from skstrf.style.sounds import at_level
from skstrf.texture import RandomNetwork, gram_matrix
from skstrf.texture.gram import relative_distance

RATE = 8000  # of the sounds in conftest.py


def level(x):
    return np.sqrt(np.mean(np.square(x)))


@pytest.fixture
def transfer(stft):
    return StyleTransfer(stft, max_iter=60, random_state=0)


def grams(stft, *sounds):
    """Gram matrices by 4096 random filters, written down without the estimator."""
    network = RandomNetwork(257, 4096, 11, 1)
    found = []
    for sound in sounds:
        tensor = torch.from_numpy(stft.fit(sound[None]).transform(at_level(sound)[None])[0])
        found.append(gram_matrix(network(tensor)))
    return found


def test_style_comes_near_by_a_network_of_4096_filters_that_was_not_optimized(
    transfer, stft, clicks, hiss
):
    result = transfer.fit(hiss[None]).transform(clicks[None])[0]
    style, before, after = grams(stft, hiss, clicks, result)
    far, near = (float(relative_distance(gram, style)) for gram in (before, after))
    assert near < 0.1
    assert near < 0.15 * far


def test_content_weight_keeps_the_content(transfer, clicks, hiss):
    distances = []
    for weight in (0.0, 0.1, 1.0):
        fitted = clone(transfer).set_params(content_weight=weight, max_iter=25).fit(hiss[None])
        result = fitted.transform(clicks[None])
        distances.append(fitted.score_table(clicks[None], result)["content_distance"]["result"][0])
    assert distances[0] > distances[1] > distances[2]


def test_content_alone_gives_the_content_back(transfer, clicks, hiss):
    transfer.set_params(content_weight=1, style_weight=0, init="noise", max_iter=200)
    result = transfer.fit(hiss[None]).transform(clicks[None])
    table = transfer.score_table(clicks[None], result)
    assert table["content_distance"]["result"][0] < 0.1
    assert table["onset_correlation"]["result"][0] > 0.95


def test_losses_are_one_between_the_untouched_and_fall(transfer, clicks, hiss):
    transfer.fit(hiss[None]).transform(clicks[None])
    curve = transfer.loss_curve_
    assert curve[0, 1] == pytest.approx(0, abs=1e-6)  # starts at the content
    assert curve[0, 2] == pytest.approx(1, rel=1e-4)
    assert curve[-1, 2] < 0.1
    assert curve[-1, 0] == pytest.approx(0.05 * curve[-1, 1] + curve[-1, 2])
    assert len(curve) == transfer.n_iter_ + 1
    transfer.set_params(init="style").fit(hiss[None]).transform(clicks[None])
    assert transfer.loss_curve_[0, 1] == pytest.approx(1, rel=1e-4)
    assert transfer.loss_curve_[0, 2] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("gain", [1e-3, 1.0, 100.0])
def test_loudness_of_neither_sound_matters(transfer, clicks, hiss, gain):
    transfer.set_params(max_iter=10)
    expected = transfer.fit(hiss[None]).transform(clicks[None])
    louder = clone(transfer).fit(gain * hiss[None]).transform(clicks[None])
    np.testing.assert_allclose(louder, expected, atol=2e-3)
    quiet = clone(transfer).fit(hiss[None]).transform(1e-3 * clicks[None])
    np.testing.assert_allclose(1e3 * quiet, expected * level(clicks) / level(expected), atol=2e-2)


def test_level_of_the_content_and_no_clipping(transfer, clicks, hiss):
    result = transfer.fit(hiss[None]).transform(0.1 * clicks[None])
    assert level(result) == pytest.approx(0.1 * level(clicks), rel=1e-3)
    square = np.sign(clicks + 1e-9)[None]
    result = transfer.transform(square)
    assert np.abs(result).max() <= 1 + 1e-6
    assert level(result) > 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kind_length_and_channels_are_kept(transfer, clicks, hiss, dtype):
    transfer.set_params(max_iter=5)
    stereo = np.stack([clicks, 0.5 * np.roll(clicks, 900)])[None].astype(dtype)
    result = transfer.fit(hiss[None]).transform(stereo)
    assert result.shape == stereo.shape
    assert result.dtype == dtype
    # The balance of the two is kept by and large: both are changed from the same level inside.
    assert level(result[0, 0]) > level(result[0, 1])
    assert [len(sound) for sound in transfer.loss_curves_] == [2]
    tensor = torch.from_numpy(stereo)
    np.testing.assert_array_equal(transfer.transform(tensor).numpy(), result)
    lazy = transfer.transform(da.from_array(stereo, chunks=(1, 1, 4000)))
    assert lazy.shape == stereo.shape
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), result)


def test_long_contents_go_block_by_block_without_a_dip_at_the_joins(transfer, hiss):
    rng = np.random.default_rng(1)
    content = 0.1 * rng.standard_normal(3 * RATE)
    transfer.set_params(block_duration=1.0, max_iter=20).fit(hiss[None])
    result = transfer.transform(content[None])[0]
    assert len(transfer.loss_curves_[0]) == 4
    levels = np.sqrt(np.square(result).reshape(-1, RATE // 4).mean(axis=1))
    assert levels.min() > 0.6 * np.median(levels)
    assert levels.max() < 1.6 * np.median(levels)


def test_style_of_several_sounds_of_several_lengths(transfer, clicks, hiss):
    whole = transfer.fit(hiss[None])
    one = whole.transform(clicks[None])
    assert np.isfinite(one).all()
    parts = clone(transfer).fit([hiss[:5000], hiss[3000:]])
    assert [len(style) for style in parts.styles_] == [5000, 5000]
    several = clone(transfer).fit([hiss[:5000], hiss[2000:]]).transform(clicks[None])[0]
    _, style, near = grams(transfer.representation, hiss, hiss, several)
    assert float(relative_distance(near, style)) < 0.15


def test_same_seed_same_bits_and_other_noise_other_sound(transfer, clicks, hiss):
    transfer.set_params(content_weight=0, init="noise", max_iter=50)
    first = transfer.fit(hiss[None]).transform(clicks[None])
    np.testing.assert_array_equal(clone(transfer).fit(hiss[None]).transform(clicks[None]), first)
    other = clone(transfer).set_params(random_state=1).fit(hiss[None]).transform(clicks[None])
    assert abs(np.corrcoef(first[0], other[0])[0, 1]) < 0.3
    for result in (first, other):
        gram = transfer.score_table(clicks[None], result)["gram_distance"]
        assert gram["result"][0] < 0.2 * gram["content"][0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("n_filters", [None, 128])
def test_both_optimizers_and_both_random_networks_go_down(
    transfer, clicks, hiss, optimizer, n_filters
):
    transfer.set_params(optimizer=optimizer, n_filters=n_filters, max_iter=40, lr=0.05)
    transfer.fit(hiss[None]).transform(clicks[None])
    assert transfer.loss_curve_[:, 0].min() < 0.3


def test_spectrogram_domain_ends_with_a_sound_of_that_style(transfer, clicks, hiss):
    transfer.set_params(domain="spectrogram").fit(hiss[None])
    table = transfer.score_table(clicks[None])
    assert table["gram_distance"]["result"][0] < 0.4 * table["gram_distance"]["content"][0]
    assert table["gram_distance"]["style"][0] < 1e-3


def test_cortical_network_moves_statistics_to_the_style(clicks, hiss):
    transfer = StyleTransfer(
        STRFTransformer(sample_rate=RATE, rates=[4, 16], scales=[0.5, 2]),
        "cortical",
        max_iter=20,
        random_state=0,
    )
    transfer.fit(hiss[None])
    result = transfer.transform(clicks[None])
    assert transfer.loss_curve_[-1, 2] < 0.5
    table = transfer.score_table(clicks[None], result)
    assert table["texture_snr"]["result"][0] > table["texture_snr"]["content"][0] + 3


def test_layers_of_a_fitted_classifier(clicks, hiss):
    strf = STRFTransformer(sample_rate=RATE, rates=[4, 16], scales=[0.5, 2], frame_rate=62.5)
    rng = np.random.default_rng(0)
    clicks, hiss = clicks[: RATE // 2], hiss[: RATE // 2]
    sounds = np.stack([np.roll(x, 300 * i) for x in (clicks, hiss) for i in range(4)])
    sounds += 1e-3 * rng.standard_normal(sounds.shape)
    classifier = CNNClassifier(max_epochs=2, random_state=0)
    classifier.fit(strf.fit_transform(sounds), np.arange(8) // 4)
    before = classifier.predict_proba(strf.transform(sounds))
    transfer = StyleTransfer(strf, classifier, style_layers={"conv1": 1, "conv2": 0.5}, max_iter=8)
    result = transfer.fit(hiss[None]).transform(clicks[None])
    assert transfer.loss_curve_[-1, 2] < 0.5
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(classifier.predict_proba(strf.transform(sounds)), before)


def test_tol_stops_early(transfer, clicks, hiss):
    transfer.set_params(tol=0.5, max_iter=200).fit(hiss[None]).transform(clicks[None])
    assert 10 <= transfer.n_iter_ < 100
    assert not transfer.interrupted_


def test_every_iteration_is_told_and_the_bar_moves(transfer, clicks, hiss, capsys):
    told = []
    transfer.set_params(callback=told.append, verbose=True, max_iter=4, tol=0)
    transfer.fit(hiss[None]).transform(np.stack([clicks, clicks[::-1]]))
    assert [(t["sound"], t["block"], t["iteration"]) for t in told] == [
        (sound, 0, i) for sound in (0, 1) for i in range(5)
    ]
    assert told[-1]["loss"] == transfer.loss_curve_[-1, 0]
    assert "style transfer" in capsys.readouterr().err


def test_a_style_with_a_long_pause_starts_at_its_first_sample(transfer, clicks, hiss):
    style = np.r_[np.zeros(2000), hiss]
    transfer.set_params(init="style").fit(style[None])
    start = transfer._initial_sound(clicks[:1000], np.random.default_rng(0))
    np.testing.assert_array_equal(start, at_level(transfer.styles_[0][2000:3000]))


def test_long_styles_are_thinned_to_stretches_from_start_to_end(monkeypatch):
    monkeypatch.setattr(objectives, "_MAX_FRAMES", 96)
    first, second = torch.arange(2 * 100.0).reshape(2, 100), torch.arange(2 * 60.0).reshape(2, 60)
    assert len(objectives._thinned([second], 3)) == 1  # short enough
    parts = objectives._thinned([first, second], 3)
    assert len(parts) == 4
    assert all(20 <= part.shape[-1] <= 30 for part in parts)
    torch.testing.assert_close(parts[0], first[:, : parts[0].shape[-1]])
    torch.testing.assert_close(parts[-1], second[:, -parts[-1].shape[-1] :])


def test_the_bar_counts_all_channels_and_sounds(transfer, clicks, hiss, monkeypatch):
    counts = []
    monkeypatch.setattr(ProgressReporter, "report", lambda self, n, values: counts.append(n))
    transfer.set_params(max_iter=2, tol=0).fit(hiss[None])
    transfer.transform(np.stack([clicks, clicks[::-1]]).repeat(2, axis=0).reshape(2, 2, -1))
    assert counts == [first + i for first in (0, 2, 4, 6) for i in range(3)]


def test_interrupt_gives_the_best_so_far_and_the_rest_as_it_was(transfer, clicks, hiss):
    def interrupt(progress):
        if progress["sound"] == 1 and progress["iteration"] == 8:
            raise KeyboardInterrupt

    contents = np.stack([clicks, clicks[::-1], clicks])
    transfer.set_params(callback=interrupt, max_iter=12).fit(hiss[None])
    with pytest.warns(RuntimeWarning, match="interrupted in sound 1"):
        result = transfer.transform(contents)
    assert transfer.interrupted_
    curves = [curves[0] for curves in transfer.loss_curves_]
    assert len(curves) == 2
    assert curves[1][:, 0].min() < 0.5
    assert not np.allclose(result[1], contents[1], atol=1e-2)
    np.testing.assert_array_equal(result[2], contents[2])


def test_score_and_own_loss_both_say_that_the_style_came_near(transfer, clicks, hiss):
    transfer.fit(hiss[None])
    score = transfer.score(clicks[None])
    assert 0.8 < 1 - transfer.loss_curve_[:, 0].min() / 1.05 < 1
    assert 0.5 < score < 1


def test_quiet_stretches_are_no_obstacle(transfer, clicks, hiss):
    content = clicks.copy()
    content[: RATE // 2] = 0
    transfer.set_params(block_duration=0.4, max_iter=10).fit(hiss[None])
    assert np.isfinite(transfer.transform(content[None])).all()


def test_closed_form_is_the_mean_of_many_finite_networks(stft, clicks, hiss):
    fitted = StyleTransfer(stft, random_state=0).fit(hiss[None])
    tensor = {}
    stft.fit(hiss[None])
    for name, sound in (("style", hiss), ("content", clicks)):
        tensor[name] = torch.from_numpy(stft.transform(at_level(sound)[None])[0])
    values = []
    for n_filters in (None, 4096):
        fitted.set_params(n_filters=n_filters)
        objective = make_objective(fitted, [tensor["style"]], RATE, "cpu")
        objective.set_content(tensor["content"])
        values.append(objective.relative_distances(tensor["content"])[1])
    assert values[1] == pytest.approx(values[0], rel=0.03)


def test_inversions_that_start_from_noise_repeat(clicks, hiss):
    strf = STRFTransformer(RATE, rates=[4], scales=[1], frame_step=4, max_iter=1)
    transfer = StyleTransfer(
        strf, "random", domain="spectrogram", kernel_size=1, n_filters=8, max_iter=1
    ).set_params(random_state=0)
    results = [transfer.fit(hiss[None, :4000]).transform(clicks[None, :4000]) for _ in range(2)]
    np.testing.assert_array_equal(*results)
