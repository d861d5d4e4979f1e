"""Losses, kernels and distances of textures, and scores of channels, on any tensor."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier

from skstrf import StationarityScorer, channel_scores, texture
from skstrf.texture.gram import arc_cosine_kernel
from tests.hardening.laws import arrays, examples, numbers, result_of

MAPS = arrays(2, 3, longest=9, dtypes=("f4", "f8"), any=False)


@st.composite
def batches(draw, planes=(12, 20)):
    """A few tensors of sounds, some with silence or NaN in them."""
    shape = (
        draw(st.integers(5, 9)),
        *draw(st.sampled_from([(2, 4, 6), (1, 2, 3, 9), planes, (7,)])),
    )
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape)
    damage = draw(st.sampled_from([None, None, None, 0.0, np.nan]))
    if damage is not None:
        x[draw(st.integers(0, 4))] = damage
    return x.astype(draw(st.sampled_from(["f4", "f8"])))


BATCHES = batches()


def tensor(x):
    return torch.from_numpy(np.ascontiguousarray(x))


@examples(60)
@given(
    x=MAPS, y=MAPS, same=st.booleans(), mean=st.booleans(), n=st.none() | numbers(1, 9, whole=True)
)
def test_losses(x, y, same, mean, n):
    x = tensor(x)
    y = x.flip(-1) if same else tensor(y)
    gram = result_of(texture.gram_matrix, x, mean=mean)
    if gram is None:
        return
    assert gram.dtype == x.dtype
    torch.testing.assert_close(gram, gram.mT)
    assert float(torch.linalg.eigvalsh(gram.double()).min()) >= -1e-4 * float(gram.abs().max())
    content = result_of(texture.content_loss, x, y)
    if content is not None:
        assert content.shape == torch.broadcast_shapes(x.shape, y.shape)[:-2]
        assert (content >= 0).all()
        assert (texture.content_loss(x, x) == 0).all()
    other = result_of(texture.gram_matrix, y, mean=mean)
    if other is None:
        return
    loss = result_of(texture.gram_loss, gram, other, n_positions=n)
    if loss is not None:
        assert loss.shape == torch.broadcast_shapes(gram.shape, other.shape)[:-2]
        assert torch.isfinite(loss).all()
        if same:  # the order of positions does not count
            assert (loss <= 1e-6 * gram.abs().max() ** 2 + 1e-30).all()


@examples(40)
@given(x=arrays(2, longest=9, dtypes=("f4", "f8"), any=False))
def test_kernels(x):
    x = tensor(x).double()
    norms = x.square().sum(0).clamp(min=1e-20).sqrt()
    kernel = arc_cosine_kernel(x.mT @ x, norms[:, None], norms)
    assert torch.isfinite(kernel).all()
    torch.testing.assert_close(kernel, kernel.mT)
    torch.testing.assert_close(kernel.diagonal(), norms**2 / 2, rtol=1e-5, atol=1e-12)
    assert float(torch.linalg.eigvalsh(kernel).min()) >= -1e-6 * float(kernel.abs().max())


@examples(15)
@given(
    x=batches(planes=(3, 4)),
    n_classes=st.sampled_from([2, 2, 3, 1]),
    cv=st.sampled_from([2, 2, 3, 1, None]),
)
def test_scores_of_channels(x, n_classes, cv):
    y = np.arange(len(x)) % n_classes
    found = result_of(channel_scores, RidgeClassifier(), x, y, cv=cv)
    if found is not None:
        assert np.isfinite(found.mean).all()
        assert (found.mean >= 0).all()
        assert (found.mean <= 1).all()


@examples(15)
@given(
    x=BATCHES, n=numbers(19, 25, whole=True), alpha=numbers(0.01, 0.5),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_scores_of_stationarity(x, n, alpha, seed):
    scorer = StationarityScorer(n_surrogates=n, alpha=alpha, random_state=seed)
    y = result_of(scorer.fit_transform, x)
    if y is not None:
        assert len(y) == len(x)
        assert np.isfinite(y).all()
        np.testing.assert_array_equal(scorer.transform(x), y)
