"""The drawn network against torch's convolution, the closed form against drawn filters."""

import pytest
import torch

from skstrf.texture import InfiniteRandomNetwork, RandomNetwork, gram_matrix
from skstrf.texture.gram import (
    _patch_norms,
    _patch_products,
    arc_cosine_kernel,
    mean_gram,
    relative_distance,
)


@pytest.fixture(scope="module")
def spectrograms():
    """A style, a content and something between, with structure in time."""
    generator = torch.Generator().manual_seed(0)
    style, content = torch.rand((2, 20, 60), generator=generator) ** 3
    style = style * torch.linspace(0.1, 2, 20)[:, None]
    return style, content, 0.5 * (style + content)


def test_random_network_is_a_convolution_and_a_relu(spectrograms):
    network = RandomNetwork(20, n_filters=7, kernel_size=5, random_state=3)
    batch = torch.stack(spectrograms)
    expected = torch.nn.functional.conv1d(batch, network.weight).relu()
    torch.testing.assert_close(network(batch), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(batch[0]), expected[0], rtol=1e-4, atol=1e-5)


def test_same_seed_same_filters_and_global_generator_left_alone():
    before = torch.get_rng_state()
    a, b, c = (RandomNetwork(4, 8, 3, random_state=seed).weight for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(before, torch.get_rng_state())
    assert abs(float(RandomNetwork(40, 400, 11).weight.var()) * 11 * 440 / 4 - 1) < 0.02


def test_patch_products_are_those_of_patches(spectrograms):
    x, y, _ = spectrograms
    patches = [s.unfold(-1, 4, 1).permute(1, 0, 2).flatten(1) for s in (x, y[:, :30])]
    torch.testing.assert_close(
        _patch_products(x, y[:, :30], 4), patches[0] @ patches[1].T, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(_patch_norms(x, 4), patches[0].norm(dim=1), rtol=1e-4, atol=1e-4)


def test_kernel_is_the_mean_over_filters():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn((2, 6), generator=generator, dtype=torch.float64)
    filters = torch.randn((400_000, 6), generator=generator, dtype=torch.float64)
    drawn = ((filters @ x).relu() * (filters @ y).relu()).mean()
    exact = arc_cosine_kernel(x @ y, x.norm(), y.norm())
    assert abs(float(drawn / exact) - 1) < 0.01


def test_kernel_has_the_right_gradient_even_where_patches_are_equal():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn((2, 6), generator=generator, dtype=torch.float64)

    def kernel(x, y):
        return arc_cosine_kernel(x @ y, x.norm(), y.norm())

    assert torch.autograd.gradcheck(kernel, (x.requires_grad_(), y.requires_grad_()))
    kernel(x, x).backward()
    torch.testing.assert_close(x.grad, x.detach())


def test_infinite_network_is_the_limit_of_drawn_ones(spectrograms):
    """Expected from outside: the plain definition on many filters."""
    style, content, x = spectrograms
    network = RandomNetwork(20, n_filters=4000, kernel_size=5)
    infinite = InfiniteRandomNetwork([style], kernel_size=5)
    for sound in (content, x):
        drawn = relative_distance(gram_matrix(network(sound)), gram_matrix(network(style)))
        assert abs(float(infinite.gram_distance(sound) / drawn) - 1) < 0.03
        drawn = relative_distance(network(sound), network(style))
        assert abs(float(infinite.content_distance(sound, style) / drawn) - 1) < 0.03


def test_infinite_network_takes_several_styles_of_other_lengths(spectrograms):
    style, content, x = spectrograms
    network = RandomNetwork(20, n_filters=4000, kernel_size=5)
    gram = mean_gram([network(style), network(content[:, :30])])
    drawn = relative_distance(gram_matrix(network(x)), gram)
    infinite = InfiniteRandomNetwork([style, content[:, :30]], kernel_size=5).gram_distance(x)
    assert abs(float(infinite / drawn) - 1) < 0.03


def test_mean_gram_is_the_mean_over_all_positions(spectrograms):
    style, content, _ = spectrograms
    network = RandomNetwork(20, n_filters=16, kernel_size=5)
    both = [network(style), network(content[:, :30])]
    torch.testing.assert_close(mean_gram(both), gram_matrix(torch.cat(both, dim=-1)))
    with pytest.raises(ValueError, match="at least one"):
        mean_gram([])


def test_distances_can_be_descended_from_where_they_are_nil(spectrograms):
    style, content, _ = spectrograms
    infinite = InfiniteRandomNetwork([style], kernel_size=5)
    x = content.clone().requires_grad_()
    infinite.content_distance(x, content, squared=True).backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() < 1e-5
    infinite.gram_distance(x, squared=True).backward()
    step = content - 0.1 * x.grad / x.grad.norm()
    assert infinite.gram_distance(step) < infinite.gram_distance(content)


def test_bad_spectrograms_are_refused(spectrograms):
    network = RandomNetwork(20, n_filters=4)
    for shape in ((19, 30), (20, 10), (20,)):
        with pytest.raises(ValueError, match="at least 11 frames"):
            network(torch.zeros(shape))
    with pytest.raises(ValueError, match="no patches of 11"):
        _patch_products(torch.zeros(20, 10), torch.zeros(20, 30), 11)
    with pytest.raises(ValueError, match="silent"):
        InfiniteRandomNetwork([torch.zeros(20, 30)])
