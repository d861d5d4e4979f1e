import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf import MPCA, TensorScaler
from skstrf.multilinear import products as streaming

REFERENCE = Path(__file__).parents[1] / "reference" / "mpca"
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    factors = np.exp(-0.4 * np.arange(6))
    scales = np.einsum("i,j,k->ijk", factors, factors[:5], factors[:4])
    return rng.standard_normal((40, 6, 5, 4)) * scales + rng.standard_normal((6, 5, 4))


@parametrize_with_checks(
    [
        MPCA(),
        MPCA(2, max_iter=3, tol=1e-6),
        MPCA(criterion="total", whiten=True),
        MPCA(1.0, vectorize=True, whiten=True),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- outside references


@pytest.mark.parametrize("name", ["a_40x8x9x10_Q95_K5", "b_30x6x7x5x4_Q97_K20"])
def test_equals_the_original_program(name):
    expected = np.load(REFERENCE / f"{name}.npz")
    x = np.load(REFERENCE / f"{name.split('_Q')[0]}_input.npz")["X"]
    mpca = MPCA(float(expected["Q"]), max_iter=int(expected["max_iter"])).fit(x)
    for n, component in enumerate(mpca.components_, start=1):
        np.testing.assert_allclose(component, expected[f"U{n}"], atol=1e-9)
    np.testing.assert_allclose(mpca.transform(x), expected["projected"], atol=1e-8)
    np.testing.assert_allclose(mpca.scatter_, expected["scatter_per_iter"], rtol=1e-10)
    np.testing.assert_array_equal(mpca.feature_order_, expected["order_by_variance_C"])
    restored = mpca.inverse_transform(mpca.transform(x))
    np.testing.assert_allclose(restored, expected["reconstruction"], atol=1e-8)
    np.testing.assert_allclose(
        1 - mpca.explained_variance_ratio_, expected["rel_rec_error"] ** 2, rtol=1e-8
    )


@pytest.mark.parametrize("whiten", [False, True])
def test_two_dimensional_data_are_ordinary_pca(x, whiten):
    flat = x.reshape(40, -1)[:, :12]
    pca = PCA(4, whiten=whiten, svd_solver="full").fit(flat)
    mpca = MPCA(4, whiten=whiten).fit(flat)
    signs = np.sign((pca.components_ * mpca.components_[0]).sum(1))
    np.testing.assert_allclose(mpca.components_[0] * signs[:, None], pca.components_, atol=1e-9)
    np.testing.assert_allclose(mpca.transform(flat) * signs, pca.transform(flat), atol=1e-9)
    np.testing.assert_allclose(mpca.explained_variance_, pca.explained_variance_)
    total = pca.explained_variance_ratio_.sum()
    np.testing.assert_allclose(mpca.explained_variance_ratio_, total)
    np.testing.assert_allclose(mpca.mode_explained_variance_ratio_, [total])


# ---------------------------------------------------------------- ratios and shapes


def test_a_share_is_per_mode_unless_told_otherwise(x):
    per_mode = MPCA(0.9, max_iter=3).fit(x)
    assert np.all(per_mode.mode_explained_variance_ratio_ >= 0.9)
    assert per_mode.explained_variance_ratio_ < 0.9
    total = MPCA(0.9, criterion="total", max_iter=3).fit(x)
    assert total.explained_variance_ratio_ >= 0.9
    for model in (per_mode, total):
        restored = model.inverse_transform(model.transform(x))
        lost = ((x - restored) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
        np.testing.assert_allclose(model.explained_variance_ratio_, 1 - lost)
        np.testing.assert_allclose(model.explained_variance_, model.transform(x).var(0, ddof=1))


@pytest.mark.parametrize(
    ("n_components", "shape"),
    [
        (3, (3, 3, 3)),
        ((2, None, 1), (2, 5, 1)),
        ([np.int64(2), 1.0, 3], (2, 5, 3)),
        (np.array([1, 2, 3]), (1, 2, 3)),
        (1, (1, 1, 1)),
        (1.0, (6, 5, 4)),
    ],
)
def test_shapes(x, n_components, shape):
    mpca = MPCA(n_components).fit(x)
    assert mpca.input_shape_ == (6, 5, 4)
    assert mpca.output_shape_ == shape
    assert mpca.transform(x).shape == (40, *shape)
    assert [c.shape for c in mpca.components_] == list(zip(shape, (6, 5, 4), strict=True))


def test_vectors_come_by_descending_variance(x):
    tensors, vectors = MPCA(3).fit(x), MPCA(3, vectorize=True).fit(x)
    y = vectors.transform(x)
    assert vectors.output_shape_ == (27,)
    assert np.all(np.diff(y.var(0)) <= 1e-12)
    flat = tensors.transform(x).reshape(40, -1)
    np.testing.assert_array_equal(y, flat[:, vectors.feature_order_])
    np.testing.assert_allclose(
        vectors.inverse_transform(y), tensors.inverse_transform(tensors.transform(x))
    )


@pytest.mark.parametrize("vectorize", [False, True])
def test_whitening(x, vectorize):
    mpca = MPCA(3, vectorize=vectorize, whiten=True).fit(x)
    y = mpca.transform(x)
    np.testing.assert_allclose(y.std(0, ddof=1), 1)
    plain = MPCA(3).fit(x)
    np.testing.assert_allclose(
        mpca.inverse_transform(y), plain.inverse_transform(plain.transform(x)), atol=1e-12
    )


def test_whitening_leaves_alone_what_does_not_vary(x):
    still = np.concatenate([x[:, :, :2], np.zeros((40, 6, 3, 4))], axis=2)
    y = MPCA((2, 4, 2), vectorize=True, whiten=True).fit_transform(still)
    np.testing.assert_allclose(y.std(0, ddof=1), [1] * 8 + [0] * 8, atol=1e-8)


def test_only_vectors_have_feature_names(x):
    names = [f"mpca{i}" for i in range(8)]
    assert not hasattr(MPCA(), "get_feature_names_out")
    assert not hasattr(MPCA(), "set_output")
    mpca = MPCA(2, vectorize=True).fit(x)
    assert list(mpca.get_feature_names_out()) == names
    pytest.importorskip("pandas")
    assert list(mpca.set_output(transform="pandas").transform(x).columns) == names


# ---------------------------------------------------------------- laws


@settings(max_examples=20, deadline=None)
@given(shape=shapes, n=st.integers(2, 6), seed=st.integers(0, 99), vectorize=st.booleans())
def test_nothing_is_lost_with_all_components(shape, n, seed, vectorize):
    x = np.random.default_rng(seed).standard_normal((n, *shape))
    mpca = MPCA(tuple(shape), vectorize=vectorize, max_iter=2).fit(x)
    np.testing.assert_allclose(mpca.inverse_transform(mpca.transform(x)), x, atol=1e-9)
    np.testing.assert_allclose(mpca.explained_variance_ratio_, 1)


def test_samples_are_treated_one_by_one_and_in_any_order(x):
    mpca = MPCA(0.9, max_iter=2).fit(x)
    batch = mpca.transform(x)
    single = np.concatenate([mpca.transform(sample[None]) for sample in x])
    np.testing.assert_allclose(single, batch, atol=1e-12)
    shuffled = MPCA(0.9, max_iter=2).fit(x[::-1])
    np.testing.assert_allclose(shuffled.transform(x), batch, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 3.3])
def test_constant_data_transform_to_zeros(value):
    x = np.full((5, 3, 4), value)
    for criterion in ("per-mode", "total"):
        mpca = MPCA(criterion=criterion, vectorize=True, whiten=True).fit(x)
        np.testing.assert_array_equal(mpca.transform(x), np.zeros((5, 1)))
        np.testing.assert_array_equal(mpca.inverse_transform(mpca.transform(x)), x)
        np.testing.assert_array_equal(mpca.mode_explained_variance_ratio_, [1, 1])
        assert mpca.explained_variance_ratio_ == 1


# ---------------------------------------------------------------- types


def test_float32_stays_and_integers_become_float64(x):
    single = MPCA(3).fit(x.astype(np.float32))
    assert single.transform(x.astype(np.float32)).dtype == np.float32
    assert single.inverse_transform(single.transform(x.astype(np.float32))).dtype == np.float32
    assert {c.dtype for c in single.components_} == {np.dtype(np.float32)}
    integers = np.round(10 * x).astype(int)
    whole = MPCA(3).fit(integers)
    assert whole.transform(integers).dtype == np.float64
    np.testing.assert_array_equal(whole.transform(integers.tolist()), whole.transform(integers))


@pytest.mark.parametrize("options", [{}, {"vectorize": True, "whiten": True}])
@pytest.mark.parametrize("gradient", [False, True])
def test_torch_in_torch_out(x, options, gradient):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(x, requires_grad=gradient)
    expected, mpca = MPCA(3, **options).fit(x), MPCA(3, **options).fit(tensor)
    for ours, theirs in zip(mpca.components_, expected.components_, strict=True):
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, theirs, atol=1e-10)
    y = mpca.transform(tensor)
    assert isinstance(y, torch.Tensor)
    assert y.requires_grad == gradient
    np.testing.assert_allclose(y.detach(), expected.transform(x), atol=1e-10)
    restored = mpca.inverse_transform(y)
    assert restored.dtype == torch.float64
    np.testing.assert_allclose(
        restored.detach(), expected.inverse_transform(expected.transform(x)), atol=1e-10
    )
    single = mpca.transform(tensor.float())
    assert single.dtype == torch.float32
    assert mpca.transform(tensor.half()).dtype == torch.float32
    with pytest.raises(ValueError, match=r"shape \(6, 5, 4\).*shape \(6, 5, 3\)"):
        mpca.transform(tensor[..., :3])
    with pytest.raises(ValueError, match="Complex data not supported"):
        mpca.transform(tensor.to(torch.complex64))


def test_pickle_and_clone(x):
    mpca = MPCA((2, 0.9, None), max_iter=2, vectorize=True).fit(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(mpca)).transform(x), mpca.transform(x))
    copy = clone(mpca)
    assert copy.get_params() == mpca.get_params()
    assert not hasattr(copy, "components_")


