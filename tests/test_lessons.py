"""The lessons of docs/lessons run from their first cell to their last, which checks what they say."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LESSONS = Path(__file__).parents[1] / "docs" / "lessons"
NAMES = ["01-copy", "02-break-it", "03-dnc", "04-one-shot"]
LIMIT = 300  # seconds of a cell, of which none takes a fifth with a core to itself


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(LESSONS / f"{name}.ipynb", as_version=4)


def solutions(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    return (cell for cell in notebook.cells if "solution" in cell.metadata.get("tags", []))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_runs_and_what_it_says_holds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one core, in a folder of its own. The last cell asserts the claims of the text."""
    for threads in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(threads, "1")
    notebook = read(name)
    assert "claims" in notebook.cells[-1].metadata.tags and "assert" in notebook.cells[-1].source
    NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {kind for cell in notebook.cells for out in cell.get("outputs", []) for kind in out.get("data", {})}
    assert "image/png" in shown


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_is_kept_without_outputs(name: str) -> None:
    """So that a change of one shows what was changed."""
    notebook = read(name)
    nbformat.validate(notebook)
    kept = [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    assert not kept, f"docs/lessons/{name}.ipynb: has outputs; `jupyter nbconvert --clear-output --inplace` clears them"
    assert {*notebook.metadata} <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_asks_first_and_hides_its_solutions(name: str) -> None:
    notebook = read(name)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    exercises = re.findall(r"^\*\*(\d)\. ", text, flags=re.M)
    assert [int(number) for number in exercises] == list(range(1, len(exercises) + 1)) and 3 <= len(exercises) <= 5
    assert text.count("> **Predict.**") >= 4
    answers = len(list(solutions(notebook))), text.count("<details>")
    assert max(answers) >= len(exercises) / 2 and sum(answers) >= len(exercises)
    for cell in solutions(notebook):
        assert "hide-cell" in cell.metadata.tags
        assert cell.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}


def test_the_index_names_every_lesson() -> None:
    index = (LESSONS / "index.md").read_text()
    assert [path.stem for path in sorted(LESSONS.glob("*.ipynb"))] == NAMES
    assert all(f"({name}.ipynb)" in index for name in NAMES)
