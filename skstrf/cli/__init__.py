"""Command line: one module per command. Only these modules print anything."""

from skstrf.cli.program import build_parser, run

__all__ = ["build_parser", "run"]
