"""``python -m skstrf.experiments``: the experiments of the report by name."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; None: those of the process.

    Returns
    -------
    int
        Exit status: 0 done, 2 wrong arguments or data, 130 interrupted.

    Examples
    --------
    >>> from skstrf.experiments.__main__ import main
    >>> main(["no-such-experiment", "--data", "sounds"])
    2
    """
    # Read when torch loads, see skstrf.__main__.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or what is wrong
        return int(stop.code or 0)
    from skstrf.experiments.registry import EXPERIMENTS

    if args.list:
        width = max(map(len, EXPERIMENTS))
        for one in EXPERIMENTS.values():
            print(f"{one.name:{width}}  {one.description}")
        return 0
    try:
        return _run(args)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"skstrf.experiments: error: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    from skstrf.experiments.registry import Options
    from skstrf.experiments.runner import REPORT, RESULTS, run_experiment

    if args.name is None or args.data is None:
        raise ValueError("give the name of an experiment (--list has them) and --data DIR.")
    values = vars(args)
    chosen = {key: values[key] for key in values.keys() & set(Options.__dataclass_fields__)}
    for name in ("rates", "scales"):
        chosen[name] = _numbers(values[name])
    output = args.output or f"{args.name}-results"
    written = run_experiment(args.name, output, Options(**chosen, verbose=sys.stderr.isatty()))
    print("\n".join(written["summary"]))
    for name in (REPORT, RESULTS):
        print(f"{name.split('.')[0] + ':':9}{os.path.join(output, name)}")
    return 0


def _numbers(texts: list[str] | None) -> list[float] | str | None:
    if texts is None:
        return None
    if texts == ["eremeeva2017"]:
        return "eremeeva2017"
    return [float(text) for text in texts]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skstrf.experiments",
        description="Run an experiment of the report on your sounds. The same seed gives the same "
        "results; a run that was stopped goes on when the command is given again.",
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="of the experiment")
    add("--list", action="store_true", help="say what there is")
    add("--data", metavar="DIR", help="sounds: one sub-folder a class, metadata.csv, or GTZAN")
    add("--source", metavar="DIR", help="sounds to learn from first (transfer)")
    add("--output", metavar="OUT", help="folder for results (default: NAME-results)")
    add("--seed", type=int, default=0, help="the first (default: %(default)s)")
    add("--seeds", dest="n_seeds", type=int, default=3, help="how many (default: %(default)s)")
    add("--folds", type=int, default=5, help="where there is no split (default: %(default)s)")
    add("--duration", type=float, metavar="S", help="of sounds (default: median, at most 30)")
    add("--learner", choices=["network", "linear"], default="network", help="to compare with")
    add("--max-epochs", type=int, metavar="N", help="of networks")
    add("--rates", nargs="+", metavar="HZ", help="or 'eremeeva2017'")
    add("--scales", nargs="+", metavar="C/OCT", help="or 'eremeeva2017'")
    add("--sample-rate", type=int, default=16000, metavar="HZ", help="resample to HZ")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--n-jobs", type=int, metavar="N", help="threads that read, processes that test")
    add("--on-error", choices=["raise", "warn"], default="raise", help="at files without use")
    return parser


if __name__ == "__main__":
    sys.exit(main())
