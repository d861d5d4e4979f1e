"""Multilinear algebra: mode products, mode scatter matrices, and linear models of tensors.

All functions take a batch of tensors of shape ``(n_samples, I_1, ..., I_N)`` as a numpy array, a
torch tensor on any device, an array on disk or a dask array. They read it in chunks of samples
and never make a centered copy of the data. Products are computed in the precision of the data,
sums over chunks in float64.
"""

from skstrf.multilinear.cp import (
    NonNegativeCPResult,
    TensorPLSResult,
    non_negative_cp,
    non_negative_scores,
    tensor_pls,
)
from skstrf.multilinear.discriminant import (
    MultilinearLDAResult,
    fisher_scores,
    multilinear_lda,
)
from skstrf.multilinear.mpca import (
    Moments,
    MPCAResult,
    merge_moments,
    moments,
    mpca,
    mpca_from_moments,
    rank_for_share,
)
from skstrf.multilinear.products import mode_product, multi_mode_product, project, reconstruct

__all__ = [
    "MPCAResult",
    "Moments",
    "MultilinearLDAResult",
    "NonNegativeCPResult",
    "TensorPLSResult",
    "fisher_scores",
    "merge_moments",
    "mode_product",
    "moments",
    "mpca",
    "mpca_from_moments",
    "multi_mode_product",
    "multilinear_lda",
    "non_negative_cp",
    "non_negative_scores",
    "project",
    "rank_for_share",
    "reconstruct",
    "tensor_pls",
]
