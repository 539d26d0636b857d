"""Boxes and masks through the door of the main job: folder in, run out, opened again, predicted, reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convscope
from convscope.actions.explain import explain_files
from convscope.actions.learned import learned_sections
from convscope.actions.say_frames import say_of_frames
from convscope.backend.selection import backend_name
from convscope.backend.tensors import to_numpy
from convscope.cli.app import run as command

pytestmark = pytest.mark.backend
# on TensorFlow test_real_boxes.py trains a detector for a minute in each `make test`; this one then waits for its turn
by_real_pictures_elsewhere = pytest.mark.slow if backend_name() == "tensorflow" else pytest.mark.backend


def drawn(rng: np.random.Generator, side: int) -> tuple[np.ndarray, list[tuple[int, int, int, int, int]]]:
    """A dark noisy picture with a bright square (class 0) and, half the time, a long red bar below it (class 1)."""
    picture = rng.integers(0, 50, (side, side, 3)).astype(np.uint8)
    boxes = []
    for k in range(int(rng.integers(1, 3))):
        high, wide = (16, 16) if k == 0 else (10, 28)
        top = int(rng.integers(2, side // 2 - high) + k * (side // 2))
        left = int(rng.integers(2, side - wide - 2))
        picture[top : top + high, left : left + wide] = (230, 230, 210) if k == 0 else (200, 40, 40)
        boxes.append((left, top, left + wide, top + high, k))
    return picture, boxes


@pytest.fixture
def boxed(tmp_path: Path) -> Path:
    """A COCO data set of 40 pictures of 64 px."""
    rng = np.random.default_rng(11)
    folder = tmp_path / "boxed"
    (folder / "images").mkdir(parents=True)
    images, marks = [], []
    for i in range(40):
        picture, boxes = drawn(rng, 64)
        Image.fromarray(picture).save(folder / "images" / f"{i:02d}.png")
        images.append({"id": i, "file_name": f"{i:02d}.png", "height": 64, "width": 64})
        for left, top, right, bottom, label in boxes:
            bbox = [left, top, right - left, bottom - top]
            marks.append({"id": len(marks), "image_id": i, "category_id": label, "bbox": bbox, "iscrowd": 0,
                          "area": bbox[2] * bbox[3]})  # fmt: skip
    names = [{"id": 0, "name": "square"}, {"id": 1, "name": "bar"}]
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": marks, "categories": names}))
    return folder


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Pictures and masks of squares, 36 of 48 px."""
    rng = np.random.default_rng(12)
    folder = tmp_path / "masked"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(36):
        picture, boxes = drawn(rng, 48 + 16 * (i % 2))
        mask = np.zeros(picture.shape[:2], np.uint8)
        for left, top, right, bottom, _ in boxes:
            mask[top:bottom, left:right] = 255
        Image.fromarray(picture).save(folder / "images" / f"{i:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i:02d}.png")
    return folder


@by_real_pictures_elsewhere
def test_a_few_epochs_on_boxes_leave_a_whole_run(boxed: Path, tmp_path: Path) -> None:
    plan = convscope.Plan(
        model="yolo+csp-tiny", weights="none", image_size=64, epochs=5, batch_size=8, learning_rate=3e-3,
        watch_pictures=0, watch_layers=False, augment=convscope.Augmentation(flip_horizontal=True),
    )  # fmt: skip
    run = convscope.train(boxed, plan=plan, out=tmp_path / "run")
    assert run.card.task == "detect" and run.card.classes == ("square", "bar") and run.scores.headline == "map_50"
    parts = ("box_loss", "class_loss", "distance_loss")
    assert all(np.isfinite([row[name] for name in (*parts, "loss", "val_loss")]).all() for row in run.history.epochs)
    # first the assignment changes and the loss rises (seen with each of four seeds); then it must fall
    assert run.history.epochs[-1]["loss"] < 0.9 * run.history.epochs[1]["loss"], run.history.column("loss")
    page = run.report().read_text(encoding="utf-8")
    assert "Kinds of mistakes" in page and "Assigned targets" in page and "What suppression left" in page
    assert len(convscope.open_run(tmp_path / "run").predict([boxed / "images"]).keys) == 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo+csp-tiny", "faster-rcnn+csp-tiny"])
def test_a_detectors_layers_are_watched_and_learn_as_without(name: str, boxed: Path, tmp_path: Path) -> None:
    """Also those that only the loss runs; looking moves no number of the training, not even the next random one."""
    runs = {}
    for watched in (True, False):
        plan = convscope.Plan(
            model=name, weights="none", image_size=64, epochs=4, batch_size=16, learning_rate=1e-3, patience=0,
            watch_pictures=0, watch_layers=watched,
        )  # fmt: skip
        runs[watched] = convscope.train(boxed, plan=plan, out=tmp_path / str(watched))
    pairs = zip(runs[True].model.weights, runs[False].model.weights, strict=True)
    assert all(np.array_equal(to_numpy(a.value), to_numpy(b.value)) for a, b in pairs)
    events = [e for e in runs[True].events if e["event"] == "layers"]
    assert [e["epoch"] for e in events] == [1, 2, 3, 4]
    states = {state["layer"]: state for state in events[-1]["layers"]}
    layers = [layer for layer in runs[True].model.layers if layer.trainable_variables]
    assert {layer.name for layer in layers} <= set(states)
    assert all(0 < states[layer.name]["update_ratio"] < 1 for layer in layers[:5])
    assert not states["stem_conv"]["is_branch"] and states[layers[-1].name]["is_branch"]
    assert [section.name for section in learned_sections(runs[True].events)] == ["layers-learning"]


