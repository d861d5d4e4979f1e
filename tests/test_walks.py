"""Routes of a value through the package: the number of files and functions that it passes."""

import ast
import os
import sys
from pathlib import Path

import numpy as np

import skstrf
from skstrf import MPCA, STRFTransformer
from skstrf.__main__ import main
from tests.cli.sounds import FAST, write_folder

PACKAGE = Path(skstrf.__file__).parent
PREFIX = f"{PACKAGE}{os.sep}"  # paths as text, since every call of Python passes here


def record_walk(function, *args, concerns=None):
    """Call a function, and list the (file, function) of the package that it enters, in order.

    With `concerns` only functions are listed of which an argument is what it says.
    """
    entered = []

    def note(frame, event, _):
        place = frame.f_code.co_filename
        name = frame.f_code.co_name
        if event == "call" and place.startswith(PREFIX) and not name.startswith("<"):
            step = (place.removeprefix(PREFIX).replace(os.sep, "/"), name)
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


def test_the_files_of_classify_pass_at_most_six_functions(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "sounds")
    filenames = sorted(map(str, folder.rglob("*.wav")))

    def are_files(value):
        is_list = type(value) in (list, np.ndarray) and len(value) == len(filenames)
        return is_list and str(value[0]) == filenames[0]

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("skstrf.experiments.classification._evaluate", stop)
    arguments = ["classify", str(folder), "-o", str(tmp_path / "out"), *FAST]
    walk = record_walk(main, arguments, concerns=are_files)
    # Reading the sounds is the work of datasets.
    route = [step for step in walk if step[0].startswith("experiments/")]
    assert ("experiments/classification.py", "run_classification") in route
    assert len(route) <= 6
    for file, function in route:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        parameters = [
            {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == function
        ]
        assert any("filenames" in names for names in parameters), (file, function)
