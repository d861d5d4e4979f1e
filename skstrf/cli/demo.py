"""``skstrf demo``: the whole way on the recordings that come with the package."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from skstrf.cli.options import add_subparser
from skstrf.cli.outputs import output_folder, print_results, write_results

__all__ = ["add_command", "run"]

DESCRIPTION = """Learn to tell musical instruments apart, from recordings that come with skstrf.

Seven instruments; fitted on the train split, stopped by the valid split, tested on notes that are
in neither, and on clips of other instruments of the same kind in other rooms (new_library), which
tell whether the instrument or the recording was learned. Takes a few minutes on two cores."""
EPILOG = """examples:
  skstrf demo
  skstrf demo -o my-demo --quick
  skstrf predict my-demo/model.skops my-recording.wav"""
QUICK_SECONDS, QUICK_EPOCHS = 2.0, 10


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the program's."""
    parser = add_subparser(
        commands, "demo", "try it on recordings that come with it", DESCRIPTION, EPILOG
    )
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
        help=f"{QUICK_SECONDS:g} s of each clip and {QUICK_EPOCHS} epochs: only to see it run",
    )
    parser.add_argument(
        "--device", metavar="D", default="auto", help="auto, cpu or cuda (default: %(default)s)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command."""
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
        print(f"Learning from {np.sum(clips.split == 'train')} clips ...", flush=True)
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
            "elsewhere: what is learned from one recording holds less well there.",
            "Sources and licenses of the recordings are in the folder of the package, in "
            "datasets/data/instruments/ATTRIBUTION.md.",
        ]
        title = "Seven instruments, from the bundled recordings"
        write_results(results, folder, args.output, title=title, notes=notes)
    print_results(results, args.output)
    return 0
