"""Style transfer on six pairs, textures from noise, and an ablation: tables and sounds.

``python benchmarks/style_results.py FOLDER PART ...`` with the parts judges, pairs, textures,
ablation, layers and fast reads excerpts of FOLDER (names as in PAIRS below) and writes
docs/results/style_*.csv, and for pairs and textures sounds to docs/results/style.
"""

import argparse
import csv
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from skstrf import CNNClassifier, FastStyleTransfer, STRFTransformer, StyleTransfer
from skstrf.datasets.audio import read_audio
from skstrf.datasets.writing import write_sound
from skstrf.experiments import make_style_transfer
from skstrf.style import METRICS, log_stft
from skstrf.style.controls import mix
from skstrf.style.judges import JUDGES, StyleJudges, content_correlation, remaining_share
from skstrf.style.metrics import StyleMetrics
from skstrf.style.sounds import at_level
from skstrf.texture.cortical import GROUPS

RATE, SECONDS = 22050, 5
RESULTS = Path(__file__).parent.parent / "docs" / "results"
PAIRS = {
    "speech_vinyl": ("librispeech_198-209-0000", "sonicpi_vinyl_hiss"),
    "speech_hum": ("librispeech_5703-47212-0000", "sonicpi_ambi_haunted_hum"),
    "beat_tabla": ("sonicpi_arovane_beat_a", "sonicpi_loop_tabla"),
    "trumpet_orchestra": ("solo_trumpet", "brahms_hungarian5"),
    "rock_chiptune": ("pablo_red_doors", "pablo_space_dim_8bit"),
    "piano_whale": ("macleod_gold_rush", "humpback_whale"),
}
TEXTURES = {
    "vinyl": "sonicpi_vinyl_hiss",
    "rain_like": "sonicpi_loop_3d_printer",
    "crowd_like": "sonicpi_ambi_sauna",
    "rhythmic": "sonicpi_loop_amen_full",
}


PARTS = ("judges", "pairs", "textures", "ablation", "layers", "fast")


def read(folder, name, seconds=SECONDS):
    """The first seconds of a file."""
    return read_audio(folder / f"{name}.ogg", sample_rate=RATE, duration=seconds)


def write(name, sound):
    """A small ogg file beside the page."""
    (RESULTS / "style").mkdir(exist_ok=True)
    write_sound(RESULTS / "style" / f"{name}.ogg", sound, RATE)


