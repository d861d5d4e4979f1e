"""``skstrf transform``: compute and store the tensors of a folder of sounds."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from skstrf.cli.options import add_options, add_subparser, n_threads, parse_filters, positive_int
from skstrf.utils.messages import describe_skipped, escape, warn_user

__all__ = ["add_command", "representations", "run"]

DESCRIPTION = """Transform the sounds of a folder to tensors, and keep them in one zarr store.

Each sound becomes a tensor (scale x rate x frequency x time by default) of the same shape. The
store holds them with their axes, labels, paths and all settings. An interrupted run, even by a
power cut, resumes when the same command is given again. Sounds can last hours: above two minutes
they are processed in blocks."""
EPILOG = """the folder DIR:
  sounds at any depth; those in sub-folders are labeled by the first of them (by the second, if the
  first ones are called train, valid or test), and fewer sounds beside the sub-folders are left
  out. Or DIR/metadata.csv (or --metadata) with the columns file and class lists sounds and labels.

the store OUT, in Python:
  from skstrf.corpus_store import open_tensors
  stored = open_tensors("OUT")
  stored.X[0], stored.axes, stored.y, stored.paths, stored.mask

A file that cannot be used is reported at the end, its row is NaN and not in the mask, the others
are complete, and the exit status is 1. The same command tries the file again.

examples:
  skstrf transform sounds/ -o sounds.zarr
  skstrf transform gtzan/ -o gtzan.zarr --rates eremeeva2017 --scales eremeeva2017 --frame-step 16
  skstrf transform sounds/ -o sounds.zarr --cluster tcp://10.0.0.1:8786
  skstrf transform sounds/ -o mfcc.zarr --representation mfcc
  skstrf transform sounds/ -o real.zarr --set output=real --set compression=null"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "compute and store the tensors of a folder of sounds"
    parser = add_subparser(commands, "transform", summary, DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("directory", metavar="DIR", help="folder of sounds")
    add("-o", "--output", metavar="OUT", required=True, help="zarr store to write")
    data = parser.add_argument_group("data")
    add_options(data, "--metadata", "--duration", "--sample-rate")
    add_options(data, "--on-error", default="warn")
    group = parser.add_argument_group("representation")
    add = group.add_argument
    add(
        "--representation",
        metavar="NAME",
        default="strf",
        help="name of the representation; a wrong name lists all (default: %(default)s)",
    )
    add_options(group, "--rates", "--scales")
    add(
        "--frame-step",
        metavar="N",
        type=positive_int,
        help="number of frames of 8 ms per output frame (strf only)",
    )
    add(
        "--pooling",
        choices=["mean", "sample"],
        help="combination of these frames: their mean or the first (strf only)",
    )
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help="any other parameter of the transformer; the value is JSON or plain text",
    )
    add_options(group, "--n-jobs", "--cluster")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from skstrf.corpus_store import store_tensors
    from skstrf.experiments.classification import choose_duration

    transformer = _transformer(args)
    filenames, labels = _list_sounds(args)
    duration = args.duration or choose_duration(filenames)
    stored = store_tensors(
        filenames,
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
        print(f"{escape(path)}: {text}", file=sys.stderr)
    shape = " x ".join(f"{len(axis.values)} ({axis.name})" for axis in stored.axes)
    n_good = stored.mask.sum()
    print(f"{n_good} of {len(filenames)} sounds of {duration:g} s in {escape(args.output)}")
    print(f"each {shape}, {stored.X.dtype}")
    return 1 if stored.errors else 0


def _list_sounds(args: argparse.Namespace) -> tuple[list[str], list[str] | None]:
    """List the files of the folder, and their labels if there are sub-folders or a table."""
    from skstrf.datasets.folder import METADATA, check_folder, from_csv, list_sounds

    root = check_folder(args.directory)
    table = Path(args.metadata) if args.metadata else root / METADATA
    if args.metadata or table.is_file():
        entries = from_csv(root, table)
        return [str(root / e.file) for e in entries], [e.label for e in entries]
    entries, outside, links = list_sounds(root)
    if not entries and not outside:
        raise ValueError(f"{root} holds no sound files, nor do its sub-folders.")
    if links:
        headline = f"{len(links)} links lead to sounds that have another name, which is used"
        warn_user(describe_skipped(links, headline))
    if len(outside) < len(entries):
        if outside:
            headline = f"{len(outside)} sound files lie outside every class and are left out"
            reason = "lies beside the folders of the classes. Move it into one of them."
            warn_user(describe_skipped([(name, reason) for name in outside], headline))
        return [str(root / e.file) for e in entries], [e.label for e in entries]
    if entries:
        warn_user(
            f"The sounds have no labels: {len(outside)} of {len(outside) + len(entries)} lie "
            "outside every sub-folder. Move them into sub-folders to label them."
        )
    return [str(root / name) for name in sorted([*outside, *(e.file for e in entries)])], None


def representations() -> dict[str, type]:
    """Return the transformers of skstrf.transforms by short name, such as "strf"."""
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
        "rates": parse_filters(args.rates, "--rates"),
        "scales": parse_filters(args.scales, "--scales"),
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
            raise ValueError(f"--set {name}=... is not possible: the command itself sets it.")
    return transformer.set_params(**params)


def _setting(text: str) -> tuple[str, Any]:
    """Parse NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(f"--set takes NAME=VALUE, got {text}.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
