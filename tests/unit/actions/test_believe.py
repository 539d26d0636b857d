"""`convscope judge`, `survey`, `visualise` and `dream` on a saved network: pages, JSON, one line for mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from PIL import Image

import convscope
from convscope.actions import judged_run
from convscope.actions.opening import open_any
from convscope.actions.regions import RegionAim, read_aim
from convscope.bundle.saving import save_bundle
from convscope.cli.app import run as command
from convscope.data.opening import read_data
from convscope.errors import DataError, PlanError
from convscope.explaining.relabelling import Budget, learned_shuffled_labels
from convscope.explaining.sanity import label_check
from convscope.records.card import Card
from convscope.records.geometry import Preprocess
from convscope.records.judgement import judgement_from
from convscope.reporting.explaining import judgement_section

pytestmark = pytest.mark.backend


def net() -> keras.Model:
    """Says "right" when the right half is brighter than the left; its first convolution sees brightness."""
    inputs = L.Input((16, 16, 3))
    x = L.Rescaling(1 / 255)(inputs)
    x = L.Conv2D(2, 3, padding="same", activation="relu", use_bias=False, name="see")(x)
    x = L.AveragePooling2D(8, name="halves")(x)
    model = keras.Model(inputs, L.Dense(2, activation="softmax", name="say")(L.Flatten()(x)))
    kernel = np.zeros((3, 3, 3, 2))
    kernel[1, 1] = 0.5
    model.get_layer("see").set_weights([kernel])
    say = np.zeros((2, 2, 2, 2))
    say[:, 0, :, 0] = say[:, 1, :, 1] = 4
    model.get_layer("say").set_weights([say.reshape(8, 2), np.zeros(2)])
    return model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, class folders of bright squares on the left and on the right, and a mask for each."""
    root = tmp_path_factory.mktemp("believe")
    card = Card("classify", ("left", "right"), Preprocess(16, 16), "two-halves", feature_layer="see")
    save_bundle(root / "net.cvs", net(), card)
    rng = np.random.default_rng(0)
    for i in range(8):
        name = ("left", "right")[i % 2]
        picture = rng.integers(0, 40, (16, 16, 3))
        mask = np.zeros((16, 16), np.uint8)
        mask[5:11, 2 + 7 * (i % 2) : 7 + 7 * (i % 2)] = 255
        picture[mask > 0] += 180
        for folder, values in (("pictures", picture.astype(np.uint8)), ("masks", mask)):
            (root / folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / folder / name / f"{i}.png")
    return root


