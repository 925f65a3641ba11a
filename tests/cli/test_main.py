"""`ntm-lab` by itself: its help, its version, and the help of every command."""

import re

import pytest

import ntm_lab
from ntm_lab.cli import COMMANDS, main

METAVARS = {
    "MODEL",
    "FOLDER",
    "FILE",
    "N",
    "STUDY",
    "AXIS=VALUE",
    "AXIS=VALUES",
    "PACKAGE",
    "BITS",
    "KEY[,KEY]",
    "KEY=VALUE",
}


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=["alone", "help"])
def test_help_has_a_line_for_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if arguments:
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
    else:
        assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in COMMANDS] == [*COMMANDS]
    assert max(map(len, lines)) <= 120


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ntm_lab {ntm_lab.__version__}\n"


def test_an_unknown_command_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["compere"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert "'compere'" in line and all(name in line for name in COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])  # whose help is Hydra's
def test_commands_call_the_same_things_by_the_same_names(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    usage = capsys.readouterr().out.split("\n\n")[0].partition(command)[2]
    named = {*re.findall(r"[A-Z][A-Z=]+(?:\[,KEY\])?|\bN\b", usage)}
    assert named <= METAVARS
