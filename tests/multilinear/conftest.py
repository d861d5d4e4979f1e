"""What the tests of multilinear algebra share."""

import pytest

from skstrf.multilinear import products as streaming


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Two samples a chunk for the data of the test, so that chunks and threads come into play."""

    def set_bytes(x):
        monkeypatch.setitem(streaming.CHUNK_BYTES, "cpu", 2 * x[0].nbytes)

    return set_bytes
