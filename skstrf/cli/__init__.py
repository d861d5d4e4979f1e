"""The command line: one module for each command. Only here is anything printed."""

from skstrf.cli.program import build_parser, run

__all__ = ["build_parser", "run"]
