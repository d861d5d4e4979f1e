"""Routes of a value through the package: the number of files and functions that it passes."""

import sys

import numpy as np

from skstrf import MPCA


def record_walk(function, *args):
    """Call a function, and list the (file, function) of the package that it enters, in order."""
    entered = []

    def note(frame, event, _):
        place = frame.f_code.co_filename
        name = frame.f_code.co_name
        if event == "call" and "/skstrf/" in place and not name.startswith("<"):
            step = (place.rpartition("/skstrf/")[2], name)
            if step not in entered:
                entered.append(step)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function(*args)
    finally:
        sys.setprofile(before)
    return entered


def test_fit_of_mpca_stays_in_four_files():
    X = np.random.default_rng(0).standard_normal((20, 4, 5, 6, 7))
    MPCA().fit(X)  # modules are loaded, the libraries of threads found
    walk = record_walk(MPCA().fit, X)
    assert {file for file, _ in walk} <= {
        "decomposition.py",
        "utils/validation.py",
        "multilinear/mpca.py",
        "multilinear/products.py",
    }
    assert len(walk) <= 48
