"""Figures in tables stand under each other: columns of numbers are right-aligned and not broken.

A column is of numbers if more than half of the cells below its title that are not empty begin like
one. Its cells get the class ``number``.
"""

import re

from docutils import nodes

NUMBER = re.compile(r"[<>±≥≤~]?\s*[-−–]?\s*[.\d]*\d|[-−–—]$|nan$")
LONGEST = 24  # characters: what is longer is a sentence that begins with a number


def is_number(text):
    """Whether a cell reads as a figure, with its spread and unit or without."""
    return bool(NUMBER.match(text)) and len(text) <= LONGEST


def columns_of_numbers(rows):
    """Indices of the columns of ``rows``, lists of texts, in which most say a number."""
    found = []
    for index, column in enumerate(zip(*rows, strict=True)):
        cells = [text for text in column if text]
        if cells and sum(map(is_number, cells)) > len(cells) / 2:
            found.append(index)
    return found


def mark(app, document):
    """Give the cells of such columns their class; tables with cells that span are left alone."""
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
