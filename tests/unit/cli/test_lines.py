"""Every mistake on the command line is one line on standard error and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from convscope.cli.app import one_line, run


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = run(argv)
    out = capsys.readouterr()
    lines = out.err.strip().splitlines()
    assert len(lines) <= 1, out.err
    return code, lines[0] if lines else ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("scan", "/nowhere/at/all"), "found nothing there"),
        (("train",), "expected DATA"),
        (("train", "x", "--epoch", "3"), "Did you mean --epochs?"),
        (("train", "x", "--epochs", "-3"), "epochs"),
        (("train", "x", "--fit", "lettrbox"), "letterbox"),
        (("train", "x", "--augment.hue", "3"), "augment.hue"),
        (("train", "x", "--plan", "/nowhere/plan.toml"), "plan.toml"),
        (("evaluate", "nowhere"), "no such run folder"),
        (("--backend", "theano", "models"), "unknown back end"),
        (("--backend",), "unknown back end"),
        (("trian", "x"), "train"),
        (("demo", "sells"), "cells"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    argv: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = said(capsys, *argv)
    assert code == 2
    assert line.startswith("convscope: ")
    assert words in line
    assert "Traceback" not in line
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert one_line("a\nb \x1b[31mred\x1b[0m c") == "a b \\x1b[31mred\\x1b[0m c"


def test_help_of_every_command_loads_no_framework() -> None:
    code = (
        "import sys\nfrom convscope.cli.app import COMMANDS, run\n"
        "for name in COMMANDS:\n    run([name, '--help'])\n"
        "print('LOADED', sorted(m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "LOADED []"
    assert done.stderr == ""


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convscope", "scan", str(tmp_path / "none"), "--debug"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_plan_template_reads_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from convscope.training.plan import Plan

    assert run(["plan", "--out", str(tmp_path / "plan.toml")]) == 0
    assert Plan.from_toml(tmp_path / "plan.toml") == Plan()
    assert run(["plan"]) == 0
    printed = capsys.readouterr().out
    assert "batch_size" in printed
    assert "# " in printed
