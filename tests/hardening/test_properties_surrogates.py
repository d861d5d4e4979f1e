"""Surrogates and tests of stationarity on any plane."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skstrf import surrogates
from skstrf.surrogates import generators, periodic, planes
from tests.hardening.laws import arrays, examples, float_of, numbers, result_of

PLANES = arrays(2, longest=24)
SERIES = arrays(1, 2, 3, longest=24)
COUNTS = numbers(1, 5, whole=True)
SEEDS = st.integers(0, 2**32)


def rng(seed):
    return np.random.default_rng(seed)


@examples(40)
@given(x=PLANES, n=COUNTS, seed=SEEDS, axes=st.sampled_from([(-1,), (-2, -1), (0,), (), (5,)]))
def test_phases_are_random_and_amplitudes_stay(x, n, seed, axes):
    copies = result_of(surrogates.phase_surrogates, x, n, rng(seed), axes=axes)
    if copies is None:
        return
    assert copies.shape == (int(n), *x.shape)
    assert copies.dtype == float_of(x)
    assert np.isfinite(copies).all()
    np.testing.assert_array_equal(copies, surrogates.phase_surrogates(x, n, rng(seed), axes=axes))
    x = x.astype(float)
    scale = np.abs(x).sum() + 1e-30
    found, wanted = (
        np.abs(np.fft.fftn(a.astype(float), axes=axes)) for a in (copies[:1].sum(0), x)
    )
    assert n == 0 or np.abs(found - wanted).max() <= 1e-4 * scale


@examples(40)
@given(x=SERIES, n=COUNTS, seed=SEEDS, max_iter=numbers(0, 20, whole=True))
def test_values_stay_in_another_order(x, n, seed, max_iter):
    copies = result_of(surrogates.iaaft_surrogates, x, n, rng(seed), max_iter=max_iter)
    if copies is not None:
        assert copies.shape == (int(n), *x.shape)
        for copy in copies:
            np.testing.assert_array_equal(
                np.sort(copy, axis=None), np.sort(x, axis=None).astype(copy.dtype)
            )


@examples(40)
@given(n_points=numbers(1, 50, whole=True), n=COUNTS, length=numbers(1, 60), seed=SEEDS)
def test_bootstrap_gives_indices(n_points, n, length, seed):
    found = result_of(surrogates.stationary_bootstrap, n_points, n, length, rng(seed))
    if found is not None:
        assert found.shape == (int(n), int(n_points))
        assert ((found >= 0) & (found < n_points)).all()


@examples(40)
@given(x=SERIES)
def test_scores_and_block_lengths(x):
    scores = result_of(generators.gaussianized, x)
    if scores is not None:
        assert scores.shape == x.shape
        assert np.isfinite(scores).all()
        order = np.argsort(x, axis=None)
        assert (np.diff(scores.ravel()[order]) >= 0).all()
    lengths = result_of(generators.automatic_block_length, x)
    if lengths is not None:
        assert lengths.shape == x.shape[:-1]
        assert (lengths >= 1).all()


@examples(40)
@given(x=PLANES, n=COUNTS, seed=SEEDS, detrend=st.booleans(), alpha=numbers(0, 1))
def test_tests_of_lines(x, n, seed, detrend, alpha):
    found = result_of(surrogates.lines_test, x, n, seed, detrend=detrend, alpha=alpha)
    if found is None:
        return
    shares = np.concatenate([found.p_values, found[1:4]])
    assert len(found.p_values) == len(found.tested) == len(x)
    assert ((shares > 0) & (shares <= 1)).all()
    assert 0 <= found.effect_interval[0] <= found.effect <= found.effect_interval[1] <= 1
    assert 0 <= found.rate_interval[0] <= found.rate <= found.rate_interval[1] <= 1
    assert max(found.level_effect, found.variance_effect) <= 1
    again = surrogates.lines_test(x, n, seed, detrend=detrend, alpha=alpha)
    np.testing.assert_array_equal(again.p_values, found.p_values)


@examples(20)
@given(x=arrays(2, longest=48))
def test_periodic_components_are_subtracted(x):
    x = x.astype(float)
    if np.isfinite(x).all() and np.abs(x).max(initial=0) < 1e100:
        left = periodic.without_periodic(x)
        assert left.shape == x.shape
        assert np.isfinite(left).all()


@examples(40)
@given(
    x=PLANES, n=COUNTS, seed=SEEDS,
    n_blocks=st.sampled_from([(4, 4), (2, 3), (1, 1), (0, 1), (-1, 2), (2.5, 1)]),
)  # fmt: skip
def test_tests_of_planes(x, n, seed, n_blocks):
    found = result_of(surrogates.plane_test, x, n, seed, n_blocks=n_blocks)
    if found is not None:
        assert 0 < found.p_value <= 1
        assert 0 < found.score <= 1
        assert np.isfinite(found.effect)
        assert found == surrogates.plane_test(x, n, seed, n_blocks=n_blocks)
    spectra = result_of(planes.local_spectra, x, n_blocks)
    assert spectra is None or np.isfinite(spectra).all()


@examples(60)
@given(
    x=arrays(2, 3, longest=24), rows=numbers(1, 40, whole=True),
    columns=numbers(1, 40, whole=True),
)  # fmt: skip
def test_planes_are_resampled(x, rows, columns):
    y = result_of(planes.resample_plane, x, (rows, columns))
    if y is None:
        return
    assert y.shape == (*x.shape[:-2], int(rows), int(columns))
    assert y.dtype == float_of(x)
    slack = 1e-5 * np.abs(x.astype(float)).max() + 1e-30
    assert y.min() >= x.min() - slack
    assert y.max() <= x.max() + slack
    if rows <= x.shape[-2] and columns <= x.shape[-1]:
        means = (a.mean(axis=(-2, -1), dtype=float) for a in (x, y))
        np.testing.assert_allclose(*means, rtol=1e-5, atol=slack)


@examples(60)
@given(x=PLANES, max_iter=numbers(0, 5, whole=True))
def test_polished_planes_keep_their_shape(x, max_iter):
    y = result_of(planes.median_polish, x, max_iter=max_iter)
    if y is not None:
        assert y.shape == x.shape
        assert np.isfinite(y).all()
