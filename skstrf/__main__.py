"""Entry point of ``skstrf`` and ``python -m skstrf``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        Arguments without the name of the program; None uses those of the process.

    Returns
    -------
    int
        Exit status: 0 for success, 1 if some files could not be used or an unforeseen error
        occurred, 2 for wrong arguments or data, 130 for an interruption.

    Examples
    --------
    >>> from skstrf.__main__ import main
    >>> main(["predict", "no-such-model.skops", "a.wav"])
    2
    """
    # Torch reads this when it is loaded: waiting threads then sleep instead of spinning, which
    # makes small networks many times slower on a machine that other programs use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from skstrf.cli import run

        return run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
