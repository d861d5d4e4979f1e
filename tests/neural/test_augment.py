import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.neural.augmentation import (
    Augmentation,
    add_noise,
    change_level,
    mask_bands,
    mixup,
    shift_cells,
)

SIZES = st.integers(1, 12)
SHARES = st.floats(0, 0.99)
SEEDS = st.integers(0, 2**31)
FEW = settings(max_examples=40, deadline=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@FEW
@given(n=st.integers(1, 9), alpha=st.floats(0.05, 5), seed=SEEDS)
def test_mixup_keeps_the_mean_of_samples_and_the_sum_of_weights(n, alpha, seed):
    x = torch.randn(n, 2, 3, 4, generator=generator(seed), dtype=torch.float64)
    weights = torch.rand(n, 5, generator=generator(seed + 1), dtype=torch.float64)
    mixed, targets = mixup(x, weights, alpha, generator(seed))
    assert mixed.shape == x.shape and targets.shape == weights.shape
    torch.testing.assert_close(mixed.mean(0), x.mean(0))
    torch.testing.assert_close(targets.sum(0), weights.sum(0))
    torch.testing.assert_close(targets.sum(), weights.sum())


def test_mixup_mixes_samples_and_targets_in_one_share():
    # The samples are their own targets, so both must come out the same.
    weights = torch.eye(6, dtype=torch.float64)
    mixed, targets = mixup(weights.view(6, 1, 1, 6), weights, 1.0, generator(1))
    assert torch.equal(mixed.view(6, 6), targets)
    assert not torch.equal(targets, weights)


def test_mixup_of_alpha_zero_changes_nothing():
    x, t = torch.rand(4, 1, 2, 2), torch.eye(4)
    same_x, same_t = mixup(x, t, 0.0, generator())
    assert torch.equal(same_x, x) and torch.equal(same_t, t)


def test_mixup_shares_follow_the_beta_distribution():
    scipy_stats = pytest.importorskip("scipy.stats")
    g = generator(5)
    one = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    shares = []
    while len(shares) < 300:
        mixed, _ = mixup(one.view(2, 1, 1, 1), one, 0.4, g)
        if 0 < mixed[0].item() < 1:  # else a sample met itself
            shares.append(mixed[0].item())
    assert scipy_stats.kstest(shares, scipy_stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


@FEW
@given(n=st.integers(1, 5), height=SIZES, width=SIZES, share=SHARES, seed=SEEDS)
def test_mask_blanks_one_band_an_axis_and_no_more_than_its_share(n, height, width, share, seed):
    masked = mask_bands(torch.ones(n, 2, height, width), share, generator(seed))
    for image in masked.numpy():
        assert np.array_equal(image[0], image[1])  # all channels alike
        rows, columns = image[0].any(axis=1), image[0].any(axis=0)
        for kept, size in ((rows, height), (columns, width)):
            blank = np.flatnonzero(~kept)
            assert len(blank) <= share * size
            assert len(blank) == 0 or blank[-1] - blank[0] + 1 == len(blank)
        assert np.array_equal(image[0], np.outer(rows, columns))


def test_mask_widths_are_uniform():
    masked = mask_bands(torch.ones(3000, 1, 1, 10), 0.5, generator(2))
    widths = (masked == 0).sum(dim=(1, 2, 3))
    counts = torch.bincount(widths, minlength=6)
    assert counts.min() > 400 and counts.max() < 600 and len(counts) == 6


@FEW
@given(height=SIZES, width=SIZES, share=SHARES, seed=SEEDS)
def test_move_keeps_order_and_fills_with_zeros(height, width, share, seed):
    x = 1 + torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    moved = shift_cells(x, share, generator(seed))[0, 0].numpy()
    padded = np.zeros((3 * height, 3 * width))
    padded[height : 2 * height, width : 2 * width] = x[0, 0]
    down, across = int(share * height), int(share * width)
    candidates = [
        padded[height - i : 2 * height - i, width - j : 2 * width - j]
        for i in range(-down, down + 1)
        for j in range(-across, across + 1)
    ]
    assert any(np.array_equal(moved, c) for c in candidates)


def test_move_reaches_its_farthest_both_ways():
    x = torch.zeros(400, 1, 1, 11)
    x[..., 5] = 1
    steps = shift_cells(x, 0.2, generator(3)).argmax(dim=3).flatten() - 5
    assert set(steps.tolist()) == {-2, -1, 0, 1, 2}


def test_noise_has_its_deviation_and_no_mean():
    noise = add_noise(torch.zeros(10, 1, 100, 100), 0.5, generator(4))
    assert abs(noise.std().item() - 0.5) < 0.01
    assert abs(noise.mean().item()) < 0.01


def test_level_is_a_constant_and_a_slope_for_each_sample():
    y = change_level(torch.zeros(500, 2, 9, 3), 0.5, 2.0, generator(5))
    assert torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[..., 0], y[..., 2])
    column = y[:, 0, :, 0]
    torch.testing.assert_close(
        column.diff(dim=1), (column[:, -1:] - column[:, :1]).expand(-1, 8) / 8, atol=1e-5, rtol=0
    )
    middle, rise = column[:, 4], column[:, -1] - column[:, 0]
    assert abs(middle.std().item() - 0.5) < 0.05
    assert abs(rise.std().item() - 2.0) < 0.2


ALL = {"mask": 0.5, "shift": 0.3, "noise": 1.0, "gain": 1.0, "tilt": 1.0}


def test_nothing_changes_in_evaluation():
    x = torch.randn(3, 2, 8, 8, generator=generator())
    assert torch.equal(Augmentation(**ALL).eval()(x), x)


@pytest.mark.parametrize("name", ALL)
def test_every_change_is_made_in_training_and_by_its_generator(name):
    x = torch.randn(20, 2, 8, 8, generator=generator())
    changes = Augmentation(**{name: ALL[name]})
    results = []
    for seed in (1, 1, 2):
        changes.generator = generator(seed)
        results.append(changes(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not torch.equal(results[0], x)


def test_no_change_asked_for_is_none_made():
    x = torch.randn(3, 2, 8, 8, generator=generator())
    assert torch.equal(Augmentation()(x), x)


def test_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    changes = Augmentation(**ALL)
    changes.generator = generator()
    changes(torch.zeros(2, 1, 8, 8))
    mixup(torch.zeros(2, 1, 8, 8), torch.eye(2), 0.5, generator())
    assert torch.equal(torch.random.get_rng_state(), before)
