"""The answers behind the page are the scope's own: the same values, sums, fields and scores."""

import json

import numpy as np
import pytest

pytest.importorskip("fastapi")

from convscope.studio.packing import pack, unpack
from studio.made import HOST, TOKEN, client_of

OWN = {"x-convscope": "1", "content-type": "application/json"}


@pytest.fixture(scope="module")
def studio(trained):
    """(client, run id, data id, run folder, data folder)."""
    from convscope.studio.app import build_app
    from convscope.studio.places import Places

    run, data = trained
    places = Places([run, data], run.parent)
    ids = {p.kind: p.id for p in places.all()}
    client = client_of(build_app(places, token=TOKEN, hosts=[HOST]))
    return client, ids["run"], ids["data"], run, data


@pytest.fixture(scope="module")
def scope(trained):
    import convscope

    return convscope.Scope(trained[0])


def get(studio, path, **params):
    answer = studio[0].get(f"/api/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer


def kept_picture(studio, number=0):
    """A kept picture of the run, exactly as the model takes it."""
    from convscope.actions.keepsakes import kept

    return kept(studio[3]).images[number][None].astype(np.float32)


def test_places_are_ids_and_names_never_paths(studio):
    answer = get(studio, "places")
    assert {p["kind"] for p in answer.json()["places"]} == {"run", "data"}
    assert str(studio[3].parent) not in answer.text and answer.json()["first"] == studio[1]


@pytest.mark.parametrize(("layer", "is_signed"), [("block2_relu1", False), ("block1_conv1", True)])
def test_steps_lie_within_half_a_step_of_the_exact_maps(studio, layer, is_signed):
    asked = {"model": studio[1], "picture": f"{studio[1]}.0", "layer": layer}
    exact, steps = (unpack(get(studio, "maps", **asked, steps=n).content)[1] for n in (0, 1))
    assert steps["steps"].dtype == np.uint8 and "maps" not in steps
    np.testing.assert_array_equal(steps["order"], exact["order"])
    low, high = (exact[k].astype(np.float64)[:, None, None] for k in ("low", "high"))
    assert bool(low.min() < 0) == is_signed
    if is_signed:
        high = np.maximum(-low, high)
        low = -high
    back = low + steps["steps"] / 255 * (high - low)
    assert (np.abs(back - exact["maps"]) <= 0.5001 / 255 * (high - low) + 1e-6).all()


def test_steps_of_maps_that_are_no_numbers():
    from convscope.studio.maps import stepped
    from convscope.studio.packing import pack

    maps = np.array([[[0, 1, 2]], [[np.nan, 1, 2]]], np.float32)
    flat = maps.reshape(2, -1)
    sent = pack({}, {"maps": maps, "low": flat.min(axis=1), "high": flat.max(axis=1)})
    assert unpack(stepped(sent))[1]["steps"].tolist() == [[[0, 128, 255]], [[0, 0, 0]]]


def test_maps_are_the_scopes_own_bit_for_bit(studio, scope):
    body = get(studio, "maps", model=studio[1], picture=f"{studio[1]}.0", layer="block2_relu1").content
    facts, arrays = unpack(body)
    own = scope.feature_maps(kept_picture(studio), "block2_relu1")[0]
    assert facts["layer"] == "block2_relu1" and facts["rank_by"] == "relevance"
    np.testing.assert_array_equal(arrays["maps"], np.moveaxis(own.maps[0], -1, 0))
    np.testing.assert_array_equal(arrays["order"], own.order[0])
    np.testing.assert_allclose(arrays["importance"], own.importance[0], rtol=1e-5)
    np.testing.assert_array_equal(arrays["high"], own.maps[0].max(axis=(0, 1)))


def test_the_output_has_no_relevance_for_itself_and_is_ranked_by_size(studio):
    facts, arrays = unpack(get(studio, "maps", model=studio[1], picture=f"{studio[1]}.0", layer="outputs").content)
    assert facts["rank_by"] == "activation" and facts["target"] is None
    assert arrays["maps"].ravel()[arrays["order"][0]] == arrays["maps"].max()


def test_a_number_is_followed_back_to_its_sum(studio, scope):
    at, channel = (3, 0), 2
    found = get(
        studio, "number", model=studio[1], picture=f"{studio[1]}.0", layer="block2_relu1", at="3,0", channel=channel
    ).json()
    own = scope.arithmetic(kept_picture(studio), "block2_conv1", at=at, channel=channel)
    worked = found["worked"]
    assert found["way"] == ["block2_conv1", "block2_bn1", "block2_relu1"] and worked["layer"] == "block2_conv1"
    np.testing.assert_allclose(np.array(worked["products"]), own.products, rtol=1e-12)
    assert worked["total"] == pytest.approx(own.total, rel=1e-12)
    assert np.array(worked["is_padding"]).sum() == own.is_padding.sum() > 0
    assert worked["final"] == pytest.approx(found["asked"]["value"], abs=1e-5)
    assert [s["layer"] for s in worked["following"]] == ["block2_bn1", "block2_relu1"]


def test_the_network_says_what_the_scope_says(studio, scope):
    found = get(studio, "network", model=studio[1]).json()
    rows = {r["name"]: r for r in found["rows"]}
    table = {row[0]: row for row in scope.layers().rows}
    assert list(rows) == list(table)
    field = scope.receptive_field("block2_conv1", at=(2, 2))
    axes = rows["block2_conv1"]["field"]["axes"]
    for axis, (low, high) in zip(axes, field.box):
        first = axis["offset"] + axis["stride"] * 2
        assert (max(0, first), first + axis["size"] - 1) == (low, high)
    assert rows["block2_conv1"]["parameters"] == int(table["block2_conv1"][6].replace("\u202f", ""))
    assert rows["block1_relu1"]["inputs"] == ["block1_bn1"]


def test_the_prediction_is_the_one_that_predict_gives(studio):
    import convscope

    rows = get(studio, "pictures", place=studio[2]).json()["rows"]
    chosen = rows[3]
    found = get(studio, "says", model=studio[1], picture=chosen["id"]).json()
    own = convscope.open_run(studio[3]).predict([studio[4] / chosen["label"]])
    assert found["truth"] == chosen["truth"]
    by_name = {r["name"]: r["value"] for r in found["rows"]}
    np.testing.assert_allclose([by_name[c] for c in own.classes], own.scores[0], atol=2e-5)


def test_heat_is_what_explain_gives(studio):
    import convscope

    body = get(studio, "heat", model=studio[1], picture=f"{studio[1]}.0", how="grad-cam").content
    facts, arrays = unpack(body)
    own = convscope.explain(str(studio[3]), kept_picture(studio), "grad-cam")
    np.testing.assert_allclose(arrays["heat"], own.heat[0], rtol=1e-4, atol=1e-6)
    assert facts["target"]["label"] == own.targets[0].label and "Selvaraju" in facts["source"]


def test_silencing_a_filter_is_the_same_as_cutting_its_weights(studio, scope):
    from convscope.actions.opening import open_any

    found = get(studio, "silence", model=studio[1], picture=f"{studio[1]}.0", layer="block2_pool", channels="1").json()
    model = open_any(studio[3]).model
    dense = model.get_layer("outputs")
    kernel, bias = dense.get_weights()
    kernel[1] = 0  # the head sees each map of block2_pool through its mean
    dense.set_weights([kernel, bias])
    cut = np.asarray(model(kept_picture(studio)))[0]
    classes = scope.card.classes
    for row in found["rows"]:
        assert row["without"] == pytest.approx(float(cut[classes.index(row["name"])]), abs=1e-5)


def test_a_painted_picture_goes_the_whole_way(studio):
    png = get(studio, f"picture/{studio[1]}.0", model=studio[1]).content
    headers = {**OWN, "content-type": "application/octet-stream"}
    id = studio[0].post("/api/pictures", content=png, headers=headers).json()["id"]
    assert id.startswith("up.") and len(id) == 19
    same = unpack(get(studio, "maps", model=studio[1], picture=id, layer="block1_conv1").content)[1]["maps"]
    before = unpack(get(studio, "maps", model=studio[1], picture=f"{studio[1]}.0", layer="block1_conv1").content)[1]
    np.testing.assert_allclose(same, before["maps"], atol=1e-5)


def test_what_is_no_picture_is_refused_in_words(studio):
    headers = {**OWN, "content-type": "application/octet-stream"}
    answer = studio[0].post("/api/pictures", content=b"<svg onload=alert(1)>", headers=headers)
    assert answer.status_code == 400 and "your picture" in answer.json()["error"]


def test_a_scan_names_the_broken_file_and_keeps_the_order_of_classes(studio):
    found = get(studio, "scan", place=studio[2]).json()
    assert any("broken.png" in name for f in found["findings"] for group in f["pictures"] for _, name in group)
    assert dict(found["classes"]) == {"left": 14, "right": 14}


def test_changes_are_drawn_as_in_training(studio):
    rows = get(studio, "pictures", place=studio[2]).json()["rows"]
    ask = {"picture": rows[-1]["id"], "changes": json.dumps({"flip_horizontal": True}), "count": 12, "size": 48}
    pictures = unpack(get(studio, "augmented", **ask).content)[1]["pictures"]
    same = (pictures[1:] == pictures[0]).all(axis=(1, 2, 3))
    mirrored = (pictures[1:] == pictures[0][:, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all() and same.any() and mirrored.any()


def test_runs_show_their_journal(studio):
    import convscope

    found = get(studio, f"runs/{studio[1]}").json()
    own = convscope.open_run(studio[3])
    assert [r["epoch"] for r in found["history"]] == [1, 2, 3, 4, 5, 6]
    assert found["history"][-1]["loss"] == own.history.epochs[-1]["loss"]
    assert found["scores"]["n"] == own.scores.n and found["finished"] and not found["running"]
    assert str(studio[4]) not in json.dumps(found)  # the page needs no path


def test_the_film_holds_what_was_watched(studio):
    from convscope.explaining.watching import read_glances

    facts, arrays = unpack(get(studio, f"runs/{studio[1]}/film").content)
    images, glances = read_glances(studio[3])
    assert facts["epochs"] == [g.epoch for g in glances] and facts["epochs"][-1] == 6
    np.testing.assert_array_equal(arrays["heat"], np.stack([g.heat for g in glances]))
    outputs = np.stack([np.asarray(g.outputs) for g in glances])
    assert outputs.shape[-1] == 2
    np.testing.assert_array_equal(facts["says"], outputs.argmax(axis=-1))
    np.testing.assert_allclose(np.array(facts["probability"])[:, 0], outputs[:, 0, facts["truth"][0]], atol=1e-6)
    assert len(arrays["pictures"]) == len(images) == len(facts["labels"])


def test_the_film_shows_the_first_maps_of_the_finished_network_at_its_end(studio, scope):
    from convscope.explaining.watching import read_glances

    facts, arrays = unpack(get(studio, f"runs/{studio[1]}/film").content)
    assert facts["layer"] == "block1_relu1" and arrays["maps"].shape == (7, len(facts["labels"]), 4, 32, 32)
    images, _ = read_glances(studio[3])
    own = scope.feature_maps(np.asarray(images, np.float32), "block1_relu1", rank_by="index")[0].maps[..., :4]
    rows = get(studio, f"runs/{studio[1]}").json()["history"]
    best = facts["epochs"].index(min(rows, key=lambda row: row["val_loss"])["epoch"])  # its weights became the model
    np.testing.assert_allclose(arrays["maps"][best], np.moveaxis(own, -1, 1), rtol=2e-3, atol=2e-3)  # kept as float16
    assert np.abs(arrays["maps"][0] - arrays["maps"][-1]).max() > 0.01, "they move while it learns"


def test_units_and_top_pictures(studio, scope):
    units = get(studio, "units", model=studio[1], layer="block2_relu1", data=studio[2]).json()
    assert units["n"] == 28 and len(units["maximum"]) == 8
    channel = int(np.argmax(units["maximum"]))
    top = get(studio, "top", model=studio[1], layer="block2_relu1", channel=channel, data=studio[2], count=3).json()
    assert top["rows"][0]["value"] == pytest.approx(units["maximum"][channel], rel=1e-4)
    assert top["rows"][0]["value"] >= top["rows"][1]["value"] >= top["rows"][2]["value"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("maps?model={run}&picture={run}.0&layer=block2_rel", "did you mean"),
        ("maps?model={run}&picture={run}.99&layer=block1_conv1", "from 0 to"),
        ("maps?model={run}&picture=../../etc&layer=block1_conv1", "id of a picture"),
        ("number?model={run}&picture={run}.0&layer=block1_conv1&channel=99&at=1,1", "channel"),
        ("heat?model={run}&picture={run}.0&how=gradcam", "did you mean"),
        ("scan?place=0000000000000000", "convscope studio PATH"),
        ("augmented?picture={data}.0&changes=%7B%22rotat%22%3A1%7D", "did you mean"),
        ("picture/up.0123456789abcdef", "drop it in again"),
        ("picture/{data}.%C2%B2", "id of a picture"),
        ("picture/{data}.-1", "id of a picture"),
        ("picture/{data}.999", "from 0 to"),
        ("augmented?picture={data}.0&changes=[1", "JSON"),
        ("augmented?picture={data}.0&changes=%7B%22rotate_deg%22%3A%22x%22%7D", "a number"),
        ("augmented?picture={data}.0&changes=%7B%22rotate_deg%22%3A999%7D", "between 0 and 180"),
    ],
)
def test_mistakes_say_what_to_do(studio, path, words):
    answer = studio[0].get("/api/" + path.format(run=studio[1], data=studio[2]))
    assert answer.status_code in (400, 404) and words in answer.json()["error"]


def test_packed_arrays_come_back_as_they_were():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2, 3], np.uint8),
              "c": np.array([-1, 2], np.int32)}  # fmt: skip
    facts, found = unpack(pack({"layer": "é", "nan": float("nan")}, arrays))
    assert facts == {"layer": "é", "nan": None}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
