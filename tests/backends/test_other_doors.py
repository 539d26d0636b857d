"""The same door for other data and models: one's own model on files, tables with numbers and labels, arrays, folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convscope
from backends.pictures import bars
from convscope.errors import DataError, PlanError, RunError
from convscope.files.journal import read_journal

pytestmark = pytest.mark.backend

SMALL = convscope.Plan(
    model="simple-cnn", image_size=24, filters=(8, 16), epochs=8, batch_size=8, learning_rate=5e-3, test_share=0.25
)


def own_model(side: int = 32) -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential([
        keras.Input((side, side, 3)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="softmax"),
    ])  # fmt: skip


def notes(run: convscope.Run) -> str:
    return " ".join(e["text"] for e in read_journal(run.path) if e["event"] == "note")


def test_ones_own_model_on_files_gets_the_range_that_is_said(tmp_path: Path) -> None:
    """Pixels become 0..1 by a stated rule, in training, validation and prediction alike."""
    folder = bars(tmp_path / "p")
    model = own_model()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    run = convscope.train(folder, model=model, plan=convscope.Plan(epochs=10, batch_size=8), out=tmp_path / "run")
    assert "0..1, the usual range" in notes(run)
    assert run.card.preprocess.scale == pytest.approx(1 / 255)
    assert run.card.preprocess.size == (32, 32)
    picture = folder / "lying" / "000.png"
    by_hand = np.asarray(Image.open(picture), np.float32)[None] / 255
    from convscope.backend.tensors import to_numpy

    raw = to_numpy(run.model(by_hand, training=False))
    said = run.predict([picture]).scores
    assert (raw.argmax() == said.argmax()) and said.shape == (1, 2)
    assert run.history.epochs[-1]["val_loss"] < run.history.epochs[0]["val_loss"]


def test_numbers_from_a_table(tmp_path: Path) -> None:
    """Regression: the height of a bright bar."""
    rng = np.random.default_rng(0)
    lines = ["path,height"]
    for number in range(60):
        height = int(rng.integers(2, 20))
        picture = rng.integers(0, 60, (24, 24, 3))
        picture[24 - height :, 8:16] = 220
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{height / 20}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    plan = SMALL.with_changes({"epochs": 25, "task": "regress"})
    run = convscope.train(tmp_path / "labels.csv", plan=plan, out=tmp_path / "run")
    assert run.card.task == "regress"
    assert run.scores.values["r2"].value > 0.5
    assert run.predict([tmp_path / "0.png"]).scores.shape == (1, 1)
    assert run.report().stat().st_size > 10_000


def test_several_labels_from_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = ["path,left,right"]
    for number in range(64):
        left, right = rng.integers(0, 2, 2)
        picture = rng.integers(0, 60, (24, 24, 3))
        picture[8:16, 2:8] += 150 * left
        picture[:, 18:20] += 150 * right
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{left},{right}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    run = convscope.train(tmp_path / "labels.csv", plan=SMALL.with_changes({"epochs": 15}), out=tmp_path / "run")
    assert run.card.task == "multilabel"
    assert run.card.classes == ("left", "right")
    assert run.scores.values["roc_auc"].value > 0.8
    assert run.report().stat().st_size > 10_000


def test_arrays_must_say_their_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    y = np.arange(48) % 2
    x = rng.random((48, 24, 24, 3)).astype(np.float32) * 0.3
    x[y == 1, 8:16] += 0.6
    with pytest.raises(DataError, match=r"0\.\.255"):
        convscope.train((x, y), plan=SMALL, out=tmp_path / "a")
    plan = SMALL.with_changes({"value_range": (0.0, 1.0), "augment": convscope.Augmentation(brightness=0.1)})
    run = convscope.train((x, y), plan=plan, out=tmp_path / "b")
    assert run.scores.values["accuracy"].value == 1
    assert run.report().stat().st_size > 10_000


def test_arrays_as_they_are_need_a_range_only_to_be_augmented(tmp_path: Path) -> None:
    x = np.random.default_rng(3).random((40, 32, 32, 3)).astype(np.float32)
    y = np.arange(40) % 2
    plan = convscope.Plan(epochs=1, batch_size=8, augment=convscope.Augmentation(flip_horizontal=True))
    model = own_model()
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    with pytest.raises(PlanError, match="expected value_range"):
        convscope.train((x, y), model=model, plan=plan, out=tmp_path / "a")


def test_folds_test_each_picture_once(tmp_path: Path) -> None:
    folder = bars(tmp_path / "p", per_class=12)
    plan = SMALL.with_changes({"folds": 3, "epochs": 4, "val_share": 0.2})
    said: set[str] = set()
    found = convscope.cross_validate(
        folder, plan=plan, out=tmp_path / "folds", progress=lambda what, done, total: said.add(what)
    )
    assert {"fold 1, train", "fold 3, train", "folds"} <= said
    tested = [key for run in found.runs for key in json.loads((run.path / "split.json").read_text())["test"]]
    assert sorted(tested) == sorted(f"{c}/{n:03d}.png" for c in ("lying", "standing") for n in range(12))
    accuracy = found.values["accuracy"]
    assert accuracy.n == 3
    assert accuracy.low is not None
    assert (
        accuracy.low
        <= accuracy.value
        == pytest.approx(np.mean([run.scores.values["accuracy"].value for run in found.runs]))
    )
    errors = found.values["expected_calibration_error"]  # near 0 in some folds: half a t interval would lie below
    assert errors.low is not None and errors.high is not None and 0 <= errors.low <= errors.high <= 1
    again = convscope.cross_validate(folder, plan=plan, out=tmp_path / "folds")  # finished folds are kept
    assert again.values["accuracy"].value == accuracy.value
    for change, words in (({"epochs": 5}, "epochs = 5"), ({"augment": {"mixup": 0.2}}, "augment.mixup = 0.2")):
        with pytest.raises(RunError, match=words):  # the folds of two plans are never averaged
            convscope.cross_validate(folder, plan=plan.with_changes(change), out=tmp_path / "folds")
    (folder / "lying" / "000.png").rename(folder / "lying" / "new.png")
    with pytest.raises(RunError, match="of other data"):
        convscope.cross_validate(folder, plan=plan, out=tmp_path / "folds")
