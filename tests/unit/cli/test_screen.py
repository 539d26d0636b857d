"""What the terminal shows: plain lines in logs, bars on terminals, tables that keep to the screen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from convscope.actions.predict import as_rows
from convscope.cli import screen
from convscope.cli.results import scored_row, show_predictions, show_rows
from convscope.records.prediction import Predictions, Scored
from convscope.records.progress import within


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(screen, "time", clock)
    return clock


def test_a_log_gets_a_line_every_few_seconds_with_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with screen.progress() as tell:
        for done in range(101):
            tell("scan pictures", done, 100)
            clock.now += 0.5
    lines = capsys.readouterr().err.splitlines()
    assert 8 <= len(lines) <= 12  # 50 seconds, a line every five
    assert lines[0] == "scan pictures: 10 of 100, 45 s left"
    assert lines[-1] == "scan pictures: 100 of 100, took 50 s"
    assert sum("took" in line for line in lines) == 1


def test_the_end_is_said_once_and_steps_are_timed_apart(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with screen.progress() as tell:
        tell("a", 0, 2)
        clock.now += 30
        tell("b", 0, 4)
        tell("a", 2, 2)
        tell("a", 2, 2)
        clock.now += 10
        tell("b", 1, 4)
    assert capsys.readouterr().err.splitlines() == ["a: 2 of 2, took 30 s", "b: 1 of 4, 30 s left"]


def test_a_step_that_goes_on_in_the_middle_counts_its_own_pace(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with screen.progress() as tell:
        tell("train", 91, 100)
        clock.now += 10
        tell("train", 95, 100)
        tell("train, epoch 2/2: loss 0.5", 0, 0)
    assert capsys.readouterr().err.splitlines() == ["train: 95 of 100, 10 s left", "train, epoch 2/2: loss 0.5"]


def test_like_parts_each_show_their_steps_and_end_what_they_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with screen.progress() as tell:
        for number, done in ((0, 4), (1, 2), (2, 4)):
            with suppress(ValueError), within(f"trial {number}", tell) as told:
                told("train", 0, 4)
                clock.now += 10
                told("train", done, 4)
                told("train, epoch 1/1: loss 0.5", 0, 0)
                if done < 4:
                    raise ValueError("given up")
        with suppress(KeyboardInterrupt), within("trial 3", tell) as told:
            told("train", 0, 4)
            raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines() == [
        "trial 0, train: 4 of 4, took 10 s",
        "trial 0, train, epoch 1/1: loss 0.5",
        "trial 1, train: 2 of 4, 10 s left",
        "trial 1, train, epoch 1/1: loss 0.5",
        "trial 1, train: 2 of 2, took 10 s",
        "trial 2, train: 4 of 4, took 10 s",
        "trial 2, train, epoch 1/1: loss 0.5",
    ]


BARS = """
from convscope.cli.screen import progress
with progress() as tell:
    for epoch in range(60):
        tell(f"step {epoch}", 0, 2)
        tell(f"step {epoch}", 2, 2)
        tell(f"remark [{epoch}]", 0, 0)
    tell("train", 1, 4)
"""


def test_bars_that_are_done_make_room_on_a_terminal() -> None:
    """Sixty steps on 25 lines: each that is done is one plain line above, the one under way is in sight."""
    out = escapes(BARS, FORCE_COLOR="1", TERM="xterm-256color", LINES="25", COLUMNS="80")[1].decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out).replace("\r", "\n").splitlines()
    lines = [line.strip() for line in plain if line.strip()]
    for epoch in range(60):
        assert lines.count(f"step {epoch}: 2 of 2, took 0 s") == 1 and lines.count(f"remark [{epoch}]") == 1
    assert lines[-1].startswith("train ") and "1/4" in lines[-1] and "…" not in out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert screen.duration(seconds) == words


def test_numbers_in_words() -> None:
    assert [screen.percent(v) for v in (None, 0.12345, 1.0)] == ["–", "12.3 %", "100 %"]
    assert [screen.number(v) for v in (None, -0.5, 1234.5)] == ["–", "−0.5", "1.23e+03"]


def test_scores_that_are_no_shares_are_numbers() -> None:
    assert scored_row("hausdorff_95_mm", Scored(3.5, 2.0, 5.0)) == ("Hausdorff distance 95 %, mm", "3.5", "2 to 5")
    assert scored_row("brier", Scored(0.25, 0.0, 0.5)) == ("Brier score", "0.25", "0 to 0.5")
    assert scored_row("macro_f1", Scored(0.5, 0.25, 0.75)) == ("F1, mean over classes", "50 %", "25 % to 75 %")


def test_prose_keeps_to_the_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    words = "one picture in three is a copy of another " * 5
    screen.prose(words, indent=2)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("  ") and len(line) <= 50 for line in lines)
    assert " ".join(" ".join(lines).split()) == words.strip()


def test_tables_take_any_text_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen.table("Classes", ("class", "pictures"), [("[bold]cat[/bold]", 7), (":smile:", 1234)], right=(1,))
    out = capsys.readouterr().out
    assert "[bold]cat[/bold]" in out and ":smile:" in out
    rows = out.splitlines()
    assert rows[-1].rstrip().endswith("1234") and rows[-2].rstrip().endswith("   7")


def test_of_many_classes_only_the_next_ones_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    scores = np.array([[0.02, 0.5, 0.08, 0.3, 0.04, 0.06]], np.float32)
    show_predictions(Predictions(("pictures/one.png",), scores, "classify", tuple("abcdef")))
    row = next(line for line in capsys.readouterr().out.splitlines() if "one.png" in line)
    assert row.split() == ["one.png", "b", "0.5", "d", "0.3,", "c", "0.08,", "f", "0.06"]
    show_rows(as_rows(Predictions(("a/one.png", "b/one.png"), np.repeat(scores, 2, 0), "classify", tuple("abcdef"))))
    out = capsys.readouterr().out
    assert "a/one.png" in out and "b/one.png" in out and "p(f)" not in out, "as predict prints them"
    show_predictions(Predictions(("pictures/one.png",), scores[:, :3], "classify", tuple("abc")))
    assert "p(c)" in capsys.readouterr().out


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    screen.say_json({"path": Path("a"), "share": np.float32(0.5), "n": np.int64(3), "name": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"path": "a", "share": 0.5, "n": 3, "name": "é"}
    assert "é" in out


CODE = """
from convscope.cli.screen import progress, say, table
say("words", bold=True)
table("Title", ("a",), [("b",)])
with progress() as tell:
    for i in range(4):
        tell("step", i, 3)
"""


def escapes(code: str = CODE, **environment: str) -> tuple[bytes, bytes]:
    """What a program of its own writes to pipes."""
    import os

    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={**clean, **environment})
    return done.stdout, done.stderr


def test_a_pipe_gets_no_escape_codes() -> None:
    out, err = escapes()
    assert b"\x1b" not in out + err
    assert err.splitlines() == [b"step: 3 of 3, took 0 s"]


def test_no_color_is_obeyed_where_colours_would_be() -> None:
    forced, _ = escapes(FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[1m" in forced  # or the next line tests nothing
    out, _ = escapes(FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert not any(b"\x1b[%dm" % code in out for code in (*range(30, 38), *range(90, 98)))
