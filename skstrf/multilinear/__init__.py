"""Multilinear algebra: mode products, mode scatter matrices and multilinear PCA.

Everything here takes a batch of tensors of shape ``(n_samples, I_1, ..., I_N)``, numpy or torch
(on any device), and streams over it in chunks of samples: no centred copy of the data is ever
made. Products run in the data's own precision, sums over chunks in float64.
"""

from skstrf.multilinear.algorithm import MPCAResult, mpca, rank_for_share
from skstrf.multilinear.products import mode_product, multi_mode_product, project, reconstruct
from skstrf.multilinear.scatter import mode_scatter

__all__ = [
    "MPCAResult",
    "mode_product",
    "mode_scatter",
    "mpca",
    "multi_mode_product",
    "project",
    "rank_for_share",
    "reconstruct",
]
