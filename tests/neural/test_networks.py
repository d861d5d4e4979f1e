import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.neural.architecture import ConvolutionalNetwork, design_network, plan_layers
from skstrf.neural.networks import (
    BatchNorm,
    ConvolutionalNet,
    Dropout,
    allocate,
    build_network,
    copy_layers,
    initialize,
)

LAYERS = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 13), min_size=n, max_size=n),
        st.lists(st.integers(1, 4), min_size=n, max_size=n),
        st.lists(st.integers(1, 4), min_size=n, max_size=n),
    )
)
REPORT = {
    "n_filters": 64,
    "kernel_sizes": (11, 11, 5, 5),
    "strides": (1, 2, 2, 2),
    "pool_size": 3,
    "pool_stride": 2,
}


def make(shape=(2, 12, 9), n_classes=3, seed=0, **kwargs):
    plan_keys = (
        "n_filters",
        "kernel_sizes",
        "strides",
        "pool_size",
        "pool_stride",
        "separable_kernels",
    )
    plan_args = {key: kwargs.pop(key) for key in plan_keys if key in kwargs}
    plan = plan_layers(shape[1:], shape[0], **{"n_filters": 5, **plan_args})
    net = allocate(
        build_network(
            {
                "plan": [p._asdict() for p in plan],
                "n_classes": n_classes,
                **kwargs,
                "network": "convolutional",
            }
        )
    )
    initialize(net, torch.Generator().manual_seed(seed))
    return net


# ---- the plan ----


def test_report_network_is_uncut_where_the_image_is_large_enough():
    plan = plan_layers((500, 900), 198, **REPORT)
    assert [layer.kernel for layer in plan] == [(11, 11), (11, 11), (5, 5), (5, 5)]
    assert [layer.stride for layer in plan] == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert [layer.pool for layer in plan] == [(3, 3)] * 4
    assert [layer.in_channels for layer in plan] == [198, 64, 64, 64]


def test_small_axes_alone_are_cut():
    plan = plan_layers((4, 900), 1, **REPORT)
    assert [layer.kernel for layer in plan] == [(3, 11), (3, 11), (3, 5), (3, 5)]
    assert [layer.stride for layer in plan] == [(1, 1), (1, 2), (1, 2), (1, 2)]
    assert [layer.pool for layer in plan] == [(3, 3), (1, 3), (1, 3), (1, 3)]


def test_pool_of_one_where_nothing_is_left():
    plan = plan_layers((1, 1), 7, **REPORT)
    assert all(layer[2:6] == ((1, 1),) * 4 for layer in plan)


def test_a_small_image_is_not_given_away():
    # The image of the usual MPCA core: strides and pools stop before one cell is left.
    assert [layer.image for layer in plan_layers((24, 5), 30)] == [(12, 3), (3, 2), (2, 2), (2, 2)]


@settings(max_examples=60, deadline=None)
@given(
    image=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    layers=LAYERS,
    separable=st.booleans(),
    channels=st.integers(1, 30),
)
def test_a_network_of_any_plan_runs_and_has_the_planned_sizes(image, layers, separable, channels):
    kernels, strides, pools = layers
    plan = plan_layers(
        image,
        channels,
        n_filters=3,
        kernel_sizes=kernels,
        strides=strides,
        pool_size=pools,
        separable_kernels=separable,
    )
    net = ConvolutionalNet(plan, n_classes=2, n_hidden=4)
    found = net.activations(torch.zeros(1, channels, *image), net.layer_names)
    for number, layer in enumerate(plan, start=1):
        assert found[f"conv{number}"].shape == (1, 3, *layer.image)
        assert all(k % 2 == 1 for k in layer.kernel)
        before = image if number == 1 else plan[number - 2].image
        assert all(
            k <= max(s, 3 if s == 2 else 1) for k, s in zip(layer.kernel, before, strict=True)
        )
        asked = kernels[number - 1] + (kernels[number - 1] + 1) % 2
        assert max(layer.kernel) <= asked and max(layer.stride) <= strides[number - 1]
        assert max(layer.pool) <= pools[number - 1]
        assert max(layer.pool_stride) <= 2
    assert found["output"].shape == (1, 2)


