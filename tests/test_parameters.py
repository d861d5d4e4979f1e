"""One name of a parameter means one thing in all estimators."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

PATH = Path(__file__).parents[1] / "docs" / "_ext" / "parameters.py"
SPEC = importlib.util.spec_from_file_location("parameters_of_estimators", PATH)
table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(table)

# What each of these accepts, wherever it occurs, and its default if that is the same as well.
COMMON = {
    "device": ({"str"}, "auto"),
    "dtype": ({'"float32"', '"float64"', "None"}, None),
    "hop_duration": ({"float"}, None),
    "max_iter": ({"int", "None"}, None),
    "memory": ({"str", "PathLike", "joblib.Memory", "None"}, None),
    "n_jobs": ({"int", "None"}, None),
    "random_state": ({"int", "RandomState instance", "None"}, None),
    "sample_rate": ({"int", "float"}, 16000),
    "verbose": ({"bool"}, False),
}
SAME_DEFAULT = {"device", "dtype", "memory", "n_jobs", "sample_rate", "verbose"}
# Names of earlier versions and spellings that must not come back.
OLD = {"n_iter", "frame_length", "recipe", "seed", "rng", "sr", "njobs", "epochs", "floor"}


@pytest.fixture(scope="module")
def parameters():
    return table.parameters()


def kinds(use):
    """The alternatives of a documented type."""
    text = re.sub(r",? default=.*", "", use.type).strip("{}")
    return set(re.split(r",? or |, |\}", text)) - {""}


@pytest.mark.parametrize("name", sorted(COMMON))
def test_common_parameters_mean_the_same(parameters, name):
    accepted, default = COMMON[name]
    for use in parameters[name]:
        assert kinds(use) <= accepted, (use.estimator, use.type)
        assert name not in SAME_DEFAULT or use.default == default, use


def test_old_names_have_not_come_back(parameters):
    assert not OLD & set(parameters)


def test_the_sampling_rate_comes_first(parameters):
    """Only a meta-estimator has its estimator before it."""
    for use in parameters["sample_rate"]:
        assert use.position == 0 or use.estimator == "AugmentedClassifier"


def test_descriptions_name_the_unit(parameters):
    units = {"sample_rate": "Hz", "fmin": "Hz", "fmax": "Hz", "hop_duration": "ms"}
    for name, unit in units.items():
        for use in parameters[name]:
            assert re.search(rf"\b{unit}\b", use.description), (use.estimator, name)


def test_documented_defaults_are_those_of_the_signature(parameters):
    for name, uses in parameters.items():
        for use in uses:
            written = re.search(r"default=(.*)", use.type)
            if use.default is inspect.Parameter.empty or " and " in (written or [""])[0]:
                continue
            assert written, (use.estimator, name, use.type)
            text = written[1].strip()
            if re.fullmatch(r"-?[\d.e+-]+", text):
                assert float(text) == use.default, (use.estimator, name)
            elif text in ("None", "True", "False") or text.startswith('"'):
                assert text == repr(use.default).replace("'", '"'), (use.estimator, name)


def test_all_estimators_are_in_the_table(parameters):
    named = {use.estimator for uses in parameters.values() for use in uses}
    assert named == set(table.estimators())
    assert len(parameters) > 60
