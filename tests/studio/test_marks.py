"""Masks, boxes and slices of volumes behind the page: what a segmenter and a detector say, and why."""

import numpy as np
import pytest

pytest.importorskip("fastapi")

from PIL import Image

from convscope.studio.packing import unpack
from studio.made import HOST, TOKEN, client_of

SIDE = 16


def opened(given, runs):
    """(client, kind -> id)."""
    from convscope.studio.app import build_app
    from convscope.studio.places import Places

    places = Places(given, runs)
    return client_of(build_app(places, token=TOKEN, hosts=[HOST])), {p.kind: p.id for p in places.all()}


def half_bright(folder):
    """One picture: black left, white right."""
    values = np.zeros((SIDE, SIDE, 3), np.uint8)
    values[:, SIDE // 2 :] = 255
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(values).save(folder / name / "half.png")
    return folder


@pytest.mark.backend
def test_a_mask_its_shares_and_its_reasons(tmp_path):
    from convscope.backend.selection import load_keras
    from convscope.bundle.saving import save_bundle
    from convscope.records.card import Card
    from convscope.records.geometry import Preprocess

    keras = load_keras()
    pixels = keras.Input((SIDE, SIDE, 3), name="pixels")
    maps = keras.layers.Conv2D(2, 1, name="maps")(pixels)
    model = keras.Model(pixels, keras.layers.Softmax(name="outputs")(maps))
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[..., 1] = 1  # bright pixels are "light"
    model.get_layer("maps").set_weights([kernel, np.array([1, 0], np.float32)])
    card = Card("segment", ("dark", "light"), Preprocess(SIDE, SIDE, 3, scale=1 / 255), "two maps", "masks")
    save_bundle(tmp_path / "mask.cvs", model, card)
    client, ids = opened([tmp_path / "mask.cvs", half_bright(tmp_path / "data")], tmp_path / "runs")
    question = {"model": ids["model"], "picture": f"{ids['data']}.0"}

    said = client.get("/api/says", params=question).json()
    assert said["task"] == "segment" and [(r["name"], r["value"]) for r in said["rows"]] == [
        ("dark", 0.5),
        ("light", 0.5),
    ]
    mask = unpack(client.get("/api/mask", params=question).content)[1]["mask"]
    assert not mask[:, : SIDE // 2].any() and (mask[:, SIDE // 2 :] == 1).all()
    answer = client.get("/api/heat", params={**question, "how": "gradient-x-input", "target": "1"})
    heat = np.abs(unpack(answer.content)[1]["heat"])
    assert heat[:, SIDE // 2 :].min() > 0 and heat[:, : SIDE // 2].max() == 0, "only what is said light is a reason"
    judged = client.get("/api/judge", params={**question, "how": "gradient-x-input", "target": "1"}).json()
    assert set(judged["methods"]) == {"gradient-x-input", "random map"}
    facts, found = unpack(client.get("/api/maps", params={**question, "layer": "maps"}).content)
    assert facts["rank_by"] == "relevance" and facts["target"] == {"label": "light"}, "of the largest region"
    assert found["order"][0] == 1 and found["importance"][1] > 0 > found["importance"][0]


@pytest.mark.backend
@pytest.mark.slow
def test_the_boxes_of_a_detector_and_why_it_says_one(tmp_path):
    from convscope.backend.selection import load_keras
    from convscope.bundle.saving import save_bundle
    from convscope.models.detector_outputs import decode_outputs
    from convscope.models.detectors import build_detector
    from convscope.records.card import Card
    from convscope.records.geometry import Preprocess

    load_keras().utils.set_random_seed(0)
    detector = build_detector("yolo-n", 2, frame_hw=(64, 64), weights="none")
    card = Card("detect", ("cup", "hat"), Preprocess(64, 64, 3), "yolo-n", "boxes", unsure_below=1e-3)
    save_bundle(tmp_path / "boxes.cvs", detector.model, card)
    client, ids = opened([tmp_path / "boxes.cvs", half_bright(tmp_path / "data")], tmp_path / "runs")
    question = {"model": ids["model"], "picture": f"{ids['data']}.0"}
    boxes = client.get("/api/says", params=question).json()["boxes"]
    pixels = np.asarray(Image.open(tmp_path / "data/a/half.png").resize((64, 64), Image.Resampling.BILINEAR))
    outputs = detector.model.predict_on_batch(pixels[None].astype(np.float32))
    own = decode_outputs(outputs, (64, 64), score_threshold=1e-3, max_detections=60)[0]
    assert len(boxes) == len(own.scores) > 1
    assert [b["value"] for b in boxes] == sorted((b["value"] for b in boxes), reverse=True)
    facts, arrays = unpack(client.get("/api/heat", params={**question, "how": "grad-cam", "target": "1"}).content)
    assert "D-RISE" in facts["target"]["label"] and np.isfinite(arrays["heat"]).all() and arrays["heat"].any()
    assert client.get("/api/heat", params={**question, "how": "grad-cam", "target": "9999"}).status_code == 400
    rows = client.get("/api/network", params={"model": ids["model"]}).json()["rows"]
    layer = next(r["name"] for r in rows if r["has_maps"] and len(r["shape"]) == 3)
    maps = client.get("/api/maps", params={**question, "layer": layer})
    assert maps.status_code == 200 and unpack(maps.content)[0]["rank_by"] == "activation", "boxes have no one score"
    judged = client.get("/api/judge", params={**question, "how": "grad-cam", "target": "1"}).json()
    assert set(judged["methods"]) == {"grad-cam", "random map"}
    assert all(np.isfinite(judged["table"][m]["deletion"]["value"]) for m in judged["methods"])


def test_the_slices_of_a_volume_lie_beside_each_other(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).integers(0, 200, (SIDE, SIDE, 5)).astype("i2")
    for name in ("one", "two"):
        (tmp_path / "data").mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "data" / f"{name}.nii")
    client, ids = opened([tmp_path / "data"], tmp_path / "runs")
    found = client.get("/api/slices", params={"picture": f"{ids['data']}.7"}).json()
    assert (found["first"], found["last"], found["here"], found["place"]) == (5, 9, 7, ids["data"])
    shown = client.get(f"/api/picture/{ids['data']}.7", params={"longest": 64})
    assert shown.status_code == 200 and shown.content[:2] == b"\xff\xd8"
    plain, others = opened([half_bright(tmp_path / "plain")], tmp_path / "runs")
    assert plain.get("/api/slices", params={"picture": f"{others['data']}.0"}).json() == {}
