"""Sphinx configuration. Nothing is loaded from a network, to build the pages or to read them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from properties import DocumentedProperty

from skstrf import __version__

project = "skstrf"
copyright = "2026, the skstrf developers"
author = "the skstrf developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "mathml",
    "offline",
    "player",
    "figures",
    "parameters",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb"]
default_role = "literal"
autosummary_generate = True
autosummary_context = {"documented": DocumentedProperty()}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_class_members_toctree = False
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "capture_repr": ("_repr_html_",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "parallel": 2,
    "within_subsection_order": "gallery_order.Learning",
    # The table of times would load scripts from elsewhere.
    "write_computation_times": False,
}

plot_formats = [("png", 150)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False
plot_rcparams = {
    "figure.figsize": (7.0, 3.0),
    "font.size": 9,
    "figure.constrained_layout.use": True,
}
plot_apply_rcparams = True

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "skstrf"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["skstrf.css"]
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    # Tables of results have many columns: they get the room of the headings' list.
    "secondary_sidebar_items": {"**": ["page-toc"]}
    | {f"results/{page.stem}": [] for page in Path(__file__).parent.glob("results/*.rst")},
}
html_show_sourcelink = False
