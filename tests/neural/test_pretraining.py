"""Filling in what is hidden teaches the convolutional layers, and nothing else is touched."""

import numpy as np
import pytest
import torch

from skstrf import CNNClassifier
from skstrf.neural import ConvolutionalNetwork, SeparableNetwork, pretrain_masked
from skstrf.neural.training import raw_module


@pytest.fixture
def tensors():
    """Smooth pictures, whose hidden parts can be told from their neighbors."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :12] / 12
    phases = rng.uniform(0, 2 * np.pi, (24, 3, 1, 1))
    rates = rng.uniform(1, 3, (24, 1, 1, 1))
    return np.sin(2 * np.pi * rates * (rows + 0.3 * columns) + phases).astype(np.float32)


@pytest.mark.parametrize("network", [ConvolutionalNetwork(16), SeparableNetwork(16)])
def test_hidden_parts_are_told_better_than_by_the_mean(tensors, network):
    losses = []
    start = pretrain_masked(
        CNNClassifier(network=network),
        tensors,
        masked=0.3,
        max_epochs=30,
        batch_size=8,
        lr=5e-3,
        random_state=0,
        callback=lambda epoch, loss: losses.append(loss),
    )
    assert len(losses) == 30
    assert losses[-1] < 0.7 * losses[0]
    assert losses[-1] < 0.9
    twin = CNNClassifier(network=network, warm_start_from=start, max_epochs=1, random_state=0)
    twin.fit(tensors[:6], [0, 1] * 3)
    assert twin.predict(tensors).shape == (24,)


def test_layers_are_copied_and_the_classifier_is_left_alone(tensors):
    classifier = CNNClassifier(max_epochs=1, lr=1e-12, weight_decay=0.0)
    before = classifier.get_params()
    start = pretrain_masked(classifier, tensors, max_epochs=1, random_state=0)
    assert classifier.get_params() == before
    assert not hasattr(classifier, "net_")
    tuned = CNNClassifier(warm_start_from=start, max_epochs=1, lr=1e-12, random_state=3)
    tuned.fit(tensors[:6], [0, 1] * 3)
    first, copied = (
        raw_module(one.net_).get_submodule("conv1").state_dict() for one in (start, tuned)
    )
    name = next(key for key in first if key.endswith("filter.weight"))
    torch.testing.assert_close(first[name], copied[name], atol=1e-5, rtol=1e-4)


def test_same_seed_same_bits(tensors):
    one, two = (
        raw_module(
            pretrain_masked(CNNClassifier(), tensors, max_epochs=2, random_state=5).net_
        ).state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("masked", [0, 1, -0.1, np.nan])
def test_share_is_checked(tensors, masked):
    with pytest.raises(ValueError, match="masked"):
        pretrain_masked(CNNClassifier(), tensors, masked=masked)
