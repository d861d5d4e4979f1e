"""Draw the figure of docs/development/house.rst, which shows three routes through the package.

``python docs/pictures/routes.py`` writes docs/_static/routes_light.png and routes_dark.png. Each
box is a file with the functions that the value passes; the color shows the layer.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

FOLDER = Path(__file__).parents[1] / "_static"
INK = {"light": "#1b1f24", "dark": "#dfe5ec"}
# Color-blind readers can distinguish these colors, and black text is legible on them.
LAYERS = {
    "command line": "#CC79A7",
    "experiments": "#E69F00",
    "estimators, data sets": "#56B4E9",
    "functions of arrays": "#5fc7a4",
    "utilities": "#c7ccd1",
}
ROUTES = {
    "A sound through\nSTRFTransformer.transform": [
        ("transforms/base.py", "transform, check_sounds", "estimators, data sets"),
        ("transforms/strf.py", "_compute, _auditory", "estimators, data sets"),
        ("transforms/standardization.py", "standardize", "estimators, data sets"),
        ("auditory/cochlea.py", "auditory_spectrogram", "functions of arrays"),
        ("auditory/cortex.py", "cortical_transform", "functions of arrays"),
        ("transforms/compression.py", "compress", "estimators, data sets"),
    ],
    "An array through\nMPCA.fit": [
        ("decomposition.py", "MPCA.fit", "estimators, data sets"),
        ("utils/validation.py", "check_batch", "utilities"),
        ("multilinear/mpca.py", "mpca, moments", "functions of arrays"),
        ("multilinear/products.py", "map_chunks, gram, project", "functions of arrays"),
    ],
    "The list of files of\nskstrf classify": [
        ("cli/labeled.py", "run_labeled", "command line"),
        ("datasets/corpora.py", "load_corpus", "estimators, data sets"),
        ("experiments/classification.py", "run_classification", "experiments"),
        ("experiments/_evaluation.py", "compute_tensors", "experiments"),
        ("datasets/loader.py", "AudioLoader.read", "estimators, data sets"),
    ],
}
WIDTH, HEIGHT, GAP = 2.42, 0.56, 0.24


def draw(ink: str) -> plt.Figure:
    """Draw one column for each route, and the legend of the layers below them."""
    figure, ax = plt.subplots(figsize=(7.6, 5.6), layout="constrained")
    for column, (title, steps) in enumerate(ROUTES.items()):
        left = column * (WIDTH + 0.1)
        center = left + WIDTH / 2
        ax.text(center, 0.15, title, ha="center", va="bottom", fontsize=10.5, color=ink)
        for row, (file, functions, layer) in enumerate(steps):
            bottom = -row * (HEIGHT + GAP) - HEIGHT
            if row:
                arrow = {"arrowstyle": "-|>", "color": ink, "shrinkA": 0, "shrinkB": 0}
                ends = (center, bottom + HEIGHT), (center, bottom + HEIGHT + GAP)
                ax.annotate("", *ends, arrowprops=arrow)
            box = FancyBboxPatch(
                (left, bottom), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=LAYERS[layer], edgecolor="none",
            )  # fmt: skip
            ax.add_patch(box)
            middle = bottom + HEIGHT / 2
            ax.text(center, middle + 0.12, file, ha="center", va="center", weight="bold", size=9)
            ax.text(center, middle - 0.13, functions, ha="center", va="center", size=9)
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in LAYERS.values()]
    ax.legend(
        handles, list(LAYERS), loc="lower center", ncols=len(LAYERS), frameon=False,
        bbox_to_anchor=(0.5, -0.12), labelcolor=ink, fontsize=9,
        columnspacing=1.0, handlelength=1.2,
    )  # fmt: skip
    ax.set(xlim=(-0.02, 3 * WIDTH + 0.22), ylim=(-6 * (HEIGHT + GAP), 0.75))
    ax.axis("off")
    return figure


def main() -> None:
    mpl.use("Agg")
    for theme, ink in INK.items():
        figure = draw(ink)
        figure.savefig(FOLDER / f"routes_{theme}.png", dpi=160, transparent=True)
        plt.close(figure)


if __name__ == "__main__":
    main()
