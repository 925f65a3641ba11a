"""`{equation}` sets a function of `ntm_lab.equations` as a formula beside its code, both read from its source.

The formula is what the docstring begins with: ``w_g = g · w_c + (1 − g) · w_{t−1}, equation 7; …`` up to the first
comma, colon or semicolon outside brackets.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

SYMBOLS = {
    "β": r"\beta ",
    "γ": r"\gamma ",
    "ε": r"\varepsilon ",
    "π": r"\pi ",
    "φ": r"\varphi ",
    "ψ": r"\psi ",
    "Σ": r"\sum ",
    "Π": r"\prod ",
    "∘": r"\circ ",
    "·": r"\cdot ",
    "−": "-",
    "ᵀ": r"^{\top}",
    "₁": "_1",
    "₂": "_2",
    "₃": "_3",
}


def formula(docstring: str) -> str | None:
    """The formula that a docstring begins with; None where it begins with words."""
    depth = 0
    for place, letter in enumerate(docstring):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and letter in ",;:\n":
            head = docstring[:place]
            return head if re.search(r"^\S+ = |^\w\[.*?\] = ", head) else None
    return None


def latex(written: str) -> str:
    """A formula of a docstring as LaTeX; ValueError for a symbol that has no LaTeX here."""
    named = re.sub(r"_(\w{2,})", r"_{\\mathrm{\1}}", written)
    named = re.sub(r"(?<![\\{A-Za-z])([a-z]{2,})(?![a-z}])", r"\\mathrm{\1}", named)
    text = "".join(SYMBOLS.get(letter, letter) for letter in named)
    left, _, right = text.partition(" = ")
    over, slash, under = right.partition(" / ")
    if slash:
        right = rf"\dfrac{{{over}}}{{{under}}}"
    if not text.isascii():
        raise ValueError(f"{written}: no LaTeX is known for {sorted({one for one in text if not one.isascii()})}")
    return f"{left} = {right}"


def code(function: Callable[..., Any]) -> str:
    """The source of a function without its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    lines, node = source.splitlines(), ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    first = node.body[0]
    return "\n".join(lines[: first.lineno - 1] + lines[first.end_lineno :])


class Equation(SphinxDirective):
    """``{equation} location.interpolate``: the formula and the content of the directive, beside the code."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        function = getattr(import_module(f"ntm_lab.equations.{module}"), name)
        self.env.note_dependency(inspect.getfile(function))
        written = formula(inspect.getdoc(function) or "")
        if written is None:
            raise self.error(f"{self.arguments[0]}: its docstring does not begin with a formula")
        link = f"{{py:func}}`{name} <ntm_lab.equations.{module}.{name}>`"
        words = nodes.container("", *self.parse_text_to_nodes(f"**{link}**"), classes=["words"])
        words += nodes.math_block("", latex(written), nowrap=False, number=None, label=None)
        words += self.parse_content_to_nodes()
        block = nodes.literal_block("", code(function), language="python")
        return [nodes.container("", words, nodes.container("", block, classes=["code"]), classes=["beside"])]


def formula_first(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """In the API too, the formula that a docstring begins with is set as one."""
    text = "\n".join(lines)
    written = formula(text) if what == "function" and name.startswith("ntm_lab.equations.") else None
    if written is not None:
        rest = text[len(written) :].lstrip(",;: ")
        lines[:] = [f".. math:: {latex(written)}", "", *(rest[:1].upper() + rest[1:]).splitlines()]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("equation", Equation)
    app.connect("autodoc-process-docstring", formula_first)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
