"""The API pages, one for each subpackage, and what our docstrings need to be read as reStructuredText."""

import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

PACKAGES = {
    "types": "The words: batch, task, answer, model, access",
    "equations": "The equations of the papers",
    "nn": "Machines, memories and controllers",
    "tasks": "Tasks and answers",
    "training": "Training",
    "evaluation": "Evaluation",
    "figures": "Figures",
    "runs": "Runs and sweeps",
    "zoo": "Trained models",
    "studies": "Studies",
    "viewer": "The page",
}
"""The subpackages with a page; `fast`, the kernels, and `cli` are not for import."""


def modules_of(package: str) -> list[str]:
    """All modules of a subpackage, itself first."""
    module = import_module(f"ntm_lab.{package}")
    below = pkgutil.walk_packages(getattr(module, "__path__", ()), f"{module.__name__}.")
    return [module.__name__, *(found.name for found in below)]


def page_of(package: str, title: str) -> str:
    """The API page of a subpackage: every module with its public members."""
    lines = [title, "=" * len(title), ""]
    modules = modules_of(package)
    for name in modules:
        if name != modules[0]:
            lines += [f"``{name}``", "-" * (len(name) + 4), ""]
        is_package = hasattr(import_module(name), "__path__")
        lines += [f".. automodule:: {name}", *(["   :no-members:"] if is_package else []), ""]
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Write the pages into api/packages; a page that has not changed keeps its time and is not read again."""
    folder = Path(app.srcdir) / "api/packages"
    folder.mkdir(parents=True, exist_ok=True)
    for package, title in PACKAGES.items():
        path, text = folder / f"{package}.rst", page_of(package, title)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def mend_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings as reStructuredText.

    A drawing after a colon is shown as it stands, a table of Markdown becomes one of Sphinx, ``|G|`` is the size of G
    and no substitution, and a field of a NamedTuple has the comment beside it.
    """
    if what == "attribute" and lines and lines[0].startswith("Alias for field number"):
        lines[:] = [_comment_beside(name)]
    mended: list[str] = []
    for is_table, group in groupby(lines, lambda line: line.startswith("|")):
        block = [*group]
        mended += _table(block) if is_table else [re.sub(r"\|(?=\w+\|)", r"\|", line) for line in block]
    for number, (line, gap, after) in enumerate(zip(mended, mended[1:], mended[2:], strict=False)):
        if line.endswith(":") and not line.endswith("::") and not gap and after.startswith("    "):
            mended[number] += ":"
    lines[:] = mended


def _table(rows: Iterable[str]) -> Iterator[str]:
    """The rows of a Markdown table as a list-table."""
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in rows:
        if not re.fullmatch(r"[|\s:-]+", row):
            cells = [cell.strip() for cell in row.strip()[1:-1].split("|")]
            yield from (f"   {'*' if number == 0 else ' '} - {cell}" for number, cell in enumerate(cells))


def _comment_beside(name: str) -> str:
    """The comment in the line that declares a field, which says its shape."""
    path, _, field = name.rpartition(".")
    module, _, owner = path.rpartition(".")
    while module not in sys.modules:  # a class within a class
        module, _, _ = module.rpartition(".")
    source = Path(sys.modules[module].__file__ or "").read_text()
    declared = re.search(rf"class (?:{owner}|State)\b.*?^\s+{field}:([^\n]*)", source, re.DOTALL | re.MULTILINE)
    return declared[1].partition("#")[2].strip() if declared else ""


def left_out(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what another package put into a class of ours, and a class under a second name."""
    home = getattr(thing, "__module__", None) if callable(thing) else None
    foreign = home is not None and not home.startswith("ntm_lab")
    return True if foreign or (isinstance(thing, type) and thing.__name__ != name) else None


def defined(name: str) -> str:
    """Where a name is defined: ``ntm_lab.nn.network.MemoryNetwork`` for ``ntm_lab.nn.MemoryNetwork``."""
    module, _, short = name.rpartition(".")
    thing: Any = getattr(sys.modules.get(module), short, None)
    return f"{thing.__module__}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else name


def nearest(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """A name in backticks that its own module does not have: what has this name elsewhere, if there is only one."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.domains.python_domain, defined(node["reftarget"])
    found = {name: entry.objtype for name, entry in domain.objects.items() if f".{name}".endswith(f".{target}")}
    short = [name for name, kind in found.items() if kind in ("class", "function", "module")] or [*found]
    if len(short) != 1:
        return None
    (name,) = short
    node["reftarget"] = name
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", mend_docstring)
    app.connect("autodoc-skip-member", left_out)
    app.connect("missing-reference", nearest)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
