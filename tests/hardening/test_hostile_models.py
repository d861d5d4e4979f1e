"""Model files that were damaged, or made by somebody who means harm."""

import copy
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skstrf import AudioLoader, CachedPipeline, CNNClassifier, MFCCTransformer, STRFTransformer
from skstrf.__main__ import main
from skstrf.model_io import load_model, save_model
from skstrf.neural import ConvolutionalNetwork

resource = pytest.importorskip("resource")  # limits the memory
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")

RATE = 16000
FUNCTIONS = [
    ("os", "system"), ("builtins", "eval"), ("builtins", "open"), ("subprocess", "Popen"),
    ("importlib", "import_module"), ("numpy", "load"), ("joblib", "load"), ("shutil", "rmtree"),
]  # fmt: skip
LOADERS = [
    "FunctionNode", "TypeNode", "ObjectNode", "ConstructorFromReduceNode", "PartialNode",
    "OperatorFuncNode", "MethodNode", "LossNode", "ListNode", "NdArrayNode", "DefaultDictNode",
]  # fmt: skip
JUNK = [None, -1, 10**400, "x", [], {}, [{}], {"__id__": 0}, {"__class__": "a"}]
# Other values, as JSON, of parameters and of what was fitted.
VALUES = [
    "null", "-1", "0", "1e300", "1000000000", '"x"', "[]", "{}", "true", "[[1]]", "NaN",
    "Infinity", '"/etc/passwd"', '"cuda:7"',
]  # fmt: skip


