"""``skstrf transform``: a folder of sounds in, their tensors out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.options import (
    add_cluster_option,
    add_subparser,
    n_threads,
    numbers,
    positive_float,
    positive_int,
)

__all__ = ["add_command", "run"]

DESCRIPTION = """Turn the sounds of a folder into tensors, and keep them in one zarr store.

Every sound becomes a tensor (scale x rate x frequency x time by default) of the same shape. The
store holds them with their axes, labels, paths and all settings. A run that is stopped, even by
a power cut, goes on where it was when the same command is given again. Sounds may last hours:
above two minutes they are worked on piece by piece."""
EPILOG = """the folder DIR:
  sounds at any depth; those in sub-folders are labeled by the first of them. Or DIR/metadata.csv
  (or --metadata) with the columns file and class names sounds and labels.

the store OUT, in Python:
  from skstrf.corpus_store import open_tensors
  stored = open_tensors("OUT")
  stored.X[0], stored.axes, stored.y, stored.paths, stored.mask

A file that cannot be used is named at the end, its row is NaN and not in the mask, the others are
complete, and the exit status is 1. The same command tries it again.

examples:
  skstrf transform sounds/ -o sounds.zarr
  skstrf transform gtzan/ -o gtzan.zarr --rates eremeeva2017 --scales eremeeva2017 --frame-step 16
  skstrf transform sounds/ -o sounds.zarr --cluster tcp://10.0.0.1:8786
  skstrf transform sounds/ -o mfcc.zarr --representation mfcc
  skstrf transform sounds/ -o real.zarr --set output=real --set compression=null"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    summary = "keep the tensors of a folder of sounds"
    parser = add_subparser(commands, "transform", summary, DESCRIPTION, EPILOG)
    parser.add_argument("directory", metavar="DIR", help="folder of sounds")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the zarr store")
    data = parser.add_argument_group("data")
    data.add_argument("--metadata", metavar="CSV", help="table of the sounds (see below)")
    data.add_argument(
        "--duration",
        metavar="S",
        type=positive_float,
        help="crop and pad all sounds to S seconds (default: their median length, at most 30)",
    )
    data.add_argument(
        "--sample-rate",
        metavar="HZ",
        type=positive_int,
        default=16000,
        help="resample all sounds to HZ (default: %(default)s)",
    )
    data.add_argument(
        "--on-error",
        choices=["raise", "warn"],
        default="warn",
        help="stop at a file that cannot be used, or go on without (default: %(default)s)",
    )
    _add_representation(parser.add_argument_group("representation"))
    return parser


def _add_representation(group: Any) -> None:
    group.add_argument(
        "--representation",
        metavar="NAME",
        default="strf",
        help="strf (default) or another one; a wrong name lists them",
    )
    group.add_argument(
        "--rates",
        metavar="HZ",
        nargs="+",
        help="of strf, ascending, or 'eremeeva2017' for 9 of them",
    )
    group.add_argument(
        "--scales",
        metavar="C/OCT",
        nargs="+",
        help="of strf, ascending, or 'eremeeva2017' for 11 of them",
    )
    group.add_argument(
        "--frame-step", metavar="N", type=positive_int, help="of strf, frames of 8 ms per frame"
    )
    group.add_argument(
        "--pooling", choices=["mean", "sample"], help="of strf, what is kept of these frames"
    )
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="any other parameter of the transformer; the value is JSON or plain text",
    )
    group.add_argument(
        "--n-jobs",
        metavar="N",
        type=int,
        help="threads that read and transform (default: all cores)",
    )
    add_cluster_option(group)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.corpus_store import store_tensors
    from skstrf.experiments.classification import choose_duration

    transformer = _transformer(args)
    files, labels = _sounds(args)
    duration = args.duration or choose_duration(files)
    stored = store_tensors(
        files,
        args.output,
        transformer,
        duration=duration,
        sample_rate=args.sample_rate,
        y=labels,
        folder=args.directory,
        on_error=args.on_error,
        n_jobs=n_threads(args.n_jobs),
        verbose=sys.stderr.isatty() or args.verbose > 0,
    )
    for path, text in stored.errors.items():
        print(f"{path}: {text}", file=sys.stderr)
    shape = " x ".join(f"{len(axis.values)} ({axis.name})" for axis in stored.axes)
    print(f"{stored.mask.sum()} of {len(files)} sounds of {duration:g} s in {args.output}")
    print(f"each {shape}, {stored.X.dtype}")
    return 1 if stored.errors else 0


def _sounds(args: argparse.Namespace) -> tuple[list[str], list[str] | None]:
    """Files of the folder, and labels if all of them have one."""
    from skstrf.datasets import find_audio_files
    from skstrf.datasets.folder import check_folder, from_csv

    root = check_folder(args.directory)
    table = Path(args.metadata) if args.metadata else root / "metadata.csv"
    if args.metadata or table.is_file():
        entries = from_csv(root, table)
        return [str(root / e.file) for e in entries], [e.label for e in entries]
    files = find_audio_files(root)
    if not files:
        raise ValueError(f"{root} holds no sound files, nor do its sub-folders.")
    parts = [Path(file).relative_to(root).parts for file in files]
    return files, [p[0] for p in parts] if all(len(p) > 1 for p in parts) else None


def representations() -> dict[str, type]:
    """The transformers of skstrf.transforms by short name, such as "strf"."""
    from skstrf import transforms
    from skstrf.transforms.base import SoundTransformer

    classes = [getattr(transforms, name) for name in transforms.__all__]
    return {
        c.__name__.removesuffix("Transformer").lower(): c
        for c in classes
        if isinstance(c, type) and issubclass(c, SoundTransformer)
    }


def _transformer(args: argparse.Namespace) -> Any:
    """Make the transformer that the options describe."""
    known = representations()
    if args.representation not in known:
        raise ValueError(
            f"--representation {args.representation} is none of: {', '.join(sorted(known))}."
        )
    transformer = known[args.representation]()
    options = {
        "rates": numbers(args.rates, "--rates"),
        "scales": numbers(args.scales, "--scales"),
        "frame_step": args.frame_step,
        "pooling": args.pooling,
    }
    params = {name: value for name, value in options.items() if value is not None}
    params |= dict(_setting(text) for text in args.settings)
    for name in params:
        if name not in transformer.get_params(deep=False):
            raise ValueError(
                f"{type(transformer).__name__} has no parameter {name}; it has: "
                f"{', '.join(transformer.get_params(deep=False))}."
            )
    for name in ("sample_rate", "n_jobs", "memory"):
        if name in params:
            raise ValueError(f"--set {name}=... is not for this: the command itself takes care.")
    return transformer.set_params(**params)


def _setting(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(f"--set takes NAME=VALUE, got {text}.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
