"""The program around the commands: arguments, messages, interrupts and exit status."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from skstrf._version import __version__
from skstrf.cli import channels, classify, demo, predict, search, stationarity, style, transform
from skstrf.cli import transfer_learning as transfer
from skstrf.utils.cluster import on_cluster

__all__ = ["build_parser", "run"]

COMMANDS = (
    classify,
    predict,
    search,
    channels,
    transfer,
    transform,
    stationarity,
    style,
    demo,
)
DESCRIPTION = "Learn to tell sounds apart from what the auditory cortex is thought to compute."
EPILOG = """examples:
  skstrf demo                              try it on recordings that come with it
  skstrf classify sounds/ -o report/       learn from a folder of sounds, one sub-folder a class
  skstrf predict report/model.skops *.wav  say what class new sounds are of
  skstrf search sounds/ -o out/            search for the best settings
  skstrf channels sounds/ -o out/          score what every channel tells alone
  skstrf transfer a/ b/ -o out/            start from a network for other sounds
  skstrf transform sounds/ -o out.zarr     keep the tensors of a folder of sounds
  skstrf stationarity sounds/ -o out/      compare how stationary representations are
  skstrf style speech.wav rain.wav -o out.wav   give a sound the texture of another

`skstrf COMMAND --help` says what a command does with what."""
USER_ERROR, UNFORESEEN = 2, 1


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="skstrf",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skstrf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = module.add_command(commands)
        command.add_argument(
            "-v", "--verbose", action="count", default=0, help="say more; twice: with tracebacks"
        )
        command.set_defaults(run=module.run)
    return parser


def run(argv: Sequence[str]) -> int:
    """Run one command."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, version or what is wrong
        return int(stop.code or 0)
    # Figures are only written to files; a display need not be there.
    os.environ.setdefault("MPLBACKEND", "Agg")
    interrupts = Interrupts()
    with ExitStack() as stack:
        for context in (interrupts.noted(), _messages(args.verbose)):
            stack.enter_context(context)
        try:
            with on_cluster(getattr(args, "cluster", None)):
                status = args.run(args)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            return _interrupted(interrupts)
        except BrokenPipeError:
            # Whoever read the output has seen enough; keep the exit from complaining.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return UNFORESEEN
        except Exception as error:
            # Libraries may turn an interrupt into an error of their own.
            return _interrupted(interrupts) if interrupts.signal else _complain(error, args)


class Interrupts:
    """Remembers that Ctrl-C was pressed, even where a library swallows it."""

    def __init__(self) -> None:
        self.signal = 0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Listen while the block runs; leaves other handlers than Python's own alone."""
        try:
            usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            terminate = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            if usual:
                signal.signal(signal.SIGINT, self._interrupt)
            if terminate:
                signal.signal(signal.SIGTERM, self._interrupt)
        except ValueError:  # not in the main thread, which alone gets signals
            yield
            return
        try:
            yield
        finally:
            if usual:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            if terminate:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _interrupt(self, number: int, frame: Any) -> None:
        self.signal = number
        raise KeyboardInterrupt


@contextmanager
def _messages(verbose: int) -> Iterator[None]:
    """Put warnings and the log on stderr, one line each, without the place in the code."""
    logger = logging.getLogger("skstrf")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("skstrf: %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            for category in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)
            warnings.showwarning = _show_warning
            yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    print(f"skstrf: warning: {message}", file=sys.stderr)


def _interrupted(interrupts: Interrupts) -> int:
    print("skstrf: interrupted", file=sys.stderr)
    return 128 + (interrupts.signal or signal.SIGINT)


def _complain(error: Exception, args: argparse.Namespace) -> int:
    if args.verbose >= 2:
        traceback.print_exception(error, file=sys.stderr)
    is_users = isinstance(error, (ValueError, OSError, ImportError))
    text = _in_words(error) if is_users else f"unforeseen {type(error).__name__}: {error}"
    if not is_users and args.verbose < 2:
        text += " (-v -v shows where)"
    if getattr(args, "on_error", None) == "raise" and hasattr(error, "reason"):
        text += " With --on-error warn the other files are used all the same."
    print(f"skstrf {args.command}: error: {text}", file=sys.stderr)
    return USER_ERROR if is_users else UNFORESEEN


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
