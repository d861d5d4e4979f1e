"""``skstrf`` and ``python -m skstrf``."""

from __future__ import annotations

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
        Exit status: 0 done, 1 some files could not be used or something unforeseen happened,
        2 wrong arguments or data, 130 interrupted.

    Examples
    --------
    >>> from skstrf.__main__ import main
    >>> main(["predict", "no-such-model.skops", "a.wav"])
    2
    """
    # Read when torch loads: its threads then sleep while they wait, instead of spinning, which
    # on a machine that others use too makes small networks many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from skstrf.cli import run

        return run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
