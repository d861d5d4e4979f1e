"""Fixtures that hold the road of a GPU on machines without one."""

import contextlib

import pytest
import torch

from skstrf.utils import devices

LEAVING = ("__array__", "cpu", "numpy", "tolist", "item", "__iter__")


@pytest.fixture
def as_device():
    """Let tensors on the CPU be treated as tensors on a GPU."""
    saved = set(devices.HOST_KINDS)
    devices.HOST_KINDS.clear()
    yield
    devices.HOST_KINDS.update(saved)


@contextlib.contextmanager
def nothing_leaves(monkeypatch, limit):
    """Fail on any conversion of a tensor of more than `limit` numbers to numpy or to lists."""

    def guarded(name, original):
        def method(self, *args, **kwargs):
            if self.numel() > limit:
                raise AssertionError(f"{name}() of a tensor of shape {tuple(self.shape)}")
            return original(self, *args, **kwargs)

        return method

    with monkeypatch.context() as patch:
        for name in LEAVING:
            patch.setattr(torch.Tensor, name, guarded(name, getattr(torch.Tensor, name)))
        yield
