"""``skstrf demo``: train and evaluate a classifier on the bundled recordings."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from skstrf.cli.options import add_options, add_subparser, check_report
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["add_command", "run"]

DESCRIPTION = """Train a classifier of musical instruments on recordings that come with skstrf.

The model for seven instruments is trained on the train split, stopped by the valid split, and
tested on notes that are in neither, and on clips of other instruments of the same kind in other
rooms (new_library), which show whether the instrument or the recording was learned. It takes a
few minutes on two cores."""
EPILOG = """examples:
  skstrf demo
  skstrf demo -o my-demo --quick
  skstrf predict my-demo/model.skops my-recording.wav"""
QUICK_SECONDS, QUICK_EPOCHS = 2.0, 10


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the parser of the command."""
    summary = "train a classifier on recordings that come with skstrf"
    parser = add_subparser(commands, "demo", summary, DESCRIPTION, EPILOG)
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        default="skstrf-demo",
        help="folder for report, results and model (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"use {QUICK_SECONDS:g} s of each clip and {QUICK_EPOCHS} epochs, only to see it run",
    )
    add_options(parser, "--device")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    check_report()
    with output_folder(args.output) as folder:
        from skstrf.datasets import load_instruments
        from skstrf.experiments import make_classification_pipeline, run_classification

        clips = load_instruments(load_content=False)
        pipeline = make_classification_pipeline(
            duration=QUICK_SECONDS if args.quick else 5.0,
            max_epochs=QUICK_EPOCHS if args.quick else None,
            device=args.device,
            n_jobs=-1,
        )
        print(f"Training on {np.sum(clips.split == 'train')} clips ...", flush=True)
        results = run_classification(
            clips.filenames,
            np.array(clips.target_names)[clips.target],
            split=clips.split,
            pipeline=pipeline,
            folder=folder,
            verbose=sys.stderr.isatty(),
        )
        notes = [
            "The clips of new_library are of other instruments of the same kind, recorded "
            "elsewhere: a model of one recording generalizes less well to them.",
            "Sources and licenses of the recordings are in the folder of the package, in "
            "datasets/data/instruments/ATTRIBUTION.md.",
        ]
        title = "Seven instruments, from the bundled recordings"
        write_results(results, folder, args.output, title=title, notes=notes)
    print_results(results, args.output)
    return 0