def test_judge_writes_a_page_and_numbers(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The gradient x input lies on the square, so it beats the random map; JSON and page hold the same."""
    out = tmp_path / "out"
    code = command(
        ["judge", str(place / "net.cvs"), str(place / "pictures"), "--methods", "gradient-x-input,guided-backprop",
         "--masks", str(place / "masks"), "--out", str(out)]
    )  # fmt: skip
    said = capsys.readouterr().out
    assert code == 0 and "Best on these pictures" in said
    facts = json.loads((out / "judge.json").read_text())
    assert facts["methods"][-1] == "random map" and set(facts["sanity"]) == {"gradient-x-input", "guided-backprop"}
    energy = {m: facts["table"][m]["energy inside"]["value"] for m in facts["methods"]}
    assert energy["gradient-x-input"] > energy["random map"] + 0.2
    assert len(facts["curves"]["gradient-x-input"]["deletion"]) == 17
    page = (out / "judge.html").read_text()
    assert all(w in page for w in ("Can the explanations be believed?", "Insertion", "Deletion", "Shrikumar", "masks"))
    assert "<script" not in page and page.count('class="tiles strip"') == 6


def test_judge_from_python_shows_itself(place: Path) -> None:
    """In a notebook as a framed page, in a terminal as a table; bad options are refused before anything runs."""
    found = convscope.judge(place / "net.cvs", place / "pictures", ["occlusion"], options={"window": 4}, sanity=False)
    assert found.judgement.methods == ("occlusion", "random map") and not found.judgement.sanity
    assert found._repr_html_().startswith('<iframe sandbox="" title="explanations, judged"')
    assert "insertion" in str(found)
    with pytest.raises(PlanError, match="unknown option 'steps' of occlusion"):
        convscope.judge(place / "net.cvs", place / "pictures", ["occlusion"], options={"steps": 4})


def test_a_judged_run_shows_it_in_its_report(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On some of its kept-back pictures, spread evenly; what was kept is read back as it was found."""
    opened = open_any(place / "net.cvs")
    run: Any = SimpleNamespace(path=tmp_path, card=opened.card, opened=opened)
    monkeypatch.setattr(judged_run, "kept_back", lambda run: read_data(place / "pictures", task="classify"))
    monkeypatch.setattr(judged_run, "METHODS", ("gradient-x-input",))
    assert judged_run.judged_sections(tmp_path) == []
    found = judged_run.judge_run(run, 3)
    assert found.methods == ("gradient-x-input", "random map") and len(found.heats["random map"]) == 3
    (section,) = judged_run.judged_sections(tmp_path)
    assert section.note == "3 pictures kept back from training"
    assert "that takes masks or boxes" in section.words[-1][1]
    kept = judgement_from(json.loads((tmp_path / judged_run.JUDGED).read_text()))
    assert kept.table == found.table and kept.sanity == found.sanity and kept.words == found.words
    assert section == judgement_section(kept, note=section.note)
    with pytest.raises(PlanError, match="at least 1 picture to judge, got -1"):
        judged_run.judge_run(run, -1)
    run.card = replace(run.card, task="segment")
    with pytest.raises(PlanError, match="one class per picture for --judge, got task segment"):
        judged_run.judge_run(run, 3)


def test_a_region_is_read_from_words() -> None:
    """A class by name or index, with a pixel or without; anything else is one line."""
    classes = ("background", "nucleus")
    assert read_aim("predicted", classes) == read_aim(None, classes) == RegionAim()
    assert read_aim("1", classes) == read_aim("nucleus", classes) == RegionAim(1)
    assert read_aim("nucleus@3,4.5", classes) == RegionAim(1, (3, 4.5))
    with pytest.raises(PlanError, match="CLASS@ROW,COLUMN in pixels, got 'nucleus@3'"):
        read_aim("nucleus@3", classes)
    with pytest.raises(PlanError, match="unknown class 'nuclei'; did you mean nucleus"):
        read_aim("nuclei", classes)


def test_shuffled_labels(place: Path) -> None:
    """A twin that knows shuffled labels by heart gives other heat; the model itself is untouched and gives the same."""
    model = net()
    before = [w.copy() for w in model.get_weights()]
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 255, (12, 16, 16, 3)).astype("float32")
    truth = np.arange(12) % 2
    twin = learned_shuffled_labels(model, images, truth, budget=Budget(epochs=200, learning_rate=0.02, enough=1.0))
    assert twin.accuracy == 1.0 and "of the shuffled labels known by heart" in twin.words
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
    same = label_check(model, model, images, "gradient-x-input")
    other = label_check(model, twin.model, images, "gradient-x-input")
    assert same.likeness == (pytest.approx(1.0),) and not same.passed and "fails the check of labels" in same.words()
    assert other.likeness[0] < 0.9
    with pytest.raises(PlanError, match="class indices from 0 to 1"):
        learned_shuffled_labels(model, images, truth + 1)
    found = convscope.judge(
        place / "net.cvs", place / "pictures", ["gradient-x-input"], sanity=False, shuffled_labels=place / "pictures"
    )
    assert set(found.judgement.labels) == {"gradient-x-input"} and any(
        "shuffled labels" in w for w in found.judgement.words
    )


