"""`convscope models` and `convscope doctor` at 80 columns: nothing is cut, nothing wraps within a word."""

from __future__ import annotations

import json

import pytest

from convscope.actions import doctor as examination
from convscope.actions.catalogue import list_models
from convscope.actions.doctor import BackendHealth, Health
from convscope.cli.app import run


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_every_network_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    entries = list_models()
    assert len(entries) >= 30
    for entry in entries:
        (line,) = [line for line in lines if line.split()[:1] == [entry.name]]
        assert f"{entry.height}×{entry.width}" in line
        assert line.split()[3] in ("here", "absent", "none:")


def test_json_names_the_file_of_absent_weights(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert run(["models", "--json"]) == 0
    weights = {row["name"]: row["weights"] for row in json.loads(capsys.readouterr().out)}
    assert weights["resnet50"] == "absent (resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5)"
    assert weights["simple-cnn"].startswith("none")


def test_doctor_shows_rates_and_reasons(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = (
        BackendHealth("tensorflow", "works", "2.21.0", ("CPU",), 12.34, 1653.2, 159.7, 88.2),
        BackendHealth("jax", "fails", "0.10.2", note="no answer within 120 s; is the machine busy?"),
        BackendHealth("torch", "not installed", note="pip install 'convscope[torch]'"),
    )
    health = Health("3.11.7", 2, found, {"imagecodecs": False}, "tensorflow trains fastest here.")
    monkeypatch.setattr(examination, "examine", lambda progress: health)
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith("tensorflow ") and "works" in line]
    assert row.split() == ["tensorflow", "2.21.0", "works", "CPU", "12.3", "1.65e+03", "160", "88.2"]
    assert "jax: no answer within 120 s; is the machine busy?" in lines
    assert "torch: pip install 'convscope[torch]'" in lines
    assert "imagecodecs: not installed" in lines
    assert lines[-1] == "tensorflow trains fastest here."
