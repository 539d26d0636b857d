"""Bad input of `convscope tune`: exit code 2 and one line each, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from backends.pictures import bars
from convscope.cli.app import run
from convscope.tuning.study import open_storage, open_study
from reliability.killing import wait_for

pytestmark = pytest.mark.backend

PLAN = 'model = "simple-cnn"\nweights = "none"\nimage_size = 32\nfilters = [4]\nbatch_size = 8\nepochs = 1\n'


@pytest.fixture
def base(tmp_path: Path) -> list[str]:
    bars(tmp_path / "p", per_class=12)
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "space.toml").write_text("dropout = {low = 0.0, high = 0.5}\n")
    return ["tune", str(tmp_path / "p"), "--plan", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "s")]


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *argv: str) -> str:
    capsys.readouterr()
    assert run(argv) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if line.startswith("convscope: ")]
    assert len(lines) == 1
    assert not (tmp_path / "s" / "study.toml").exists()
    return lines[0]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("", "space is empty"),
        ("drpout = {low = 0.0, high = 0.5}", "did you mean dropout"),
        ("dropout = {low = 0.5, high = 0.1}", "low below high"),
        ("dropout = {low = 0.5, high = 2}", "dropout = 2.0 can't stand"),
        ("batch_size = {choices = [8, 100000]}", "batch_size"),
        ("dropout = {low = ", "space.toml"),
    ],
)
def test_a_space_that_can_not_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, base: list[str], space: str, words: str
) -> None:
    (tmp_path / "space.toml").write_text(space)
    assert words in refused(capsys, tmp_path, *base, "--space", str(tmp_path / "space.toml"))


def test_options_that_can_not_work(capsys: pytest.CaptureFixture[str], tmp_path: Path, base: list[str]) -> None:
    space = ("--space", str(tmp_path / "space.toml"))
    assert "--space FILE" in refused(capsys, tmp_path, *base)
    assert "did you mean asha" in refused(capsys, tmp_path, *base, *space, "--method", "ash")
    assert "add step" in refused(capsys, tmp_path, *base, *space, "--method", "grid")
    assert "trials of at least 1" in refused(capsys, tmp_path, *base, *space, "--trials", "0")
    assert "jobs of at least 1" in refused(capsys, tmp_path, *base, *space, "--jobs", "0")
    storage = ("--storage", f"sqlite:///{tmp_path}/no/folder/study.db")
    assert "after 3 tries" in refused(capsys, tmp_path, *base, *space, *storage)
    assert "expected a study" in refused(capsys, tmp_path, "tune", "--resume", str(tmp_path / "none"))
    assert "no.toml" in refused(capsys, tmp_path, *base, "--space", str(tmp_path / "no.toml"))


@pytest.mark.slow
def test_two_processes_share_one_study(tmp_path: Path, base: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*base, "--space", str(tmp_path / "space.toml"), "--method", "random", "--trials", "5", "--jobs", "2"]
    assert run([*argv, "--reruns", "1"]) == 0
    assert "5 complete" in capsys.readouterr().out
    trials = sorted(p.name for p in (tmp_path / "s" / "trials").iterdir() if p.is_dir())
    assert trials == ["0000", "0001", "0002", "0003", "0004"]
    assert all((tmp_path / "s" / "trials" / name / "model.cvs").is_dir() for name in trials)


def processes_that_name(words: str) -> list[int]:
    """Processes of this machine whose command line holds these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are looked for in /proc")
def test_processes_of_a_killed_study_end_after_their_trials(tmp_path: Path, base: list[str]) -> None:
    argv = [*base, "--space", str(tmp_path / "space.toml"), "--method", "random", "--trials", "500", "--jobs", "2"]
    study = subprocess.Popen(
        [sys.executable, "-m", "convscope", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(list((tmp_path / "s" / "trials").glob("0*/journal.jsonl"))) >= 2, 240)
    study.kill()
    study.wait()
    wait_for(lambda: not processes_that_name(str(tmp_path / "s")), 120)
    trials = open_study(
        open_storage(tmp_path / "s"), method="random", is_rising=False, seed=0, epochs=1
    ).get_trials()  # fmt: skip
    assert 2 <= len(trials) < 500
    assert all(t.state.is_finished() for t in trials)
