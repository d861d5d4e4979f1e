"""The directive ``parameter-table``, which lists all parameters of the public estimators by name.

The table is read from the signatures and docstrings when the page is built. The tests use
:func:`parameters` as well, to check that a name has one meaning in all estimators.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import NamedTuple

from docutils import nodes
from numpydoc.docscrape import ClassDoc
from sphinx.util.docutils import SphinxDirective


class Parameter(NamedTuple):
    """One parameter of one estimator."""

    estimator: str
    position: int
    default: object
    type: str
    description: str


def estimators():
    """Return all public estimators by name."""
    import skstrf

    classes = {name: getattr(skstrf, name) for name in skstrf.__all__}
    return {
        name: item
        for name, item in classes.items()
        if isinstance(item, type) and hasattr(item, "get_params")
    }


def parameters():
    """Return a list of :class:`Parameter` for each name of a parameter."""
    found = defaultdict(list)
    for estimator, item in estimators().items():
        documented = {}
        for entry in ClassDoc(item)["Parameters"]:
            for name in entry.name.split(", "):
                documented[name] = entry
        for position, (name, one) in enumerate(inspect.signature(item).parameters.items()):
            entry = documented[name]
            text = " ".join(entry.desc)
            found[name].append(Parameter(estimator, position, one.default, entry.type, text))
    return dict(sorted(found.items()))


class ParameterTable(SphinxDirective):
    """Table with one row for each name and type, and the estimators that have it."""

    def run(self):
        table, group = nodes.table(classes=["parameters"]), nodes.tgroup(cols=3)
        table += group
        for width in (20, 40, 40):
            group += nodes.colspec(colwidth=width)
        head, body = nodes.thead(), nodes.tbody()
        group += [head, body]
        head += self._row("parameter", "type and default", "estimators")
        for name, uses in parameters().items():
            by_type = defaultdict(list)
            for use in uses:
                by_type[use.type].append(use.estimator)
            for number, (kind, names) in enumerate(by_type.items()):
                body += self._row(name if number == 0 else "", kind, ", ".join(names))
        return [table]

    def _row(self, *texts):
        row = nodes.row()
        for text in texts:
            row += nodes.entry("", nodes.paragraph(text=text))
        return row


def setup(app):
    app.add_directive("parameter-table", ParameterTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
