"""The examination of back ends: each in a process of its own, whatever happens there."""

from __future__ import annotations

import json
import subprocess

import pytest

from convscope.actions import doctor
from convscope.actions.doctor import examine

FACTS = {"devices": ["CPU"], "import_s": 2.0, "predict_per_s": 400.0}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the process of each back end does: text on standard output, or the error it ends with."""
    outcome: dict[str, object] = {}

    def run(command: list[str], *, env: dict[str, str], timeout: float, **_: object) -> subprocess.CompletedProcess:
        assert command[-1] == "convscope.backend.speed" and timeout == doctor.TIMEOUT_S
        result = outcome[env["KERAS_BACKEND"]]
        if isinstance(result, Exception):
            raise result
        return subprocess.CompletedProcess(command, 0, stdout=str(result), stderr="")

    monkeypatch.setattr(doctor.subprocess, "run", run)
    monkeypatch.setattr(doctor, "installed", lambda: list(outcome))
    return outcome


def by_name(health: doctor.Health) -> dict[str, doctor.BackendHealth]:
    return {b.name: b for b in health.backends}


def test_the_fastest_is_recommended_with_its_lead(programs: dict[str, object]) -> None:
    programs["tensorflow"] = "noise of a library\n" + json.dumps({**FACTS, "train_per_s": 50.0})
    programs["jax"] = json.dumps({**FACTS, "train_per_s": 150.0})
    told: list[tuple[str, int, int]] = []
    health = examine(progress=lambda *step: told.append(step))
    assert health.advice == "jax trains fastest here: 3 times tensorflow."
    assert by_name(health)["jax"].devices == ("CPU",) and by_name(health)["jax"].train_per_s == 150.0
    absent = by_name(health)["torch"]
    assert absent.state == "not installed" and absent.note == "pip install 'convscope[torch]'"
    assert told[0][1:] == (0, 3) and told[-1][1:] == (3, 3)


def test_another_back_end_for_depthwise_networks(programs: dict[str, object]) -> None:
    programs["tensorflow"] = json.dumps({**FACTS, "train_per_s": 50.0, "depthwise_per_s": 90.0})
    programs["jax"] = json.dumps({**FACTS, "train_per_s": 150.0, "depthwise_per_s": 30.0})
    assert examine().advice == (
        "jax trains fastest here: 3 times tensorflow. For networks with depthwise convolutions (EfficientNet, "
        "MobileNet) take tensorflow: 3 times jax."
    )


def test_a_back_end_that_fails_says_why_and_is_not_recommended(programs: dict[str, object]) -> None:
    noise = "Traceback (most recent call last):\n  ...\nImportError: libcudnn.so.9 is missing"
    programs["tensorflow"] = subprocess.CalledProcessError(1, ["python"], stderr=noise)
    programs["jax"] = subprocess.TimeoutExpired(["python"], doctor.TIMEOUT_S)
    programs["torch"] = "no figures at all"
    health = examine()
    found = by_name(health)
    assert {name: b.state for name, b in found.items()} == {"tensorflow": "fails", "jax": "no answer", "torch": "fails"}
    assert found["tensorflow"].note == "ImportError: libcudnn.so.9 is missing"
    assert f"no answer within {doctor.TIMEOUT_S} s" in found["jax"].note
    assert found["torch"].note == "it printed no figures"
    assert "too busy" in health.advice  # an installed back end may well work


def test_the_advice_where_none_works(programs: dict[str, object]) -> None:
    assert examine().advice == "No back end is installed; run: pip install 'convscope[cpu]'"
    programs["jax"] = "no figures at all"
    assert examine().advice == "No installed back end works here; the reasons stand above."


def test_a_process_that_dies_in_silence(programs: dict[str, object]) -> None:
    programs["torch"] = subprocess.CalledProcessError(-9, ["python"], stderr="")
    assert by_name(examine())["torch"].note == "it ended without a word"
