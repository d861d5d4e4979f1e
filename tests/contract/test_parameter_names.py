"""One name of a constructor parameter means one thing in all estimators.

``python -m tests.contract.test_parameter_names`` prints the table of all parameters.
"""

import inspect
import re
from collections import defaultdict

import pytest

import skstrf
from skstrf import neural

docscrape = pytest.importorskip("numpydoc.docscrape")

# The start that all descriptions of a shared name have in common.
MEANINGS = {
    "batch_size": "Number of (samples in a training batch|excerpts per iteration)",
    "block_duration": r"Maximum duration (of a block )?in seconds",
    "callback": "Function called after every iteration",
    "compression": "Compression of (the output|the magnitudes|magnitudes and powers)",
    "compression_floor": "(Floor|Smallest|Magnitude) ",
    "cv": "Folds",
    "device": "Device of the (computation|cortical stage)",
    "dtype": "Precision of the (computation|cortical stage) and the output",
    "alpha": "(Significance level|Penalty of the coefficients)",
    "estimator": "Classifier ",
    "fmax": r"(Upper (edge|bound) of|Frequency in Hz one step above)",
    "fmin": r"(Lower edge|Center) of the lowest",
    "frame_rate": "(Number of frames|Frames of the tensor) per second",
    "lr": "(Initial l|L)earning rate",
    "max_iter": "(Maximum n|N)umber of (iterations|sweeps)",
    "memory": "Folder (of the cache|in which .* cached)",
    "init": "Initial (factors|sound)",
    "n_components": "(Amount to keep of each axis|Number of components)",
    "n_features": "Number of entries that transform returns",
    "n_fft": "Length of a frame in samples",
    "n_filters": "Number of (band-pass )?filters",
    "n_hidden": "Number of (channels of the hidden layers|hidden units)",
    "n_jobs": "Number of (threads|processes|channels scored in parallel)",
    "optimizer": "Optimiz",
    "output": "Part of the .* that is",
    "random_state": "Seed of ",
    "representation": "(Differentiable representation|Input of the network|Representation of)",
    "sample_rate": r"Sampling rate of the (input )?sounds in Hz",
    "tol": "((Sweeps|Iterations) stop|Relative tolerance)",
    "vectorize": "Whether transform returns vectors",
    "scoring": "(Scoring method|Measure of)",
    "verbose": "Whether .*(progress|printed)",
    "win_length": "Length of the window in samples",
    "window": "Name of the window",
}
# Names that mean two things, with the reason.
HOMONYMS = {
    "network": "layers to train in CNNClassifier; features to compare in style transfers",
    "norm": "librosa's name for both the norm of chroma frames and that of mel filters",
}
# Estimators whose first parameter is not sample_rate although they have one, with the reason.
RATE_NOT_FIRST = {"AugmentedClassifier": "meta-estimators begin with the estimator"}


def classes():
    """All public estimators and the parameter objects of CNNClassifier."""
    public = [getattr(skstrf, name) for name in skstrf.__all__]
    nested = [neural.ConvolutionalNetwork, neural.SeparableNetwork, neural.TensorAugmentation]
    return [c for c in [*public, *nested] if inspect.isclass(c) and hasattr(c, "get_params")]


def documented(cls):
    """Type and first sentence of each parameter, in the order of the docstring."""
    entries = {}
    for entry in docscrape.ClassDoc(cls)["Parameters"]:
        text = " ".join(line.strip() for line in entry.desc)
        for name in entry.name.split(","):
            entries[name.strip()] = entry.type, re.split(r"(?<=[.;:])\s", text)[0]
    return entries


def parameter_table():
    """Classes of each type and first sentence of each parameter."""
    table = defaultdict(lambda: defaultdict(list))
    for cls in classes():
        for name, entry in documented(cls).items():
            table[name][entry].append(cls.__name__)
    return table


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_docstring_and_assignments_follow_the_signature(cls):
    parameters = inspect.signature(cls.__init__).parameters
    names = [name for name in parameters if name != "self"]
    assert list(documented(cls)) == names
    if "__init__" in vars(cls) and cls.__name__ != "CachedPipeline":  # which calls Pipeline's
        assigned = re.findall(r"self\.(\w+) = ", inspect.getsource(cls.__init__))
        assert assigned == names
    if "sample_rate" in names and cls.__name__ not in RATE_NOT_FIRST:
        assert names[0] == "sample_rate"
    if "n_jobs" in names:
        assert parameters["n_jobs"].default is None
    forbidden = {"n_iter", "n_iterations", "maxiter", "seed", "sr", "samplerate", "n_threads"}
    assert not forbidden & set(names)


def test_one_name_means_one_thing():
    faults = []
    for name, entries in parameter_table().items():
        sentences = {sentence for _, sentence in entries}
        if len(sentences) > 1 and name not in HOMONYMS:
            meaning = MEANINGS.get(name)
            faults += [
                f"{name} of {', '.join(owners)}: {sentence}"
                for (_, sentence), owners in entries.items()
                if meaning is None or not re.match(meaning, sentence)
            ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("n_jobs", r"int or None, default=None"),
        ("random_state", r"int, RandomState (instance )?or None, default=(None|0)"),
        ("sample_rate", r"(int|float), default=16000"),
        ("device", r'str, default="auto"'),
        ("memory", r"str, \w+, joblib\.Memory or None, default=None"),
        ("verbose", r"bool, default=False"),
        ("dtype", r'\{"float32", "float64"\} or None, default=None'),
    ],
)
def test_shared_parameters_have_one_type_and_default(name, types):
    for (found, _), owners in parameter_table()[name].items():
        assert re.fullmatch(types, found), owners


def test_the_lists_of_exceptions_name_parameters_that_exist():
    assert {*MEANINGS, *HOMONYMS} <= parameter_table().keys()


if __name__ == "__main__":
    for name, entries in sorted(parameter_table().items()):
        print(name)
        for (kind, sentence), owners in entries.items():
            print(f"    {', '.join(owners)}: {kind}\n        {sentence}")