def test_read_only_and_memory_mapped_data(x, tmp_path, monkeypatch):
    monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", 3 * x[0].nbytes)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_allclose(
        MPCA().fit(mapped).transform(mapped), MPCA().fit(x).transform(x), atol=1e-12
    )


def test_in_a_grid_search_over_tensors(x):
    y = np.arange(40) % 2
    x[y == 1, 0, 0] += 2
    pipeline = make_pipeline(TensorScaler(), MPCA(vectorize=True), LogisticRegression())
    search = GridSearchCV(pipeline, {"mpca__n_components": [0.5, 0.9, (2, None, 2)]}, cv=3)
    assert search.fit(x, y).best_score_ > 0.7


# ---------------------------------------------------------------- bad input


def test_one_sample(x):
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2"):
        MPCA().fit(x[:1])


def test_another_shape_than_in_fit(x):
    mpca = MPCA().fit(x)
    with pytest.raises(ValueError, match=r"samples of shape \(6, 5, 4\).*shape \(6, 5, 3\)"):
        mpca.transform(x[..., :3])
    with pytest.raises(ValueError, match=r"takes samples of shape \(\d, \d, \d\)"):
        mpca.inverse_transform(x)
    with pytest.raises(ValueError, match=r"takes samples of shape \(8,\)"):
        MPCA(2, vectorize=True).fit(x).inverse_transform(np.ones((3, 2, 2, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(x, value):
    mpca = MPCA((2, None, 1.0)).fit(x)
    x[3, 2, 1, 0] = value
    with pytest.raises(ValueError, match="MPCA contains NaN or infinity"):
        mpca.transform(x)
    with pytest.raises(ValueError, match="NaN or infinity"):
        MPCA().fit(x)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        mpca.inverse_transform(np.full((1, *mpca.output_shape_), value))


@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 0},
        {"n_components": 1.5},
        {"n_components": None},
        {"n_components": "all"},
        {"n_components": 7},
        {"n_components": (1, 2)},
        {"criterion": "both"},
        {"max_iter": -1},
        {"tol": -1.0},
    ],
)
def test_bad_parameters(x, options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        MPCA(**options).fit(x)
