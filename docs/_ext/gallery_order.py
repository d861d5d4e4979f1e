"""Order of the examples in the gallery; examples that are not listed come last."""

from __future__ import annotations

ORDER = [
    "plot_moving_ripples.py",
    "plot_strf_tensor.py",
    "plot_streaming.py",
    "plot_strf_formula.py",
    "plot_compare_representations.py",
    "plot_inversion.py",
    "plot_mpca.py",
    "plot_classification.py",
    "plot_cross_validation.py",
    "plot_group_leakage.py",
    "plot_channel_scores.py",
    "plot_grid_search.py",
    "plot_optuna_search.py",
    "plot_transfer_learning.py",
    "plot_style_transfer.py",
    "plot_out_of_core.py",
]


class Learning:
    """Sort key of file names, which sphinx-gallery constructs with the folder of the examples."""

    def __init__(self, src_dir: str):
        self.src_dir = src_dir

    def __call__(self, filename: str) -> tuple[int, str]:
        place = ORDER.index(filename) if filename in ORDER else len(ORDER)
        return place, filename
