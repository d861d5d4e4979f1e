"""The order of the examples: from hearing to learning; what is not named comes at the end."""

from __future__ import annotations

ORDER = [
    "plot_ripple.py",
    "plot_strf_of_a_sound.py",
    "plot_strf_by_hand.py",
    "plot_nine_pictures.py",
    "plot_there_and_back.py",
    "plot_mpca.py",
    "plot_instruments_pipeline.py",
    "plot_cross_validation.py",
    "plot_genres_with_groups.py",
    "plot_channel_map.py",
    "plot_grid_search.py",
    "plot_study.py",
    "plot_transfer.py",
    "plot_style_transfer.py",
    "plot_out_of_core.py",
]


class Learning:
    """Key of a file by its name; made by sphinx-gallery with the folder of the examples."""

    def __init__(self, src_dir: str):
        self.src_dir = src_dir

    def __call__(self, filename: str) -> tuple[int, str]:
        place = ORDER.index(filename) if filename in ORDER else len(ORDER)
        return place, filename
