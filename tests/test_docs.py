"""The pages of docs/: their code runs, and what the site sets as formulas can be set. `make docs` builds the site."""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import ntm_lab.equations

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS / "_ext"))

EQUATIONS = {
    f"{module.name}.{name}": function
    for module in pkgutil.iter_modules(ntm_lab.equations.__path__)
    for name, function in vars(importlib.import_module(f"ntm_lab.equations.{module.name}")).items()
    if inspect.isfunction(function) and function.__module__.endswith(f".{module.name}")
}
IN_WORDS = {"least_used.least_used", "least_used.erase_slots", "linkage.sharpen_links"}  # which no formula says better


def run_blocks(page: str) -> dict[str, Any]:
    """Run all Python of a page, block after block, and return what it defines."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE):
        exec(block, names)
    return names


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """In a folder of its own, on one thread."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["start.md", "guides/pieces.md", "guides/export.md"])
def test_a_page_runs(page: str) -> None:
    assert run_blocks(page)


@pytest.mark.slow
def test_a_memory_replays_what_an_lstm_cannot() -> None:
    names = run_blocks("guides/drop-in.md")
    assert names["with_lstm"] > 0.07 and names["with_memory"] < 0.001


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_begins_with_its_formula(name: str) -> None:
    from equations import code, formula, latex  # type: ignore[import-not-found]
    from formulas import svg  # type: ignore[import-not-found]

    written = formula(inspect.getdoc(EQUATIONS[name]) or "")
    assert (written is None) == (name in IN_WORDS)
    if written is not None:
        assert "<path d=" in svg(latex(written))
    assert '"""' not in code(EQUATIONS[name]) and "return" in code(EQUATIONS[name])


def test_a_formula_becomes_latex() -> None:
    from equations import formula, latex

    assert formula("w_g = g · w_c + (1 − g) · w_{t−1}, equation 7") == "w_g = g · w_c + (1 − g) · w_{t−1}"
    assert formula("The content weighting, w = 1") is None
    assert latex("w_lu = Σ_j w(j)^γ / 2") == r"w_{\mathrm{lu}} = \dfrac{\sum _j w(j)^\gamma }{2}"
    with pytest.raises(ValueError, match=r"no LaTeX is known for .*♥"):
        latex("w = ♥")


def test_a_docstring_becomes_restructuredtext() -> None:
    from reference import mend_docstring  # type: ignore[import-not-found]

    lines = ["All of |G|:", "", "    x  y", "", "| | a |", "|---|---|", "| b | c |"]
    mend_docstring(None, "class", "", None, None, lines)
    table = [".. list-table::", "   :header-rows: 1", "", "   * - ", "     - a", "   * - b", "     - c"]
    assert lines == [r"All of \|G|::", "", "    x  y", "", *table]


def test_broken_links_are_found(tmp_path: Path) -> None:
    from links import broken  # type: ignore[import-not-found]

    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text('<h1 id="top">T</h1><a href="#top"></a><a href="sub/a.html#there"></a>')
    (tmp_path / "sub/a.html").write_text(
        '<a href="../index.html#bottom"></a><img src="b.png"><a href="https://x.y"></a><script src="https://x.y/z.js">'
    )
    assert broken(tmp_path) == [
        "index.html: sub/a.html#there: there is no such place",
        "sub/a.html: ../index.html#bottom: there is no such place",
        "sub/a.html: b.png: there is no such file",
        "sub/a.html: https://x.y/z.js: a page must not load from a network",
    ]


@pytest.mark.parametrize("page", sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")))
def test_a_link_in_a_page_leads_somewhere(page: str) -> None:
    """As it stands in the repository, where the pages are read too."""
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.DOTALL)
    built = ("http", "#", "gallery/")  # made by the build
    aims = [aim for aim in re.findall(r"\]\(([^)\s]+)\)", text) if not aim.startswith(built)]
    lost = [aim for aim in aims if not (DOCS / page).parent.joinpath(aim.partition("#")[0]).exists()]
    assert not lost
