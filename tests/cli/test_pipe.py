"""`ntm-lab … | head`: a reader that has seen enough is no error."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_a_closed_pipe_ends_without_a_traceback() -> None:
    code = "from ntm_lab.cli import main; raise SystemExit(main())"
    program = [sys.executable, "-c", code, "models", "copy-ntm-lstm"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
