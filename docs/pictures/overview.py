"""Draw the figure of the landing page, which shows the stages from a sound to its class.

``python docs/pictures/overview.py`` writes docs/_static/overview_*.png, wide and narrow, for light
and dark pages. All values are computed with the model of the landing page.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import ConnectionPatch
from sklearn.pipeline import make_pipeline

from skstrf import MPCA, CNNClassifier, STRFTransformer, load_instruments
from skstrf.auditory import auditory_spectrogram, center_frequencies, cortical_transform

FOLDER = Path(__file__).parents[1] / "_static"
INSTRUMENT = "alto_sax"
TITLES = ("sound", "cochlea", "cortex", "decision")
RATES, SCALES = (2, 8), (0.5, 2)
SECONDS = 2.5
COLORS = {
    "light": {"ink": "#1b1f24", "bar": "#8aa4bd", "best": "#0072B2"},
    "dark": {"ink": "#dfe5ec", "bar": "#5b6b7b", "best": "#56B4E9"},
}
# Left, bottom, width and height of the four parts in each layout, as fractions of the figure.
LAYOUTS = {
    "wide": {
        "size": (11.5, 3.0),
        "across": True,
        "above": 0.085,
        "parts": [
            (0.012, 0.17, 0.185, 0.62),
            (0.272, 0.17, 0.185, 0.62),
            (0.525, 0.17, 0.225, 0.62),
            (0.868, 0.17, 0.12, 0.62),
        ],
    },
    "narrow": {
        "size": (4.4, 10.2),
        "across": False,
        "above": 0.018,
        "parts": [
            (0.18, 0.85, 0.78, 0.105),
            (0.18, 0.60, 0.78, 0.165),
            (0.18, 0.295, 0.78, 0.225),
            (0.42, 0.045, 0.54, 0.155),
        ],
    },
}


def compute() -> dict:
    """Compute the arrays of the figure from bundled recordings."""
    sounds = load_instruments()
    train, test = sounds.split == "train", sounds.split == "test"
    model = make_pipeline(STRFTransformer(), MPCA(0.95), CNNClassifier(random_state=0))
    model.fit(sounds.data[train], sounds.target[train])
    number = sounds.target_names.index(INSTRUMENT)
    probabilities = model.predict_proba(sounds.data[test][sounds.target[test] == number])
    best = probabilities[:, number].argsort()[len(probabilities) // 2]  # the median
    sound = sounds.data[test][sounds.target[test] == number][best][: int(16000 * SECONDS)]
    spectrogram = auditory_spectrogram(sound / sound.std())
    tensor = np.abs(cortical_transform(spectrogram, rates=RATES, scales=SCALES, bandpass=True))
    return {
        "sound": sound,
        "spectrogram": spectrogram,
        "tensor": np.asarray(tensor),
        "names": [name.replace("_", " ") for name in sounds.target_names],
        "probabilities": probabilities[best],
    }


def draw(data: dict, layout: dict, colors: dict) -> plt.Figure:
    """Draw the four parts and the arrows between them."""
    style = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"),
        colors["ink"],
    )
    with mpl.rc_context({**style, "font.size": 10, "axes.linewidth": 0.8}):
        figure = plt.figure(figsize=layout["size"])
        sound, cochlea, cortex, decision = (figure.add_axes(part) for part in layout["parts"])
        draw_sound(sound, data["sound"], colors)
        draw_spectrogram(cochlea, data["spectrogram"])
        draw_tensor(cortex, data["tensor"])
        draw_decision(decision, data["names"], data["probabilities"], colors)
        for ax, title in zip((sound, cochlea, cortex, decision), TITLES, strict=True):
            box = ax.get_position()
            middle = (box.x0 + box.width / 2, box.y1 + layout["above"])
            figure.text(*middle, title, ha="center", va="center", fontsize=13, fontweight="bold")
        join(figure, layout, colors)
    return figure


def join(figure: plt.Figure, layout: dict, colors: dict) -> None:
    """Draw arrows from each part to the next, between the titles or along the left side."""
    for before, after in pairwise(layout["parts"]):
        if layout["across"]:
            y = before[1] + before[3] + layout["above"]
            points = (before[0] + before[2] / 2 + 0.05, y), (after[0] + after[2] / 2 - 0.055, y)
        else:
            points = (0.05, before[1] - 0.012), (0.05, after[1] + after[3] + 0.005)
        figure.add_artist(
            ConnectionPatch(
                *points, "figure fraction", arrowstyle="-|>", mutation_scale=16,
                color=colors["ink"], linewidth=1.5, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip


def draw_sound(ax, sound, colors) -> None:
    time = np.arange(len(sound)) / 16000
    ax.plot(time, sound, color=colors["best"], linewidth=0.4, rasterized=True)
    ax.set_xlim(0, SECONDS)
    ax.set_yticks([])
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.set_xlabel("time (s)")


def draw_spectrogram(ax, spectrogram) -> None:
    ax.imshow(
        spectrogram**0.4, origin="lower", aspect="auto", cmap="magma", extent=(0, SECONDS, 0, 128)
    )
    wanted = (250, 500, 1000, 2000, 4000)
    places = [np.interp(f, center_frequencies(), np.arange(128) + 0.5) for f in wanted]
    ax.set_yticks(places, [f"{f / 1000:g}" for f in wanted])
    ax.set_ylabel("frequency (kHz)")
    ax.set_xlabel("time (s)")


def draw_tensor(ax, tensor) -> None:
    """Draw the responses to each scale and rate as images of frequency over time."""
    ax.axis("off")
    n_scales, n_rates = tensor.shape[:2]
    rates = [-rate for rate in RATES[::-1]] + list(RATES)
    for scale in range(n_scales):
        for rate in range(n_rates):
            place = (rate / n_rates, scale / n_scales, 0.94 / n_rates, 0.94 / n_scales)
            inner = ax.inset_axes(place)
            inner.imshow(tensor[scale, rate] ** 0.6, origin="lower", aspect="auto", cmap="magma")
            inner.set_xticks([])
            inner.set_yticks([])
            if scale == 0:
                inner.set_xlabel(f"{rates[rate]:+d}".replace("-", "\N{MINUS SIGN}"))
            if rate == 0:
                inner.set_ylabel(f"{SCALES[scale]:g}")
    beside = {"xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate("rate (Hz)", (0.5, 0), (0, -31), ha="center", **beside)
    ax.annotate(
        "scale (cyc/oct)", (0, 0.5), (-22, 0), ha="right", va="center", rotation=90, **beside
    )


def draw_decision(ax, names, probabilities, colors) -> None:
    chosen = probabilities.argmax()
    bars = [colors["best"] if i == chosen else colors["bar"] for i in range(len(names))]
    ax.barh(np.arange(len(names)), probabilities, color=bars)
    ax.set_yticks(np.arange(len(names)), names)
    ax.get_yticklabels()[chosen].set_fontweight("bold")
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_xlabel("probability")
    ax.spines[["right", "top"]].set_visible(False)


def main() -> None:
    data = compute()
    for shape, layout in LAYOUTS.items():
        for name, colors in COLORS.items():
            figure = draw(data, layout, colors)
            path = FOLDER / f"overview_{shape}_{name}.png"
            figure.savefig(path, dpi=150, transparent=True, metadata={"Software": None})
            plt.close(figure)


if __name__ == "__main__":
    main()
