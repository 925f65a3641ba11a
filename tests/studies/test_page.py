"""The page of a folder of studies: tables that survive their file, facts, figures, and the Markdown of it all."""

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ntm_lab.studies import Study, Verdict, page, pages, report
from ntm_lab.studies.study import NOT_REPRODUCED, REPRODUCED, verdict_of_parts
from ntm_lab.studies.tables import markdown_of

MADE = {"command": "ntm-lab reproduce figure5", "cores": 2, "failed": []}
TABLE = pd.DataFrame(
    {
        "arm": ["None", "a|b"],
        "runs": [12345, 3],
        "bits": [0.1 + 0.2, 4321.5],
        "seconds": [None, 1e-5],
        "solved": [True, False],
    }
)


def draw(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(2, 1), dpi=100)
    figure.subplots().plot(table["bits"])
    return figure


def judge(table: pd.DataFrame) -> Verdict:
    bits = float(table["bits"].iloc[0])
    return Verdict(REPRODUCED if bits < 1 else NOT_REPRODUCED, f"{bits!r} bits of {len(table)} runs.")


def study(name: str, table: pd.DataFrame = TABLE, **changed: object) -> Study:
    parts = {"measure": lambda folders, full: table, "draw": draw, "judge": judge, "summarise": lambda table: table}
    return Study(name, claim=f"What {name} claims.", sweeps=("tiny",), **(parts | changed))  # type: ignore[arg-type]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "quick"
    folder.mkdir()
    return folder


@pytest.fixture
def make(finished: Path, out: Path) -> Callable[..., Verdict]:
    """Measure and draw a study of one run."""

    def made(made_up: Study, **facts: object) -> Verdict:
        page.measure(made_up, {"tiny": finished.parent}, False, out, MADE | facts)
        return page.draw(made_up, out)

    return made


def test_a_table_survives_its_file(make: Callable[..., Verdict]) -> None:
    seen: list[pd.DataFrame] = []
    make(study("figure5", judge=lambda table: seen.append(table) or Verdict(REPRODUCED, "")))
    pd.testing.assert_frame_equal(seen[0], TABLE.astype({"seconds": float}), check_exact=True)


def test_measure_is_told_where_the_runs_are_and_which_form(finished: Path, out: Path) -> None:
    told: list[object] = []
    page.measure(study("init", measure=lambda *given: told.extend(given) or TABLE), {"tiny": finished}, True, out, MADE)
    assert told == [{"tiny": finished}, True]


def test_facts_are_those_of_the_runs(make: Callable[..., Verdict], out: Path, finished: Path) -> None:
    assert make(study("figure5")) == Verdict(REPRODUCED, "0.30000000000000004 bits of 2 runs.")
    facts = json.loads((out / "figure5.json").read_text())
    seconds = json.loads((finished / "results.json").read_text())["seconds"]
    assert facts.items() >= (MADE | {"runs": 1, "seeds": 1, "seconds": seconds}).items()
    assert facts["outcome"] == REPRODUCED and facts["claim"] == "What figure5 claims."
    assert matplotlib.image.imread(out / "figure5.png").shape == (100, 200, 4)


def test_parts_are_told_where_their_outcomes_differ(make: Callable[..., Verdict], out: Path) -> None:
    for second, told in ((NOT_REPRODUCED, f" (one: {REPRODUCED}; other: {NOT_REPRODUCED})"), (REPRODUCED, "")):
        verdict = verdict_of_parts({"one": REPRODUCED, "other": second}, "All said.")
        make(study("init", judge=lambda table, verdict=verdict: verdict))
        text = (out / "report.md").read_text()
        assert f"| **{verdict.outcome}**{told} |" in text
        assert f"**{verdict.outcome.capitalize()}**{told}: All said." in text


