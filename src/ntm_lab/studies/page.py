"""The files of a study: its table, its figure, its facts, and the page that shows all of them.

In one folder: ``<study>.csv``, the table that all else is made from; ``<study>.png``; ``<study>.json``, the claim, the
verdict, the lines below the figure, and what it took; and the page, such as ``report.md``, made of the JSON files that
are there.
"""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ntm_lab.files import write_whole
from ntm_lab.runs.folder import RESULTS
from ntm_lab.studies.pages import PAGES
from ntm_lab.studies.study import Study, Verdict
from ntm_lab.studies.tables import markdown, markdown_of

Facts = dict[str, Any]


def measure(study: Study, folders: Mapping[str, Path], full: bool, out: Path, made: Facts) -> None:
    """Write the table of a study, out of the folders of its sweeps, and what it took.

    Args:
        made: the ``command``, the ``cores`` the sweeps used, and a line for each job that ``failed``.
    """
    write_whole(out / f"{study.name}.csv", study.measure(folders, full).to_csv(index=False))
    results = [json.loads(path.read_text()) for folder in folders.values() for path in folder.rglob(RESULTS)]
    took = {
        "date": datetime.now(UTC).date().isoformat(),
        "runs": len(results),
        "seeds": len({result["seed"] for result in results}),
        "seconds": sum(result["seconds"] for result in results),  # of training, summed over the runs
    }
    _write_facts(out, {"name": study.name} | made | took)


def draw(study: Study, out: Path) -> Verdict:
    """Make figure, verdict and page from the table of a study.

    Raises FileNotFoundError if there is no table yet.
    """
    path = out / f"{study.name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: is not there yet; `ntm-lab reproduce {study.name}` makes it")
    # only an empty field is a missing value: "None" and "null" may be names of settings
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    if study.draw is not None:
        study.draw(table).savefig(out / f"{study.name}.png")
    verdict = study.judge(table)
    facts: Facts = json.loads((out / f"{study.name}.json").read_text())
    facts |= (
        {"claim": study.claim, "figure": study.draw is not None} | verdict._asdict() | {"parts": dict(verdict.parts)}
    )
    _write_facts(out, facts | {"summary": markdown_of(study.summarise(table))})
    write_page(study.page, out)
    return verdict


def file_of(page: str, out: Path) -> Path:
    """Where a page is written."""
    return out / f"{page}.md"


def write_page(page: str, out: Path) -> None:
    """A page of all its studies that have been made in a folder."""
    made: list[Facts] = [
        json.loads(path.read_text()) for name in PAGES[page].NAMES if (path := out / f"{name}.json").is_file()
    ]
    made = [facts for facts in made if "outcome" in facts]  # the others were stopped before the verdict
    contents = [
        [f"[{facts['name']}](#{facts['name']})", facts["claim"], f"**{facts['outcome']}**{_parts(facts)}"]
        for facts in made
    ]
    parts = [
        f"# {PAGES[page].TITLE} ({out.name} form)",
        "Every section was made by the command below it: runs over seeds, table, figure and verdict. The command with"
        " `--redraw` makes it again from the table alone.",
        *([note] if (note := getattr(PAGES[page], "NOTE", "")) else []),
        markdown(["", "asked or claimed", "verdict"], contents),
        *(_section(facts) for facts in made),
    ]
    write_whole(file_of(page, out), "\n\n".join(parts) + "\n")


def publish(page: str, out: Path, target: Path) -> None:
    """Write a page to a file elsewhere, its pictures and tables into a folder of the same name beside it."""
    beside = target.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    text = file_of(page, out).read_text()
    for part in (f"{name}{suffix}" for name in PAGES[page].NAMES for suffix in (".png", ".csv")):
        if f"({part})" in text:
            shutil.copy(out / part, beside)
            text = text.replace(f"({part})", f"({beside.name}/{part})")
    write_whole(target, text)


def _section(facts: Facts) -> str:
    name, failed = facts["name"], facts["failed"]
    cores = f"{facts['cores']} core{'s' * (facts['cores'] > 1)}"
    took = (
        f"`{facts['command']}`, {facts['date']}: {facts['runs']} runs of {facts['seeds']} seeds,"
        f" {facts['seconds']:,.0f} s of training in all on {cores}. Table: [{name}.csv]({name}.csv)"
    )
    return "\n\n".join(
        [
            f"## {name}",
            f"> {facts['claim']}",
            *([f"![{name}]({name}.png)"] if facts.get("figure", True) else []),
            facts["summary"],
            f"**{facts['outcome'].capitalize()}**{_parts(facts)}: {facts['sentence']}",
            *(["What failed:", "\n".join(f"- {line}" for line in failed)] if failed else []),
            took,
        ]
    )


def _parts(facts: Facts) -> str:
    """The outcome of each part of the claim, in brackets, if they differ."""
    parts = facts.get("parts", {})
    listed = "; ".join(f"{part}: {outcome}" for part, outcome in parts.items())
    return f" ({listed})" if len({*parts.values()}) > 1 else ""


def _write_facts(out: Path, facts: Facts) -> None:
    write_whole(out / f"{facts['name']}.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
