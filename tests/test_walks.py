"""Routes of a value through the package: the number of files and functions that it passes."""

import sys

import numpy as np

from skstrf import MPCA, STRFTransformer


def record_walk(function, *args, concerns=None):
    """Call a function, and list the (file, function) of the package that it enters, in order.

    With `concerns` only functions are listed of which an argument is what it says.
    """
    entered = []

    def note(frame, event, _):
        place = frame.f_code.co_filename
        name = frame.f_code.co_name
        if event == "call" and "/skstrf/" in place and not name.startswith("<"):
            step = (place.rpartition("/skstrf/")[2], name)
            values = frame.f_locals.values()
            if step not in entered and (concerns is None or any(map(concerns, values))):
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


def test_a_sound_meets_at_most_four_functions_before_the_first_computation():
    X = np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32)
    strf = STRFTransformer(rates=[4, 8], scales=[1.0]).fit(X)

    def are_sounds(value):
        return isinstance(value, np.ndarray) and np.shares_memory(value, X)

    walk = record_walk(strf.transform, X, concerns=are_sounds)
    assert walk[0] == ("transforms/base.py", "transform")
    assert walk.index(("transforms/standardization.py", "standardize")) <= 4
