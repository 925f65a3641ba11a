"""The site: `make docs` builds it into docs/_build, which git ignores. No page asks for anything from a network."""

import logging
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ntm_lab"
author = "The ntm_lab authors"
copyright = author
version = release = version_of("ntm_lab")

extensions = [
    "myst_nb",  # Markdown and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    # our own, in _ext
    "formulas",
    "equations",
    "reference",
    "gallery",
    "links",
]
exclude_patterns = ["_build", "_ext", "**.ipynb_checkpoints"]
# A glob in a table of contents may stand for a page that is not written yet; Sphinx has no setting for that.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: record.__dict__.get("subtype") != "empty_glob"
)

# Markdown
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # as tests run the notebooks; for the published site `-D nb_execution_mode=auto`
nb_execution_timeout = 300
nb_output_stderr = "remove"  # progress bars
nb_ipywidgets_js = {}  # which would come from a network

# The API, from the docstrings: a word in single backticks is a name, linked where there is one
default_role = "py:obj"
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
add_module_names = False  # a heading names the module
autodoc_inherit_docstrings = False  # other packages have markup of their own
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autosummary_generate = False

# HTML
html_theme = "furo"
html_title = "ntm_lab"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["site.css"]
html_math_renderer = "outlines"
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# `sphinx-build -b linkcheck`
linkcheck_ignore = ["gallery/"]  # made by the HTML build, which checks it
linkcheck_timeout = 20
linkcheck_retries = 2
