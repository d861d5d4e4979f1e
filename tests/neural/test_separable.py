"""The separable network: attention over the channel axes, and everything the other one can do."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from skstrf.model_io import load_model, save_model
from skstrf.neural import ConvolutionalNetwork, SeparableNetwork
from skstrf.neural.architecture import plan_layers
from skstrf.neural.augmentation import Augmentation, mask_channels
from skstrf.neural.networks import (
    AxisAttention,
    ConvolutionalNet,
    SeparableNet,
    allocate,
    build_network,
    copy_layers,
    initialize,
)
from tests.neural.small_networks import classifier

FAST = {
    "network": SeparableNetwork(),
    "network__n_filters": 12,
    "network__kernel_sizes": (3, 3),
    "network__strides": 1,
    "network__n_hidden": 16,
    "max_epochs": 15,
    "lr": 2e-2,
    "device": "cpu",
    "random_state": 0,
}


def rates(n=120, seed=0, noise=0.3):
    """A bump at any place of the image, in channels of the scale and rate that are the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = noise * rng.standard_normal((n, 3, 4, 8, 10))
    for x, label in zip(X, y, strict=True):
        i, j = rng.integers(1, 7), rng.integers(1, 9)
        x[label, 3 - label, i - 1 : i + 2, j - 1 : j + 2] += 1.5
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def data():
    return rates()


@pytest.fixture(scope="module")
def fitted(data):
    return classifier(**FAST).fit(*data)


def make(shape=(12, 16, 9), axes=(3, 4), seed=0, **kwargs):
    plan = plan_layers(shape[1:], shape[0], n_filters=8)
    architecture = {"plan": [spec._asdict() for spec in plan], "n_classes": 3, **kwargs}
    net = build_network({**architecture, "network": "separable", "channel_axes": list(axes)})
    net = allocate(net)
    initialize(net, torch.Generator().manual_seed(seed))
    return net


@settings(max_examples=12, deadline=None)
@given(
    image=st.tuples(st.integers(1, 40), st.integers(1, 30)),
    axes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    batch_norm=st.booleans(),
    n_hidden=st.sampled_from([0, 7]),
)
def test_any_image_and_any_axes_go_through(image, axes, batch_norm, n_hidden):
    n = int(np.prod(axes))
    plan = plan_layers(image, n, n_filters=5)
    net = SeparableNet(plan, 2, n_hidden, batch_norm, channel_axes=axes).train()
    x = torch.randn(3, n, *image, generator=torch.Generator().manual_seed(0))
    assert net(x).shape == (3, 2)
    found = net.activations(x, net.layer_names)
    for number, spec in enumerate(plan, start=1):
        assert found[f"conv{number}"].shape == (3, 5, *spec.image)


@pytest.mark.parametrize("network", [ConvolutionalNet, SeparableNet])
@pytest.mark.parametrize("pool", [(2, 1), (1, 2)])
def test_both_networks_pool_along_one_axis(network, pool):
    layer = {"kernel_sizes": (3,), "strides": 1, "pool_size": [pool], "pool_stride": [pool]}
    plan = plan_layers((12, 16), n_filters=4, **layer)
    found = network(plan, 2).activations(torch.ones(2, 1, 12, 16), ["conv1"])["conv1"]
    assert found.shape == (2, 4, 12 // pool[0], 16 // pool[1])


def test_axes_that_are_not_the_channels_are_refused():
    with pytest.raises(ValueError, match=r"channel_axes=\(2, 3\) are not 12"):
        SeparableNet(plan_layers((8, 8), 12), 2, channel_axes=(2, 3))


def test_attention_is_a_product_over_the_axes_and_does_not_look_at_places():
    attention = AxisAttention((3, 4))
    x = torch.randn(5, 12, 6, 7, generator=torch.Generator().manual_seed(1))
    weights = attention.weights(x).view(5, 3, 4)
    # A product of one factor for each scale and one for each rate has rank one.
    singular = torch.linalg.svdvals(weights.detach())
    assert (singular[:, 1] < 1e-5 * singular[:, 0]).all()
    assert ((weights > 0) & (weights < 4)).all()
    rolled = x.roll((2, 3), dims=(2, 3))
    torch.testing.assert_close(attention.weights(rolled), weights.flatten(1))
    assert not torch.allclose(weights[0], weights[1])
    torch.testing.assert_close(attention(x), x * weights.reshape(5, 12, 1, 1))


def test_time_order_of_what_leaves_the_filters_has_no_part():
    plan = plan_layers((8, 20), 6, kernel_sizes=((3, 1),) * 2, strides=1, pool_size=1, n_filters=4)
    net = SeparableNet(plan, 3, channel_axes=(2, 3)).eval()
    x = torch.randn(2, 6, 8, 20, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(x), net(x[..., order]), atol=1e-5, rtol=1e-4)


def test_a_still_image_has_finite_gradients():
    net = make(batch_norm=True).train()
    x = torch.zeros(4, 12, 16, 9, requires_grad=True)
    net(x).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_it_has_a_twentieth_of_the_filters_of_the_other_on_a_whole_tensor():
    plan = [spec._asdict() for spec in plan_layers((128, 25), 198)]
    full = build_network({"plan": plan, "n_classes": 10, "network": "convolutional"})
    separable = build_network({"plan": plan, "n_classes": 10, "network": "separable"})

    def count(net):
        return sum(
            p.numel() for n, p in net.named_parameters() if n.startswith("conv") and p.ndim == 4
        )

    assert count(separable) < count(full) / 20


# ---- the classifier ----

EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "batches and their statistics depend on the number of rows, as with the other network"
    )
}
SMALL = classifier(**{**FAST, "max_epochs": 20, "lr": 0.05})


