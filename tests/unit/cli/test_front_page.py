"""The list of commands: whole, within the screen, and there before any heavy import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convscope.cli.app import COMMANDS, HEADINGS, HELP, run
from convscope.cli.front_page import asks_for_front_page, front_page


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_every_command_is_listed_within_the_screen(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = front_page("Words.", COMMANDS, HEADINGS).splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert listed == list(COMMANDS)
    shown = " ".join(" ".join(lines).split())
    assert all(purpose in shown for _, purpose in COMMANDS.values())
    assert max(len(line) for line in lines[:-1]) <= min(columns, 100)


def test_headings_name_commands_and_the_page_fits_80_columns() -> None:
    assert HEADINGS.keys() <= COMMANDS.keys()
    assert max(len(line) for line in front_page(HELP, COMMANDS, HEADINGS).splitlines()) <= 80


@pytest.mark.parametrize("argv", [(), ("--help",), ("-h",), ("--debug", "--help")])
def test_all_ways_of_asking(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 0
    out = capsys.readouterr()
    assert "convscope scan pictures/" in out.out
    assert out.err == ""


def test_a_command_s_own_help_is_not_the_list() -> None:
    assert not asks_for_front_page(["scan", "--help"])
    assert not asks_for_front_page(["--version"])


def test_the_page_needs_neither_the_parser_nor_a_framework() -> None:
    code = (
        "import sys\nfrom convscope.cli.app import run\nrun(['--help'])\n"
        "heavy = {'cyclopts', 'rich', 'numpy', 'keras', 'PIL'} & set(sys.modules)\n"
        "sys.stderr.write(' '.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "convscope scan" in done.stdout


def test_a_command_s_help_flows_over_the_line_breaks_of_the_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["predict", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: convscope predict")
    assert "NIfTI and DICOM SEG); without it only the" in out  # one line; the source breaks it after DICOM
