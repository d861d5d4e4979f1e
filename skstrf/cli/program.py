"""Program that runs the commands: arguments, messages, interrupts and exit status."""

from __future__ import annotations

import argparse
import io
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
from skstrf.cli import (
    channels,
    classify,
    compare,
    demo,
    listen,
    predict,
    search,
    stationarity,
    style,
    transfer_learning,
    transform,
)
from skstrf.utils.cluster import on_cluster
from skstrf.utils.messages import escape

__all__ = ["build_parser", "run"]

COMMANDS = (
    classify,
    predict,
    listen,
    search,
    compare,
    channels,
    transfer_learning,
    transform,
    stationarity,
    style,
    demo,
)
DESCRIPTION = """Analyze and classify sounds with spectro-temporal receptive fields, the
features of a model of auditory cortex."""
EPILOG = """examples:
  skstrf demo                              train a classifier on recordings that come with skstrf
  skstrf classify sounds/ -o report/       train and evaluate a classifier; one sub-folder a class
  skstrf predict report/model.skops *.wav  predict the classes of new sounds
  skstrf listen live/model.skops           classify the sound of the microphone
  skstrf search sounds/ -o out/            search for the best settings
  skstrf compare sounds/ -o out/           compare representations, reductions or classifiers
  skstrf channels sounds/ -o out/          score every channel
  skstrf transfer a/ b/ -o out/            transfer learning from one folder to another
  skstrf transform sounds/ -o out.zarr     compute and store tensors
  skstrf stationarity sounds/ -o out/      measure the stationarity of representations
  skstrf style speech.wav rain.wav -o out.wav   give a sound the texture of another

`skstrf COMMAND --help` describes a command and its options."""
USER_ERROR, UNFORESEEN = 2, 1


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
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
            "-v",
            "--verbose",
            action="count",
            default=0,
            help="print more messages; twice: also tracebacks",
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
        for context in (interrupts.noted(), _encodable(), _messages(args.verbose)):
            stack.enter_context(context)
        try:
            with on_cluster(getattr(args, "cluster", None)):
                status = args.run(args)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            return _interrupted(interrupts)
        except BrokenPipeError:
            # The reader has closed the pipe; without this, Python reports an error at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return UNFORESEEN
        except Exception as error:
            # Libraries can turn an interrupt into an error of their own.
            return _interrupted(interrupts) if interrupts.signal else _complain(error, args)


class Interrupts:
    """Record of SIGINT and SIGTERM, even if a library catches the KeyboardInterrupt."""

    def __init__(self) -> None:
        self.signal = 0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Record signals during the block, unless their handlers are not those of Python."""
        try:
            usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            terminate = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            if usual:
                signal.signal(signal.SIGINT, self._interrupt)
            if terminate:
                signal.signal(signal.SIGTERM, self._interrupt)
        except ValueError:  # only the main thread receives signals
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


class _Escaped(logging.Formatter):
    """Formatter that escapes what a terminal would take for commands."""

    def format(self, record: logging.LogRecord) -> str:
        return escape(super().format(record), keep="\n")


@contextmanager
def _encodable() -> Iterator[None]:
    """Print characters that the encoding of the terminal lacks as escapes."""
    streams = [s for s in (sys.stdout, sys.stderr) if isinstance(s, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)


@contextmanager
def _messages(verbose: int) -> Iterator[None]:
    """Print warnings and the log on stderr without their place in the code."""
    logger = logging.getLogger("skstrf")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Escaped("skstrf: %(message)s"))
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
    print("skstrf: warning:", escape(str(message), keep="\n"), file=sys.stderr)


def _interrupted(interrupts: Interrupts) -> int:
    print("skstrf: interrupted", file=sys.stderr)
    return 128 + (interrupts.signal or signal.SIGINT)


def _complain(error: Exception, args: argparse.Namespace) -> int:
    from skstrf.datasets.headers import AudioReadError

    if args.verbose >= 2:
        traceback.print_exception(error, file=sys.stderr)
    is_users = isinstance(error, (ValueError, OSError, ImportError))
    is_users &= not isinstance(error, UnicodeError)
    text = _describe(error) if is_users else f"unforeseen {type(error).__name__}: {error}"
    if not is_users and args.verbose < 2:
        text += " (-v -v shows the traceback)"
    if getattr(args, "on_error", None) == "raise" and isinstance(error, AudioReadError):
        text += " With --on-error warn the other files are used all the same."
    print(f"skstrf {args.command}: error:", escape(text, keep="\n"), file=sys.stderr)
    return USER_ERROR if is_users else UNFORESEEN


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
