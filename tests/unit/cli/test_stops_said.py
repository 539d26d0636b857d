"""Ctrl-C and SIGTERM: the words that say how to go on reach the terminal, with the exit code that shells expect."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import convscope.actions.scan
from convscope.cli.app import run
from convscope.training.signals import TrainingStopped


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    def stopped(*_: object, **__: object) -> None:
        stop = TrainingStopped(number)
        stop.name_run(Path("runs/a"), has_checkpoint=True)
        raise stop

    monkeypatch.setattr(convscope.actions.scan, "scan", stopped)
    assert run(["scan", "anywhere"]) == code
    words = "convscope: training stopped with a checkpoint; go on with: convscope train --resume runs/a"
    assert capsys.readouterr().err.strip() == words


def test_any_other_stop_is_one_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convscope.actions.scan, "scan", stopped)
    assert run(["scan", "anywhere"]) == 130
    assert capsys.readouterr().err == "convscope: stopped\n"
