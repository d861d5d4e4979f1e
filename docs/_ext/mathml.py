"""Render formulas as MathML with docutils, which browsers draw without scripts."""

from __future__ import annotations

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
FRACTION = re.compile(r"(\\[dt]?frac)\s*(\d)(?:(\d)|(?=\{))")


def mathml(node: nodes.Element, as_block: bool) -> str:
    """Return the markup of one formula, and warn if docutils cannot read it."""
    try:
        return tex2mathml(braced(node.astext().strip()), as_block=as_block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def braced(tex: str) -> str:
    r"""Add the braces to fractions such as ``\frac18``, which docutils requires."""
    return FRACTION.sub(
        lambda m: m[1] + "{" + m[2] + "}" + ("{" + m[3] + "}" if m[3] else ""), tex
    )


def visit_inline(translator, node: nodes.math) -> None:
    translator.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator, node: nodes.math_block) -> None:
    # A wide formula scrolls in its own box, so that the page fits a narrow screen. The tab index
    # lets readers reach the box with the keyboard.
    translator.body.append(
        f'<div class="formula" tabindex="0">{mathml(node, as_block=True)}</div>\n'
    )
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