def test_survey_puts_the_wrong_reason_first(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One more picture of "right" whose brightness lies off its object: it comes first."""
    data, masks = tmp_path / "data", tmp_path / "masks"
    for folder, target in ((place / "pictures", data), (place / "masks", masks)):
        for file in folder.rglob("*.png"):
            (target / file.parent.name).mkdir(parents=True, exist_ok=True)
            (target / file.parent.name / file.name).write_bytes(file.read_bytes())
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[0:3, 8:16] = 255
    Image.fromarray(picture).save(data / "right" / "cheat.png")
    mask = np.zeros((16, 16), np.uint8)
    mask[5:11, 9:14] = 255
    Image.fromarray(mask).save(masks / "right" / "cheat.png")
    out = tmp_path / "out"
    words = ["survey", str(place / "net.cvs"), str(data), "--method", "gradient-x-input", "--masks", str(masks)]
    assert command([*words, "--out", str(out)]) == 0
    assert "9 of 9 pictures are right" in capsys.readouterr().out
    facts = json.loads((out / "survey.json").read_text())
    assert facts["pictures"][0]["label"].endswith("cheat.png") and facts["pictures"][0]["energy"] < 0.2
    page = (out / "survey.html").read_text()
    assert "Right for the wrong reason?" in page and "cheat.png" in page and "All pictures" in page
    assert convscope.survey(place / "net.cvs", data, "gradient-x-input")._repr_html_().startswith("<iframe")


def test_visualise_and_dream(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PNG files, JSON and a page; values stay within the pixels' range."""
    out = tmp_path / "v"
    words = ["visualise", str(place / "net.cvs"), "--layer", "see", "--channels", "0-1", "--steps", "8"]
    assert command([*words, "--out", str(out)]) == 0
    assert "see channel 1" in capsys.readouterr().out and (out / "grown-001.png").is_file()
    assert "jitter 4 px" in (out / "visualise.html").read_text()
    classes = convscope.visualise(place / "net.cvs", classes=["right"], ascent=None)
    assert classes.grown.words == ("right",) and classes.grown.history[-1, 0] > classes.grown.history[0, 0]
    assert classes.grown.pictures.min() >= 0 and classes.grown.pictures.max() <= 255
    picture = str(place / "pictures" / "left" / "0.png")
    words = ["dream", str(place / "net.cvs"), picture, "--layer", "see", "--steps", "3", "--json"]
    assert command([*words, "--out", str(tmp_path / "d")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["pictures"][0]["for"] == "0.png, dream of see"
    assert said["pictures"][0]["last"] > said["pictures"][0]["first"]


@pytest.mark.parametrize(
    "words, reason",
    [
        (["judge", "{net}", "{pictures}", "--methods", "gradcam"], "did you mean grad-cam"),
        (["judge", "{net}", "{pictures}", "--methods", "saliency", "--target", "up"], "unknown class 'up'"),
        (["judge", "{net}", "{pictures}", "--methods", "saliency", "--masks", "{pictures}/left"], "expected a mask"),
        (["judge", "{net}", "{pictures}", "--methods", "saliency", "--shuffled-labels", "{net}"], "expected"),
        (["survey", "{net}"], "only a run knows its own"),
        (["survey", "{net}", "{pictures}", "--method", "lrb"], "did you mean lrp"),
        (["visualise", "{net}", "--channels", "0-3"], "expected a layer for channels"),
        (["visualise", "{net}", "--layer", "sea"], "did you mean see"),
        (["visualise", "{net}", "--layer", "see", "--channels", "a-b"], "expected channels as 0-15"),
        (["visualise", "{net}", "--layer", "see", "--channels", "7"], "channels from 0 to 1"),
        (["visualise", "{net}", "--classes", "up"], "unknown class 'up'"),
        (["explain", "{net}", "{pictures}", "--target", "7"], "class from 0 to 1, got 7"),
        (["explain", "{net}", "{pictures}", "--layer", "say"], "expected a layer with height and width"),
        (["explain", "{net}", "{flat}"], "is 9 everywhere"),
        (["explain", "{none}", "{pictures}"], "the model has none"),
        (["explain", "{none}", "{pictures}", "--method", "cam"], "global average pooling"),
        (["explain", "{maps}", "{pictures}", "--method", "saliency"], "expected an output of shape (n, classes)"),
    ],
    ids=lambda value: (
        "-".join(value[:1] + value[2:]).replace("{", "").replace("}", "") if isinstance(value, list) else ""
    ),
)
def test_mistakes_are_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    """Exit code 2, one line that says what to change; nothing is written."""
    Image.fromarray(np.full((16, 16, 3), 9, np.uint8)).save(tmp_path / "flat.png")
    known = {"net": str(place / "net.cvs"), "pictures": str(place / "pictures"), "flat": str(tmp_path / "flat.png")}
    if "{none}" in words:
        known["none"] = _saved(tmp_path, [L.Flatten(), L.Dense(2, activation="softmax")])
    if "{maps}" in words:
        known["maps"] = _saved(tmp_path, [L.Conv2D(2, 1)])
    out = tmp_path / "out"
    assert command([*(w.format(**known) for w in words), "--out", str(out)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("convscope: ")]
    assert len(lines) == 1 and reason in lines[0], lines
    assert not out.exists()


def _saved(folder: Path, layers: list[keras.Layer]) -> str:
    card = Card("classify", ("left", "right"), Preprocess(16, 16), "odd")
    save_bundle(folder / "odd.cvs", keras.Sequential([L.Input((16, 16, 3)), *layers]), card)
    return str(folder / "odd.cvs")


def test_masks_need_files(place: Path) -> None:
    """Arrays have no frame of their own; masks of the network frame may be given as an array."""
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    masks = np.zeros((2, 16, 16), bool)
    masks[:, 4:9, 4:9] = True
    found = convscope.judge(net(), images, ["gradient-x-input"], masks=masks, sanity=False)
    assert "energy inside" in found.judgement.measures
    with pytest.raises(DataError, match="pictures from files"):
        convscope.judge(net(), images, ["gradient-x-input"], masks=place / "masks")