def test_the_page_tells_all(make: Callable[..., Verdict], out: Path) -> None:
    make(study("init", TABLE.assign(bits=5.0)), failed=["tiny: seed=3 failed: no space left"])
    make(study("figure5"))
    text = (out / "report.md").read_text()
    date = json.loads((out / "init.json").read_text())["date"]
    sections = text.split("\n## ")
    assert [section.split("\n")[0] for section in sections] == [
        *("# The report, reproduced (quick form)", "figure5", "init")  # in the order of all studies
    ]
    assert report.NAMES.index("figure5") < report.NAMES.index("init")
    assert "| [init](#init) | What init claims. | **not reproduced** |" in sections[0]
    assert sections[1].split("\n\n")[1:3] == ["> What figure5 claims.", "![figure5](figure5.png)"]
    assert "**Reproduced**: 0.30000000000000004 bits of 2 runs." in sections[1]
    assert f"`ntm-lab reproduce figure5`, {date}: 1 runs of 1 seeds, " in sections[1]
    assert "of training in all on 2 cores. Table: [figure5.csv](figure5.csv)" in sections[1]
    assert "- tiny: seed=3 failed: no space left" in sections[2]
    assert "failed" not in sections[1]
    for link in ("figure5.png", "figure5.csv", "init.png", "init.csv"):
        assert (out / link).is_file()


def test_a_study_may_do_without_a_figure(make: Callable[..., Verdict], out: Path) -> None:
    make(study("length20", draw=None))
    assert not (out / "length20.png").exists() and "length20.png" not in (out / "report.md").read_text()


def test_a_table_in_markdown() -> None:
    assert markdown_of(TABLE).split("\n") == [
        "| arm | runs | bits | seconds | solved |",
        "| --- | ---: | ---: | ---: | --- |",
        "| None | 12,345 | 0.3 | – | True |",
        r"| a\|b | 3 | 4,322 | 1e-05 | False |",
    ]


def test_drawn_again_the_verdict_is_that_of_the_table(make: Callable[..., Verdict], out: Path) -> None:
    make(study("figure5"), command="as it was made")
    (out / "figure5.csv").write_text((out / "figure5.csv").read_text().replace("0.30000000000000004", "7.5"))
    assert page.draw(study("figure5"), out) == Verdict(NOT_REPRODUCED, "7.5 bits of 2 runs.")
    text = (out / "report.md").read_text()
    assert "**Not reproduced**: 7.5 bits" in text and "**reproduced**" not in text
    assert "`as it was made`" in text


def test_what_was_not_measured_cannot_be_drawn(out: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"figure5\.csv: is not there yet; .*reproduce figure5. makes it"):
        page.draw(study("figure5"), out)


def test_what_was_stopped_before_its_verdict_is_not_on_the_page(
    make: Callable[..., Verdict], out: Path, finished: Path
) -> None:
    page.measure(study("init"), {"tiny": finished}, False, out, MADE)
    make(study("figure5"))
    assert "init" not in (out / "report.md").read_text()


def test_published_elsewhere_the_page_keeps_its_pictures_and_tables(
    make: Callable[..., Verdict], out: Path, tmp_path: Path
) -> None:
    make(study("figure5"))
    page.publish("report", out, tmp_path / "docs/answers.md")
    beside = tmp_path / "docs/answers"
    assert {path.name for path in beside.iterdir()} == {"figure5.png", "figure5.csv"}
    assert (beside / "figure5.csv").read_bytes() == (out / "figure5.csv").read_bytes()
    text = (tmp_path / "docs/answers.md").read_text()
    assert "![figure5](answers/figure5.png)" in text and "[figure5.csv](answers/figure5.csv)" in text
    assert text.replace("](answers/", "](") == page.file_of("report", out).read_text()


def test_another_page_has_its_own_title_and_file(make: Callable[..., Verdict], out: Path) -> None:
    make(study("figure5"))
    make(study("repairs", page="machines"))
    assert (out / "machines.md").read_text().startswith("# The machines, compared (quick form)")
    assert "## repairs" in (out / "machines.md").read_text() and "## figure5" not in (out / "machines.md").read_text()
    assert "## figure5" in (out / "report.md").read_text() and "## repairs" not in (out / "report.md").read_text()


def test_every_study_is_found_by_its_name_and_stands_on_its_page() -> None:
    for page_of_all in pages.PAGES:
        found = pages.find_studies([page_of_all])
        assert tuple(one.name for one in found) == pages.PAGES[page_of_all].NAMES
        assert {one.page for one in found} == {page_of_all}
    assert pages.find_studies(["figure3", "all", "figure2"])[0].name == "figure2"
    assert pages.find_studies(["all"]) == pages.find_studies(["report"])
    with pytest.raises(ValueError, match="one page at a time, not of report and machines"):
        pages.find_studies(["figure5", "repairs"])
