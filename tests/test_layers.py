"""Imports go only down: this table is the architecture."""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "skstrf"

# Each part with its layer; a part imports from its own layer's same part or from lower layers.
# `utils` lies under everything, and may not import anything of ours.
LAYERS = {
    "_version": -1,
    "utils": -1,
    "auditory": 0,
    "caching": 0,
    "model_io": 0,
    "multilinear": 0,
    "surrogates": 0,
    "texture": 0,
    "augmentation": 1,
    "preprocessing": 1,
    "transforms": 1,
    "decomposition": 1,
    "feature_selection": 1,
    "stationarity": 1,
    "neural": 1,
    "encoding": 1,
    "style": 1,
    "pipeline": 1,
    "versions": 1,
    "datasets": 1,
    "corpus_store": 2,
    "live": 2,
    "inspection": 2,
    "experiments": 3,
    "cli": 4,
    "__main__": 4,
}


@cache
def _imported_parts(path):
    """Return the imported names, each split at its dots."""
    return tuple(_imports(path))


def _imports(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ("skstrf", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield (*base, *module, alias.name)


def _files():
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_only_down(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in LAYERS, f"{part} has no layer: give it one in tests/test_layers.py"
    for imported in _imported_parts(path):
        if imported[0] != "skstrf" or len(imported) == 1:
            continue
        other = imported[1]
        if other == part:
            continue
        assert other in LAYERS, f"{path.name} imports skstrf.{other}, which has no layer"
        assert LAYERS[other] <= LAYERS[part], f"{path.name} ({part}) imports {other}: upwards"


def test_no_part_imports_its_layer_in_a_circle():
    edges = {}
    for path in _files():
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        targets = {i[1] for i in _imported_parts(path) if i[0] == "skstrf" and len(i) > 1}
        edges.setdefault(part, set()).update(targets - {part})

    def reaches(start, goal, seen):
        for following in edges.get(start, ()):
            if following == goal:
                return True
            if following not in seen and reaches(following, goal, seen | {following}):
                return True
        return False

    circles = [part for part in edges if reaches(part, part, {part})]
    assert not circles, f"parts that import each other: {circles}"


def test_private_scikit_learn_is_imported_in_one_file():
    guilty = []
    for path in _files():
        text = path.read_text(encoding="utf-8")
        if "sklearn.utils._" in text or "_fit_context as" in text:
            guilty.append(str(path.relative_to(PACKAGE)))
    assert guilty == ["utils/validation.py"]
