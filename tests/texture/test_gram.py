"""The losses against the formulas of the report, written out, and against numbers known."""

import numpy as np
import pytest
import torch

from skstrf.texture import (
    content_loss,
    gram_loss,
    gram_matrix,
)
from skstrf.texture.gram import relative_distance


@pytest.fixture
def maps():
    return torch.randn((2, 5, 9), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_gram_matrix_is_the_sum_of_equation_12(maps):
    f = maps[0].numpy()
    expected = [[sum(f[i] * f[j]) for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(gram_matrix(maps[0], mean=False), expected)
    np.testing.assert_allclose(gram_matrix(maps[0]), np.array(expected) / 9)


def test_gram_matrix_forgets_where_things_are(maps):
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(gram_matrix(maps[..., order]), gram_matrix(maps))


def test_content_loss_and_its_gradient_are_equations_10_and_11(maps):
    x = maps[0].clone().requires_grad_()
    content_loss(x, maps[1]).backward()
    torch.testing.assert_close(x.grad, maps[0] - maps[1])


def test_gram_loss_and_its_gradient_are_equations_13_and_14(maps):
    x = maps[0].clone().requires_grad_()
    difference = gram_matrix(maps[0], mean=False) - gram_matrix(maps[1], mean=False)
    loss = gram_loss(gram_matrix(x, mean=False), gram_matrix(maps[1], mean=False), n_positions=9)
    torch.testing.assert_close(loss, difference.square().sum() / (4 * 5**2 * 9**2))
    loss.backward()
    torch.testing.assert_close(x.grad, difference @ maps[0] / (5**2 * 9**2))
    as_means = gram_loss(gram_matrix(maps[0]), gram_matrix(maps[1]))
    torch.testing.assert_close(as_means, loss)


def test_relative_distance_ends(maps):
    zeros = torch.zeros_like(maps[0])
    assert relative_distance(maps[0], maps[0]) < 1e-12
    assert relative_distance(zeros, maps[0]) == 1.0
    assert relative_distance(maps[0], zeros) == torch.inf


@pytest.mark.parametrize("function", [content_loss, gram_loss, relative_distance])
def test_other_shapes_are_refused(function):
    with pytest.raises(ValueError, match="differ"):
        function(torch.zeros(3, 3), torch.zeros(4, 4))
    with pytest.raises(ValueError, match="real"):
        function(torch.zeros(3, 3, dtype=torch.complex64), torch.zeros(3, 3))


def test_bad_maps_are_refused():
    with pytest.raises(ValueError, match="none empty"):
        gram_matrix(torch.zeros(3, 0))
    with pytest.raises(ValueError, match="n_positions"):
        gram_loss(torch.eye(2), torch.eye(2), n_positions=0)