def _weights_and_multiplications(plan, image):
    total, work = 0, 0
    for layer in plan:
        (k0, k1), (s0, s1) = layer.kernel, layer.stride
        out = (-(-image[0] // s0), -(-image[1] // s1))
        if layer.between:
            columns = layer.in_channels * k0 * layer.between
            rows = layer.between * k1 * layer.out_channels
            total += columns + rows
            work += columns * out[0] * image[1] + rows * out[0] * out[1]
        else:
            full = layer.in_channels * k0 * k1 * layer.out_channels
            total += full
            work += full * out[0] * out[1]
        image = layer.image
    return total, work


@pytest.mark.parametrize("image, channels", [((64, 25), 60), ((11, 17), 12), ((128, 125), 1)])
def test_factorizing_saves_work_and_weights(image, channels):
    full = _weights_and_multiplications(plan_layers(image, channels), image)
    less = _weights_and_multiplications(
        plan_layers(image, channels, separable_kernels=True), image
    )
    assert less[0] < full[0] and less[1] < full[1]


def test_one_channel_is_not_factorized_where_that_costs_more():
    assert plan_layers((64, 25), 1, separable_kernels=True)[0].between == 0
    assert plan_layers((64, 25), 60, separable_kernels=True)[0].between == 32


def test_each_layer_may_have_its_own_and_each_axis_too():
    plan = plan_layers(
        (50, 60),
        1,
        n_filters=(4, 8),
        kernel_sizes=((1, 9), 4),
        strides=((1, 3), 1),
        pool_size=(1, (2, 5)),
        pool_stride=(1, (2, 5)),
    )
    assert [layer.out_channels for layer in plan] == [4, 8]
    assert [layer.kernel for layer in plan] == [(1, 9), (5, 5)]
    assert [layer.image for layer in plan] == [(50, 20), (25, 4)]


@pytest.mark.parametrize(
    "bad, word",
    [
        ({"kernel_sizes": ()}, "kernel_sizes"),
        ({"kernel_sizes": (0, 3), "strides": 1}, "kernel_sizes"),
        ({"kernel_sizes": (3, 2.5), "strides": 1}, "kernel_sizes"),
        ({"kernel_sizes": ((1, 2, 3),), "strides": 1}, "kernel_sizes"),
        ({"strides": (1, 2)}, "strides"),
        ({"pool_size": (1, 2, 3)}, "pool_size"),
        ({"n_filters": (4, 4)}, "n_filters"),
        ({"n_filters": (4, 4, 4, 0)}, "n_filters"),
    ],
)
def test_bad_plans_name_the_argument(bad, word):
    with pytest.raises(ValueError, match=word):
        plan_layers((20, 20), 1, **bad)


def _design(caplog, image):
    with caplog.at_level(logging.INFO, logger="skstrf"):
        design_network(ConvolutionalNetwork(n_hidden=8), (1, *image), 2)
    return [record.getMessage() for record in caplog.records]


def test_the_log_tells_every_cut(caplog):
    messages = _design(caplog, (4, 900))
    assert "conv1: kernel (3, 11) instead of (11, 11), to fit the image" in messages
    assert "conv3: stride (1, 2) instead of (2, 2), to fit the image" in messages
    assert "conv2: pool (1, 3) instead of (3, 3), to fit the image" in messages


def test_the_log_is_silent_where_nothing_is_cut(caplog):
    assert _design(caplog, (500, 900)) == []


# ---- the modules ----


def test_building_draws_no_global_random_number_and_a_seed_decides():
    before = torch.random.get_rng_state()
    a, b, c = make(seed=1, batch_norm=True), make(seed=1, batch_norm=True), make(seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )
    assert not torch.equal(a.conv1.filter.weight, c.conv1.filter.weight)


def test_first_weights_keep_the_variance_through_the_layers():
    net = make((60, 40, 40), n_filters=64, pool_size=1, strides=1)
    x = torch.randn(8, 60, 40, 40, generator=torch.Generator().manual_seed(0))
    found = net.activations(x, ["conv1", "conv2", "conv3", "conv4"])
    for activation in found.values():  # ReLU: the mean square is half the variance before it
        assert 0.3 < activation.square().mean() < 2


def test_a_factorized_layer_is_a_full_one_of_low_rank():
    net = make((6, 20, 30), kernel_sizes=(5,), strides=(2,), pool_size=1, separable_kernels=True)
    columns, rows = net.conv1.columns, net.conv1.rows
    x = torch.randn(2, 6, 20, 30, generator=torch.Generator().manual_seed(0))
    kernel = torch.einsum("bik,ubl->uikl", columns.weight[..., 0], rows.weight[:, :, 0])
    full = torch.nn.functional.conv2d(x, kernel, rows.bias, stride=2, padding=2)
    torch.testing.assert_close(rows(columns(x)), full, atol=1e-5, rtol=1e-5)


def test_dropout_zeroes_its_share_keeps_the_mean_and_rests_in_evaluation():
    layer, x = Dropout(0.3), torch.ones(200, 200)
    layer.generator = torch.Generator().manual_seed(0)
    dropped = layer(x)
    assert abs((dropped == 0).float().mean().item() - 0.3) < 0.01
    assert abs(dropped.mean().item() - 1) < 0.02
    assert torch.equal(layer.eval()(x), x)


def test_batch_norm_takes_a_single_value_a_channel():
    layer = BatchNorm(3).train()
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(layer(x), x, atol=1e-4, rtol=1e-4)  # statistics of 0 and 1
    assert layer(torch.randn(4, 3, 1, 1)).std() > 0.5


def test_frozen_layers_hold_still_in_training_mode():
    net = make(batch_norm=True)
    net.freeze(["conv1", "conv2"])
    before = {name: t.clone() for name, t in net.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net.train()
    net(torch.randn(6, 2, 12, 9)).square().sum().backward()
    optimizer.step()
    moved = {name for name, t in net.state_dict().items() if not torch.equal(t, before[name])}
    assert moved and not any(name.startswith(("conv1.", "conv2.")) for name in moved)


def test_activations_match_the_forward_pass_and_let_gradients_through():
    net = make().eval()
    x = torch.randn(2, 2, 12, 9, requires_grad=True)
    found = net.activations(x, ["conv2", "output"])
    assert set(found) == {"conv2", "output"}
    torch.testing.assert_close(found["output"], net(x))
    found["conv2"].sum().backward()
    assert x.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="conv9"):
        net.activations(x, ["conv9"])


def test_without_hidden_units_there_is_no_hidden_layer():
    assert make(n_hidden=0).layer_names == ("conv1", "conv2", "conv3", "conv4", "output")


def test_copying_takes_what_fits_and_never_the_output():
    source, target = make(n_classes=4, seed=1), make(n_classes=4, seed=2)
    source.standardize.mean.fill_(7)
    fresh = target.output.dense.weight.clone()
    assert copy_layers(source, target) == ["conv1", "conv2", "conv3", "conv4", "hidden"]
    assert torch.equal(target.conv1.filter.weight, source.conv1.filter.weight)
    assert torch.equal(target.output.dense.weight, fresh)
    assert (target.standardize.mean == 7).all()
    # With more input channels the first layer, and its standardization, stay behind.
    other = make((3, 12, 9))
    assert copy_layers(source, other) == ["conv2", "conv3", "conv4", "hidden"]
    assert (other.standardize.mean == 0).all()