@pytest.mark.slow
@parametrize_with_checks([SMALL], expected_failed_checks=lambda estimator: EXPECTED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_learns_which_scale_and_rate_wherever_they_are(fitted):
    X, y = rates(seed=1)
    assert fitted.score(X, y) > 0.9
    assert fitted.architecture_["network"] == "separable"
    assert fitted.architecture_["channel_axes"] == [3, 4]


@pytest.mark.parametrize("shape", [(7,), (9, 8), (2, 4, 3), (2, 3, 4, 6), (2, 2, 2, 5, 1)])
def test_samples_of_any_order_go_in(shape):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, *shape)), np.arange(24) % 2
    clf = classifier(**{**FAST, "max_epochs": 2}).fit(X, y)
    proba = clf.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_same_seed_same_bits_and_every_way_of_keeping(data, fitted, tmp_path):
    X, y = data
    expected = fitted.predict_proba(X)
    assert np.array_equal(clone(fitted).fit(X, y).predict_proba(X), expected)
    save_model(fitted, tmp_path / "a.skops")
    for again in (pickle.loads(pickle.dumps(fitted)), load_model(tmp_path / "a.skops")):
        assert np.array_equal(again.predict_proba(X), expected)
        assert again.net_.module_.layer_names == fitted.net_.module_.layer_names


def test_layers_are_copied_and_held(data, fitted):
    X, y = data
    clf = classifier(**{**FAST, "max_epochs": 2}, warm_start_from=fitted, frozen_layers=2)
    clf.fit(X, y % 2)
    start, after = fitted.net_.module_.state_dict(), clf.net_.module_.state_dict()
    held = [name for name in start if name.startswith(("conv", "standardize"))]
    assert len(held) > 10 and all(torch.equal(start[k], after[k]) for k in held)


def test_the_two_networks_do_not_take_each_others_layers():
    plan = [spec._asdict() for spec in plan_layers((16, 9), 12, n_filters=8)]
    report = allocate(build_network({"plan": plan, "n_classes": 3, "network": "convolutional"}))
    # Their hidden layers have one shape here, and other things come in.
    assert copy_layers(report, make()) == []


def test_it_predicts_what_it_would_alone(data, fitted):
    X, _ = data
    together = fitted.predict_proba(X)
    single = np.concatenate([fitted.predict_proba(x[None]) for x in X[:20]])
    assert np.array_equal(together[:20], single)


# ---- bands of scales and rates ----


@settings(max_examples=40, deadline=None)
@given(
    axes=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 2**31),
)
def test_mask_blanks_a_band_of_every_channel_axis(axes, share, seed):
    x = torch.ones(4, int(np.prod(axes)), 3, 2)
    masked = mask_channels(x, share, axes, torch.Generator().manual_seed(seed))
    assert masked.shape == x.shape
    for sample in masked.unflatten(1, tuple(axes)).numpy():
        assert (sample == sample[..., :1, :1]).all()  # the whole image of a channel, or nothing
        cells = sample[..., 0, 0]
        kept = []
        for axis, size in enumerate(axes):
            others = tuple(a for a in range(len(axes)) if a != axis)
            lines = cells.any(axis=others)
            blank = np.flatnonzero(~lines)
            assert len(blank) <= share * size
            assert len(blank) == 0 or blank[-1] - blank[0] + 1 == len(blank)
            kept.append(lines)
        assert np.array_equal(cells, np.prod(np.meshgrid(*kept, indexing="ij"), axis=0))


def test_masks_of_channels_are_made_in_training_only_and_by_their_generator():
    changes = Augmentation(mask_channels=0.6, channel_axes=(3, 4))
    x = torch.ones(20, 12, 2, 2)
    results = []
    for seed in (1, 1, 2):
        changes.generator = torch.Generator().manual_seed(seed)
        results.append(changes(x))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert torch.equal(changes.eval()(x), x)


@pytest.mark.parametrize("network", [ConvolutionalNetwork(), SeparableNetwork()])
def test_masking_channels_changes_the_training(data, network):
    options = {**FAST, "network": network, "max_epochs": 2}
    plain = classifier(**options).fit(*data).predict_proba(data[0])
    masked = classifier(**options, augmentation__mask_channels=0.5).fit(*data)
    assert not np.allclose(plain, masked.predict_proba(data[0]), atol=1e-5)


# ---- bfloat16 ----


@pytest.mark.parametrize("network", [ConvolutionalNetwork(), SeparableNetwork()])
def test_mixed_precision_learns_as_well_and_predicts_in_full(data, network):
    X, y = rates(seed=1)
    options = {**FAST, "network": network, "max_epochs": 12, "lr": 1e-2}
    full = classifier(**options).fit(*data)
    mixed = classifier(**options, amp=True).fit(*data)
    assert mixed.score(X, y) > full.score(X, y) - 0.05
    loss = [clf.history_[0]["train_loss"] for clf in (full, mixed)]
    assert loss[0] != loss[1] and loss[1] == pytest.approx(loss[0], rel=0.05)
    assert {p.dtype for p in mixed.net_.module_.parameters()} == {torch.float32}
    again = pickle.loads(pickle.dumps(mixed))  # its net knows nothing of the training
    assert np.array_equal(again.predict_proba(X), mixed.predict_proba(X))
