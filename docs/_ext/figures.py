"""Give the cells in columns of numbers the class ``number``, which aligns them to the right.

A column is numeric if more than half of its nonempty cells below the title begin with a number.
"""

import re

from docutils import nodes

NUMBER = re.compile(r"[<>±≥≤~]?\s*[-−–]?\s*[.\d]*\d|[-−–—]$|nan$")
LONGEST = 24  # characters; a longer text is a sentence that begins with a number


def is_number(text):
    """Return whether a text is a number, possibly with a spread and a unit."""
    return bool(NUMBER.match(text)) and len(text) <= LONGEST


def columns_of_numbers(rows):
    """Return the indices of the columns of ``rows`` in which most texts are numbers."""
    found = []
    for index, column in enumerate(zip(*rows, strict=True)):
        cells = [text for text in column if text]
        if cells and sum(map(is_number, cells)) > len(cells) / 2:
            found.append(index)
    return found


def mark(app, document):
    """Mark the numeric columns of all tables without spanning cells."""
    for table in document.findall(nodes.tgroup):
        rows = list(table.findall(nodes.row))
        body = next(iter(table.findall(nodes.tbody)))
        written = [[entry.astext().strip() for entry in row] for row in body]
        if len({len(row) for row in rows}) != 1:
            continue
        for index in columns_of_numbers(written):
            for row in rows:
                row[index]["classes"].append("number")


def setup(app):
    app.connect("doctree-read", mark)
    return {"version": "1", "parallel_read_safe": True}
