"""Multilinear algebra: mode products, mode scatter matrices and multilinear PCA.

Everything here takes a batch of tensors of shape ``(n_samples, I_1, ..., I_N)``, numpy, torch
(any device), on disk or a dask array, and streams over it in chunks of samples; no centered copy
of the data is ever made. Products run in the data's own precision, sums over chunks in float64.
"""

from skstrf.multilinear.moments import Moments, merge_moments, mode_scatter, moments
from skstrf.multilinear.mpca import MPCAResult, mpca, mpca_from_moments, rank_for_share
from skstrf.multilinear.products import mode_product, multi_mode_product, project, reconstruct

__all__ = [
    "MPCAResult",
    "Moments",
    "merge_moments",
    "mode_product",
    "mode_scatter",
    "moments",
    "mpca",
    "mpca_from_moments",
    "multi_mode_product",
    "project",
    "rank_for_share",
    "reconstruct",
]
