"""Standard output that cannot be written: `ntm-lab … | head` is no error, and a full disk costs the output only."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ntm_lab.cli.output import lasting_output

FULL = Path("/dev/full")
LOST = r"^standard output cannot be written \(No space left on device\): some of it is lost, nothing else is$"
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


@needs_full
def test_work_goes_on_and_a_line_says_that_its_output_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit, match=LOST), lasting_output():
            for step in range(3):
                print(step, flush=True)
                steps.append(step)
        assert sys.stdout is full
    assert steps == [0, 1, 2]


def test_output_that_can_be_written_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with lasting_output():
        print("a table")
    assert out.getvalue() == "a table\n" and sys.stdout is out


def test_an_error_of_the_work_itself_is_not_hidden() -> None:
    with pytest.raises(FileNotFoundError), lasting_output():
        Path("nowhere").read_text()


PROGRAM = "from ntm_lab.cli import main; raise SystemExit(main())"


@pytest.mark.slow
def test_a_closed_pipe_ends_without_a_traceback() -> None:
    program = [sys.executable, "-c", PROGRAM, "models", "copy-ntm-lstm"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.slow
@needs_full
def test_a_run_whose_output_is_lost_keeps_its_results(tiny_ntm: list[str], tmp_path: Path) -> None:
    program = [sys.executable, "-c", PROGRAM, "train", *tiny_ntm, f"hydra.run.dir={tmp_path / 'run'}"]
    with FULL.open("w") as full:
        ended = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and re.match(LOST, ended.stderr.splitlines()[-1])
    assert "Traceback" not in ended.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["sequences"] == 24
