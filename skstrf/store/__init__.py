"""Tensors of a whole corpus on disk: one zarr store, written piece by piece."""

from skstrf.store.corpus import store_tensors
from skstrf.store.tensors import StoredTensors, open_tensors

__all__ = ["StoredTensors", "open_tensors", "store_tensors"]