@pytest.mark.slow
def test_boxes_from_folder_to_report(boxed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = convscope.Plan(
        model="yolo+csp-tiny", weights="none", image_size=64, epochs=24, batch_size=4, learning_rate=3e-3,
        schedule="cosine", warmup_epochs=1, patience=0, watch_pictures=0,
        augment=convscope.Augmentation(flip_horizontal=True),
    )  # fmt: skip
    run = convscope.train(boxed, plan=plan, out=tmp_path / "run")
    assert run.card.task == "detect" and run.card.classes == ("square", "bar")
    assert run.scores.headline == "map_50"
    assert run.scores.per_class["square"]["ap_50"] > 0.8, "a bright square is easy to find"
    assert run.history.epochs[-1]["loss"] < 0.6 * run.history.epochs[0]["loss"]
    again = convscope.open_run(tmp_path / "run").evaluate(boxed)
    assert again.per_class["square"]["ap_50"] > 0.8
    page = run.report().read_text(encoding="utf-8")
    assert "Pictures with boxes" in page and "Kinds of mistakes" in page
    picture = sorted((boxed / "images").iterdir())[0]
    assert command(["predict", str(tmp_path / "run"), str(picture), "--out", str(tmp_path / "said")]) == 0
    facts = json.loads((tmp_path / "said" / "detections.json").read_text())
    assert [c["name"] for c in facts["categories"]] == ["square", "bar"] and facts["results"]
    with Image.open(tmp_path / "said" / "pictures" / "0001.jpg") as shown:
        assert shown.size == (64, 64)
    assert "square" in capsys.readouterr().out
    assert command(["look", str(tmp_path / "run"), str(picture), "--out", str(tmp_path / "look.html")]) == 0
    looked = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert picture.name in looked and str(boxed) not in looked, "names, not places"
    said = say_of_frames(tmp_path / "run", boxed / "images", out=tmp_path / "frames", most=10)
    assert said.frames == 10 and {row["picture"] for row in said.rows} == {f"{i:02d}.png" for i in range(10)}
    _, found = explain_files(tmp_path / "run", [picture], ["layer-cam", "occlusion"], out=tmp_path / "why")
    for one in found:
        left, top, right, bottom = (int(v) for v in _first_square(boxed))
        rows, columns = np.mgrid[: one.heat.shape[1], : one.heat.shape[2]] * (64 / one.heat.shape[1]) + 2
        inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
        heat = np.abs(one.heat[0])
        assert heat[inside].sum() / heat.sum() > 2 * inside.mean(), f"{one.method}: the heat lies on the square"
    assert said.per_second is not None and len(list((tmp_path / "frames").glob("*/pictures/*.jpg"))) == 10


def _first_square(boxed: Path) -> tuple[float, ...]:
    marks = json.loads((boxed / "annotations.json").read_text())["annotations"]
    left, top, wide, high = marks[0]["bbox"]
    return left, top, left + wide, top + high


def test_masks_from_folder_to_report(masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = convscope.Plan(
        model="unet", weights="none", image_size=48, unet_depth=2, unet_width=8, epochs=16, batch_size=6, dropout=0.0,
        learning_rate=3e-3, patience=0, watch_pictures=0, class_weights="balanced",
        augment=convscope.Augmentation(flip_horizontal=True, rotate_deg=10),
    )  # fmt: skip
    run = convscope.train(masked, plan=plan, out=tmp_path / "run")
    assert run.card.task == "segment" and run.scores.headline == "dice"
    assert run.scores.values["dice"].value > 0.8
    assert convscope.open_run(tmp_path / "run").evaluate(masked).values["dice"].value > 0.8
    assert "Masks and contours" in run.report().read_text(encoding="utf-8")
    assert command(["predict", str(tmp_path / "run"), str(masked / "images"), "--out", str(tmp_path / "said")]) == 0
    said = np.asarray(Image.open(tmp_path / "said" / "masks" / "0002.png"))
    truth = np.asarray(Image.open(masked / "masks" / "01.png")) > 0
    assert said.shape == truth.shape == (64, 64)
    assert 2 * (truth & (said == 1)).sum() / (truth.sum() + (said == 1).sum()) > 0.8
    assert "foreground" in capsys.readouterr().out


@pytest.mark.slow
def test_the_same_seed_gives_the_same_detector(boxed: Path, tmp_path: Path) -> None:
    plan = convscope.Plan(
        model="yolo+csp-tiny", weights="none", image_size=64, epochs=2, batch_size=8, watch_pictures=0,
        augment=convscope.Augmentation(flip_horizontal=True, scale=0.2),
    )  # fmt: skip
    runs = [convscope.train(boxed, plan=plan, out=tmp_path / name) for name in ("a", "b")]
    assert runs[0].history.epochs[-1]["loss"] == runs[1].history.epochs[-1]["loss"]
    for one, other in zip(runs[0].model.get_weights(), runs[1].model.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "yolo-x"}, "did you mean yolo"),
        ({"model": "yolo-n", "loss": "dice"}, "brings its own losses"),
        ({"model": "yolo-n", "image_size": 100}, "multiples of 32"),
        ({"model": "yolo-n", "label_smoothing": 0.1}, "label_smoothing"),
    ],
)
def test_what_cannot_work_is_said_first(options: dict, words: str, boxed: Path, tmp_path: Path) -> None:
    plan = convscope.Plan(weights="none", epochs=1, batch_size=8, watch_pictures=0, **options)
    with pytest.raises(convscope.ConvscopeError, match=words):
        convscope.train(boxed, plan=plan, out=tmp_path / "run")
    assert not (tmp_path / "run" / "model.cvs").exists()
