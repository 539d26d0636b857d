"""A run keeps how its layers learn: in the journal, in the verdicts, in the report; and can do without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convscope
from convscope.actions.predict import read_predictions
from convscope.actions.report import build_report
from convscope.errors import RunError
from convscope.training.plan import Plan

pytestmark = pytest.mark.backend


def deep(activation: str) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    hidden = [layers.Conv2D(4, 3, padding="same", activation=activation, name=f"conv{i}") for i in range(9)]
    pooled = layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((8, 8, 1)), *hidden, pooled, layers.Dense(2, "softmax", name="dense")])


def trained(folder: Path, **changes: Any) -> Any:
    y = np.arange(40) % 2
    x = np.random.default_rng(0).random((40, 8, 8, 1)).astype(np.float32) * 0.3
    x[y == 1, 2:6] += 0.6
    plan = Plan(epochs=4, batch_size=20, patience=0, test_share=0, watch_pictures=0, **changes)
    return convscope.train((x, y), model=deep("sigmoid"), plan=plan, out=folder)


def test_a_vanishing_gradient_is_in_journal_verdicts_and_report(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    events = [e for e in run.events if e["event"] == "layers"]
    assert [e["epoch"] for e in events] == [1, 2, 3, 4]
    first = {layer["layer"]: layer for layer in events[0]["layers"]}
    assert first["conv0"]["gradient_norm"] < 1e-3 * first["dense"]["gradient_norm"]
    assert first["conv0"]["saturated"] is not None and first["dense"]["update_ratio"] > 0
    verdict = next(v for v in run.verdicts if v.kind == "vanishing-gradients")
    assert "conv0" in verdict.detail and verdict.numbers["layers"] >= 1
    section = next(s for s in build_report(run).sections if s.name == "layers-learning")
    assert section.words[0][0].startswith("The gradient vanishes in ")
    assert any("kernels began" in title for title, _ in section.words)
    the_pictures_that_were_kept_back_are_laid_out(run)


def the_pictures_that_were_kept_back_are_laid_out(run: Any) -> None:
    """As the last layer with height and width sees them: its channels' means, centred, along their main directions."""
    facts = json.loads((run.path / "embedding.json").read_text())
    assert facts["layer"] == run.card.feature_layer == "conv8"
    said = read_predictions(run.path)
    assert facts["pictures"] == list(said.keys) and facts["truth"] == said.truth.tolist() and len(said.keys) > 3
    points = np.asarray(facts["points"])
    assert np.allclose(points.mean(axis=0), 0, atol=1e-3) and 0.5 < facts["kept"] <= 1 + 1e-9
    section = next(s for s in build_report(run).sections if s.name == "embedding")
    assert b"conv8" in section.blocks[0].data
    (run.path / "embedding.json").write_text('{"layer": "conv8"}')
    with pytest.raises(RunError, match="remove this file"):
        build_report(run)


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", watch_layers=False)
    assert not [e for e in run.events if e["event"] in ("layers", "start check")]
    assert not {"layers-learning", "embedding"} & {s.name for s in build_report(run).sections}
