"""Products of tensors with matrices along their axes."""

import numpy as np
import pytest
import tensorly as tl
from hypothesis import given
from hypothesis import strategies as st
from tensorly.tenalg import multi_mode_dot

from skstrf.multilinear import (
    mode_product,
    multi_mode_product,
    project,
    reconstruct,
)
from tests.multilinear.tensors import few, shapes, tensors


@few
@given(shape=shapes, rows=st.integers(1, 5), data=st.data())
def test_mode_product_equals_tensorly(shape, rows, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(0)
    x, matrix = rng.standard_normal(shape), rng.standard_normal((rows, shape[axis]))
    np.testing.assert_allclose(
        mode_product(x, matrix, axis), tl.tenalg.mode_dot(x, matrix, axis), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 5, 9, 40, 50), (3, 7, 16), (2, 5, 17000), (2, 6, 3, 5, 2)])
@pytest.mark.parametrize("kind", ["numpy", "pytorch"])
def test_multi_mode_product_equals_tensorly(shape, kind):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    matrices = [rng.standard_normal((min(3, size), size)) for size in shape[1:]]
    matrices[-1] = None
    with tl.backend_context(kind, local_threadsafe=True):
        expected = multi_mode_dot(
            tl.tensor(x), [tl.tensor(m) for m in matrices[:-1]], modes=range(1, x.ndim - 1)
        )
        found = multi_mode_product(tl.tensor(x), matrices)
        assert type(found) is type(expected)
        np.testing.assert_allclose(tl.to_numpy(found), tl.to_numpy(expected), atol=1e-10)


@few
@given(shape=shapes, n=st.integers(1, 4))
def test_all_components_lose_nothing(shape, n):
    x = tensors(n, shape)
    rotations = [np.linalg.qr(np.random.default_rng(2).standard_normal((i, i)))[0] for i in shape]
    y = project(x, x.mean(0), rotations)
    np.testing.assert_allclose((y**2).sum(), ((x - x.mean(0)) ** 2).sum(), atol=1e-10)
    np.testing.assert_allclose(reconstruct(y, x.mean(0), rotations), x, atol=1e-10)


def test_projections_differentiate_in_torch():
    torch = pytest.importorskip("torch")
    x = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    components = [np.eye(4)[:2], None]
    project(x, np.ones((4, 5)), components).sum().backward()
    expected = np.zeros((3, 4, 5))
    expected[:, :2] = 1
    np.testing.assert_array_equal(x.grad, expected)