class Writer:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The parts of a model that predicts, and a sound."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    sound = folder / "a.wav"
    soundfile.write(sound, 0.1 * rng.standard_normal(RATE // 4), RATE)
    model = make_pipeline(
        AudioLoader(duration=0.25),
        MFCCTransformer(n_mfcc=4, n_mels=8),
        CNNClassifier(ConvolutionalNetwork(n_filters=2, n_hidden=4), max_epochs=1, random_state=0),
    )
    model.fit([str(sound)] * 4, ["a", "b"] * 2)
    save_model(model, folder / "m.skops")
    with zipfile.ZipFile(folder / "m.skops") as archive:
        return {name: archive.read(name) for name in archive.namelist()}, str(sound)


def write(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def nodes(tree, path=()):
    """Yield the place of every node of a schema."""
    if isinstance(tree, dict):
        yield path
    for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(item, dict | list):
            yield from nodes(item, (*path, key))


def replaced(tree, path, value):
    """Copy a schema with another node at a place."""
    if not path:
        return value
    tree = copy.copy(tree)
    tree[path[0]] = replaced(tree[path[0]], path[1:], value)
    return tree


def at(tree, path):
    """Return the node at a place."""
    for key in path:
        tree = tree[key]
    return tree


def hostile_nodes(victim):
    """Nodes that call functions, or hold them to be called later."""
    texts = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    text = texts | {"content": json.dumps(f"touch {victim}")}
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
    arguments["content"] = [text]
    for module, name in FUNCTIONS:
        function = {"__class__": name, "__module__": module, "__loader__": "FunctionNode"}
        for loader in LOADERS:
            content = {"func": function, "args": arguments, "kwds": {}, "namespace": text}
            reduced = {"args": arguments}
            yield f"{loader} {module}.{name}", function | {
                "__loader__": loader, "__reduce__": reduced, "attrs": arguments,
                "content": arguments if "Constructor" in loader else content,
            }  # fmt: skip


def bomb(n_levels):
    """Lists of ten references to the next list each."""
    start = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    node = start | {"__id__": 0, "content": []}
    for level in range(1, n_levels):
        node = start | {"__id__": level, "content": [node, *[{"__id__": level - 1}] * 9]}
    return node


def archives(good, victim):
    """Ways to write a file that is no model, by name."""
    parts, _ = good
    schema = json.loads(parts["schema.json"])

    def with_schema(tree):
        text = tree if isinstance(tree, str | bytes) else json.dumps(tree)
        return lambda path: write(path, parts | {"schema.json": text})

    ways = {
        f"schema {text[:8]}": with_schema(text)
        for text in ("", "[]", "{}", "null", "1", "[" * 10**5, '{"a":' * 10**5, "9" * 10**5,
                     b"\xff\xfe", "NaN")
    }  # fmt: skip
    for key in ("__class__", "__module__", "__loader__", "content", "protocol"):
        for value in JUNK:
            ways[f"{key} {value!r:.20}"] = with_schema(schema | {key: value})
    steps = [path for path in nodes(schema) if path and path[-1] != "key_types"]
    rng = np.random.default_rng(0)
    for name, node in hostile_nodes(victim):
        ways[f"root {name}"] = with_schema(schema | node)
        where = steps[rng.integers(len(steps))]
        ways[f"within {name}"] = with_schema(replaced(schema, where, node))
    for number in range(60):
        where, junk = steps[rng.integers(len(steps))], JUNK[rng.integers(len(JUNK))]
        ways[f"junk {number} {where} {junk!r:.20}"] = with_schema(replaced(schema, where, junk))
    leaves = [path for path in nodes(schema) if at(schema, path).get("__loader__") == "JsonNode"]
    for number in range(120):
        where, value = leaves[rng.integers(len(leaves))], VALUES[rng.integers(len(VALUES))]
        tree = replaced(schema, (*where, "content"), value)
        ways[f"value {number} {where[-3:]} {value:.20}"] = with_schema(tree)
    ways["references"] = with_schema(bomb(40) | {"protocol": schema["protocol"]})
    for number, where in enumerate(steps[:3]):
        ways[f"references {number}"] = with_schema(replaced(schema, where, bomb(40)))
    for protocol in range(6):
        content = pickle.dumps(Writer(victim), protocol)
        ways[f"pickle {protocol}"] = lambda path, c=content: path.write_bytes(c)
    for name, content in arrays(victim).items():
        changed = {n: content if n.endswith(".npy") else c for n, c in parts.items()}
        ways[name] = lambda path, c=changed: write(path, c)
    ways["metadata"] = lambda path: write(path, parts | {"skstrf.json": "[" * 10**5})
    ways["compressed"] = lambda path: write(path, parts, zipfile.ZIP_DEFLATED)
    ways["pipe"] = os.mkfifo
    ways["zeros"] = lambda path: path.symlink_to("/dev/zero")
    ways["folder"] = os.mkdir
    ways["sparse"] = lambda path: (path.touch(), os.truncate(path, 2**40))
    ways["overlap"] = lambda path: overlapping(path, parts)
    return ways


def arrays(victim):
    """Contents of an array file that hold a pickle, or promise more than there is."""
    found = {}
    for shape in ((10**15,), (2**62, 2**62), (-1,), (10**10,)):
        array = io.BytesIO()
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(array, header)
        found[f"array {shape}"] = array.getvalue()
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    return found | {"array of pickles": array.getvalue() + pickle.dumps(Writer(victim))}


def overlapping(path, parts):
    """A zip whose directory names the same bytes a thousand times."""
    write(path, parts)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(1000):
            twin = copy.copy(archive.infolist()[0])
            twin.filename = f"{number}.npy"
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
        archive._didModify = True


def attempt(good, folder, capsys, ways):
    """Each file is refused by an error that names it, or predicts; nothing else happens."""
    path, victim = folder / "crafted.skops", folder / "victim"
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**30, limits[1]))
    try:
        for name, way in ways.items():
            way(path)
            try:
                load_model(path)
            except ValueError as error:
                assert "crafted.skops" in str(error), name
            status = main(["predict", str(path), good[1]])
            lines = capsys.readouterr().err.splitlines()
            errors = [line for line in lines if line.startswith("skstrf predict: error")]
            assert (status, len(errors)) in {(2, 1), (0, 0)}, (name, lines)
            assert "unforeseen" not in "".join(lines), name
            assert not victim.exists(), name
            path.rmdir() if name == "folder" else path.unlink()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_crafted_models_are_refused(good, tmp_path, capsys):
    ways = archives(good, tmp_path / "victim")
    names = ("references", "pipe", "zeros", "sparse", "overlap", "array", "metadata")
    chosen = {n: way for n, way in ways.items() if n.startswith(names)}
    some = dict(list(ways.items())[::16])
    attempt(good, tmp_path, capsys, chosen | some)


@pytest.mark.slow
def test_more_than_a_hundred_crafted_models_are_refused(good, tmp_path, capsys):
    ways = archives(good, tmp_path / "victim")
    assert len(ways) > 300
    attempt(good, tmp_path, capsys, ways)


class Holder(BaseEstimator):
    """Holds anything, in a container of its own."""

    def __init__(self, item=None):
        self.item = item


@pytest.mark.parametrize("where", ["list", "dict", "tuple", "array", "state", "deep"])
def test_parameters_of_the_machine_are_not_taken_over_wherever_they_are(tmp_path, where):
    folder = tmp_path / "mine"
    strf = STRFTransformer(memory=str(folder), device="cuda:7", n_jobs=10**6)
    inner = CachedPipeline([("strf", strf)], memory=str(folder))
    array = np.empty(1, dtype=object)
    array[0] = inner
    item = {
        "list": [inner], "dict": {"a": inner}, "tuple": (1, (inner,)), "array": array,
        "state": LogisticRegression(), "deep": [{"a": [(array,)]}],
    }[where]  # fmt: skip
    if where == "state":
        item.hidden_ = {1: [inner]}
    path = tmp_path / "m.skops"
    # As somebody else writes it, who keeps what save_model leaves out.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skstrf.model_io._portable", lambda model, copies: model)
        save_model(make_pipeline(Holder(item)), path, trusted=[Holder])
    found = load_model(path, trusted=[Holder])[0].item
    while not isinstance(found, CachedPipeline):
        if where == "state" and isinstance(found, LogisticRegression):
            found = found.hidden_
        found = (
            found[-1]
            if isinstance(found, list | tuple | np.ndarray)
            else next(iter(found.values()))
        )
    assert (found.memory, found[0].memory, found[0].device) == (None, None, "auto")
    assert found[0].n_jobs == -1