def written(value):
    """Three decimals, one from ten on; what is infinite or unknown is a dash."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def table(name, rows):
    """Write and show rows as they come."""
    with (RESULTS / f"style_{name}.csv").open("w", newline="") as file:
        writer = None
        for row in rows:
            shown = {k: written(v) if isinstance(v, float) else v for k, v in row.items()}
            writer = writer or csv.DictWriter(file, list(shown))
            if writer.fieldnames == list(shown) and file.tell() == 0:
                writer.writeheader()
            writer.writerow(shown)
            file.flush()
            print(shown, flush=True)


def measured(transfer, content, kind="result"):
    """Result of one content, and a row of measures."""
    started = time.perf_counter()
    result = transfer.transform(content[None])
    seconds = time.perf_counter() - started
    found = transfer.score_table(content[None], result)
    row = {m: found[m][kind][0] for m in METRICS}
    return result[0], row | {"iterations": transfer.n_iter_, "seconds": seconds}, found


def classifier(folder, seed=0):
    """A network that tells twelve recordings apart by five seconds of their STRF tensors."""
    names = sorted({name for pair in PAIRS.values() for name in pair})
    sounds, labels = [], []
    for name in names:
        whole = read_audio(folder / f"{name}.ogg", sample_rate=RATE)
        for start in np.linspace(0, max(0, len(whole) - SECONDS * RATE), 4).astype(int):
            sounds.append(np.resize(whole[start:], SECONDS * RATE))
            labels.append(name)
    strf = STRFTransformer(sample_rate=RATE, frame_step=8, contrast=False)
    tensors = strf.fit_transform(np.stack(sounds))
    network = CNNClassifier(max_epochs=15, random_state=seed).fit(tensors, labels)
    print("accuracy on its own crops", network.score(tensors, labels), flush=True)
    return strf, network


def pairs(folder):
    """Six pairs by three kinds of network."""
    strf, network = classifier(folder)
    for name, (content_name, style_name) in PAIRS.items():
        content, style = read(folder, content_name), read(folder, style_name)
        write(f"{name}_content", content)
        write(f"{name}_style", style)
        transfers = {
            "random": make_style_transfer("random", sample_rate=RATE, random_state=0),
            "cortical": make_style_transfer("cortical", sample_rate=RATE, random_state=0),
            "classifier": StyleTransfer(strf, network, max_iter=30, random_state=0),
        }
        transfers["cortical"].set_params(max_iter=60)
        for kind, transfer in transfers.items():
            transfer.fit(style[None])
            result, row, found = measured(transfer, content)
            write(f"{name}_{kind}", result)
            yield {"pair": name, "network": kind} | row
        for kind in ("content", "style"):
            row = {m: found[m][kind][0] for m in METRICS}
            yield (
                {"pair": name, "network": f"untouched {kind}"}
                | row
                | {
                    "iterations": 0,
                    "seconds": 0.0,
                }
            )


def mix_of_equal_correlation(content, style, wanted):
    """The loudest mix whose local correlation with the content is at least the wanted one."""
    low, high = -60.0, 30.0
    for _ in range(8):
        level = (low + high) / 2
        near = content_correlation(content, mix(content, style, level), sample_rate=RATE) >= wanted
        low, high = (level, high) if near else (low, level)
    return low, mix(content, style, low)


def judges(folder):
    """Results of two networks by the judges from outside, with all controls."""
    for name, (content_name, style_name) in PAIRS.items():
        content, style = (at_level(read(folder, n)) for n in (content_name, style_name))
        whole = read(folder, style_name, 2 * SECONDS)
        other = np.trim_zeros(whole[SECONDS * RATE :], "b")
        outside = StyleJudges([style], RATE)
        untouched = outside.distances(content)
        for network in ("envelopes", "random"):
            transfer = make_style_transfer(network, sample_rate=RATE, random_state=0)
            transfer.fit(style[None])
            began = time.process_time()
            result = transfer.transform(content[None])
            seconds = time.process_time() - began
            if network == "envelopes":
                write(f"{name}_envelopes", result[0])
            table = transfer.score_table(content[None], result, other_style=other)
            kept = table["local_correlation"]["result"][0]
            level, sound = mix_of_equal_correlation(content, style, kept)
            found = outside.distances(sound)
            names = (*JUDGES, "local_correlation")
            yield (
                {"pair": name, "method": network}
                | {n: table[n]["result"][0] for n in names}
                | {"CPU seconds": seconds}
            )
            yield (
                {"pair": name, "method": f"mix that keeps as much, {level:.0f} dB"}
                | {n: remaining_share(found[n], untouched[n]) for n in JUDGES}
                | {
                    "local_correlation": content_correlation(content, sound, sample_rate=RATE),
                    "CPU seconds": 0.0,
                }
            )
        for control in table["local_correlation"]:
            if control != "result":
                row = {n: table[n][control][0] for n in names}
                yield (
                    {"pair": name, "method": control.replace("_", " ")}
                    | row
                    | {"CPU seconds": 0.0}
                )


def textures(folder):
    """Textures from noise, two seeds each, and how alike the two are."""
    for name, source in TEXTURES.items():
        style = read(folder, source)
        metrics = StyleMetrics([style], RATE)
        made = []
        for seed in (0, 1):
            transfer = make_style_transfer(
                "cortical",
                sample_rate=RATE,
                content_weight=0,
                init="noise",
                max_iter=400,
                tol=1e-5,
                random_state=seed,
            ).fit(style[None])
            started = time.perf_counter()
            made.append(transfer.transform(style[None])[0])
            seconds = time.perf_counter() - started
            groups = metrics.texture_snr(made[-1])
            other = float(np.corrcoef(made[0], made[-1])[0, 1]) if seed else float("nan")
            yield (
                {"texture": name, "seed": seed}
                | {f"{k} SNR": float(v) for k, v in groups.items()}
                | {
                    "average SNR": float(np.mean(list(groups.values()))),
                    "correlation with seed 0": other,
                    "iterations": transfer.n_iter_,
                    "seconds": seconds,
                }
            )
        write(f"texture_{name}_source", style)
        write(f"texture_{name}_made", made[0])


def named(chosen):
    """What is unlike the defaults."""
    return ", ".join(f"{k}={v}" for k, v in chosen.items()) or "defaults"


def ablation(folder):
    """Weights, widths of filters, numbers of them, starts and domains on one pair."""
    content, style = (read(folder, name) for name in PAIRS["rock_chiptune"])
    settings = [
        {},
        {"content_weight": 0.0},
        {"content_weight": 0.01},
        {"content_weight": 0.2},
        {"content_weight": 1.0},
        {"kernel_size": 1},
        {"kernel_size": 5},
        {"kernel_size": 31},
        {"n_filters": 512},
        {"init": "noise"},
        {"init": "style"},
        {"domain": "spectrogram"},
        {"optimizer": "adam", "lr": 0.05},
    ]
    for chosen in settings:
        transfer = StyleTransfer(log_stft(RATE), random_state=0, **chosen).fit(style[None])
        _, row, _ = measured(transfer, content)
        yield {"settings": named(chosen)} | row
    for layers in (None, *([group] for group in GROUPS)):
        transfer = make_style_transfer(
            "cortical", sample_rate=RATE, style_layers=layers, max_iter=60, random_state=0
        ).fit(style[None])
        _, row, _ = measured(transfer, content)
        yield {"settings": f"cortical, style_layers={layers or 'all'}, max_iter=60"} | row


def layers(folder, seeds=range(3)):
    """Single layers of the classifier as style and as content, with three networks."""
    networks = [classifier(folder, seed) for seed in seeds]
    content, style = (read(folder, name) for name in PAIRS["rock_chiptune"])
    names = ["conv1", "conv2", "conv3", "conv4"]
    settings = [{}, *({"style_layers": [name]} for name in names)]
    settings += [{"content_layers": [name]} for name in ("conv1", "conv4")]
    for chosen in settings:
        rows = []
        for seed, (strf, network) in zip(seeds, networks, strict=True):
            transfer = StyleTransfer(strf, network, max_iter=30, random_state=seed, **chosen)
            rows.append(measured(transfer.fit(style[None]), content)[1])
        means = {
            m: f"{np.mean([r[m] for r in rows]):.3f} ± {np.std([r[m] for r in rows]):.3f}"
            for m in METRICS
        }
        yield {"settings": named(chosen)} | means


def fast(folder):
    """One network for four styles against the optimization."""
    styles = [
        "sonicpi_vinyl_hiss",
        "sonicpi_ambi_haunted_hum",
        "sonicpi_arovane_beat_a",
        "pablo_space_dim_8bit",
    ]
    tests = ["librispeech_198-209-0000", "solo_trumpet", "pablo_red_doors"]
    others = [p.stem for p in sorted(folder.glob("*.ogg")) if p.stem not in {*styles, *tests}]
    learned = [read_audio(folder / f"{n}.ogg", sample_rate=RATE, max_duration=60) for n in others]
    network = FastStyleTransfer(log_stft(RATE), max_iter=1200, lr=2e-3, random_state=0)
    sounds = [read(folder, name, 8) for name in styles]
    started = time.perf_counter()
    network.fit(np.stack(sounds), styles, contents=learned)
    print("training", time.perf_counter() - started, flush=True)
    for style, sound in zip(styles, sounds, strict=True):
        slow = StyleTransfer(log_stft(RATE), max_iter=100, random_state=0).fit(sound[None])
        for name in tests:
            content = read(folder, name)
            network.set_params(style=style)
            for kind, transfer in (("fast", network), ("optimized", slow)):
                _, row, found = measured(transfer, content)
                row["untouched gram_distance"] = found["gram_distance"]["content"][0]
                row["seconds per second"] = row.pop("seconds") / SECONDS
                row.pop("iterations")
                yield {"style": style, "content": name, "method": kind} | row


def main():
    """Run the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    for part in arguments.parts:
        table(part, getattr(sys.modules[__name__], part)(arguments.folder))


if __name__ == "__main__":
    main()
