"""What the studio writes: views into the report, decisions beside the runs; and the numbers behind a filter."""

import base64
import io
import json

import numpy as np
import pytest

pytest.importorskip("fastapi")

from PIL import Image

from convscope.studio.packing import unpack
from studio.made import HOST, TOKEN, client_of, make_pictures

OWN = {"x-convscope": "1", "content-type": "application/json"}


@pytest.fixture(scope="module")
def studio(trained):
    """(client, run id, data id, run folder, data folder)."""
    from convscope.studio.app import build_app
    from convscope.studio.places import Places

    run, data = trained
    places = Places([run, data], run.parent)
    ids = {p.kind: p.id for p in places.all()}
    return client_of(build_app(places, token=TOKEN, hosts=[HOST])), ids["run"], ids["data"], run, data


def png(side=12):
    data = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 77, np.uint8)).save(data, "PNG")
    return data.getvalue()


def test_a_view_goes_into_the_report_as_pixels_and_text(studio):
    from convscope.actions.views import view_sections
    from convscope.records.report import Report
    from convscope.reporting.render import render_report

    client, run, *_ = studio
    body = {"title": "<script>alert(1)</script>", "words": "seen", "code": "print(1)", "address": "#/maps",
            "picture": base64.b64encode(png() + b"<svg onload=alert(1)>").decode()}  # fmt: skip
    name = client.post(f"/api/runs/{run}/views", json=body, headers=OWN).json()["name"]
    assert name == "0001"
    file = studio[3] / "views" / "0001.png"
    with Image.open(io.BytesIO(file.read_bytes())) as image:
        assert b"svg" not in file.read_bytes() and image.size == (12, 12)
    page = render_report(Report("r", sections=tuple(view_sections(studio[3]))))
    assert "<script>alert" not in page and "&lt;script&gt;" in page and "print(1)" in page
    listed = client.get(f"/api/runs/{run}/views").json()
    assert [v["title"] for v in listed] == [body["title"]] and listed[0]["picture"] is True
    assert client.get(f"/api/runs/{run}/views/0001").headers["content-type"] == "image/png"
    assert client.post(f"/api/runs/{run}/views/0001/drop", json={}, headers=OWN).status_code == 200
    assert not file.exists() and client.get(f"/api/runs/{run}/views").json() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [({"picture": "not base64!"}, 400),
     ({"picture": base64.b64encode(b"GIF89a no").decode()}, 400), ({"title": ""}, 422),
     ({"title": "x" * 201}, 422), ({"picture": "A" * 900_001}, 422), ({"path": "/etc"}, 422)],
)  # fmt: skip
def test_a_view_that_is_none_is_refused(studio, change, status):
    answer = studio[0].post(f"/api/runs/{studio[1]}/views", json={"title": "a", **change}, headers=OWN)
    assert answer.status_code == status, answer.text
    assert not list((studio[3] / "views").glob("*")) if (studio[3] / "views").is_dir() else True


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fplan", "1", "0001.json", "²"])
def test_no_name_of_a_view_leads_out_of_the_run(studio, name):
    assert studio[0].post(f"/api/runs/{studio[1]}/views/{name}/drop", json={}, headers=OWN).status_code in (
        400,
        404,
        405,
    )
    assert (studio[3] / "plan.toml").is_file()


def test_decisions_are_written_beside_the_runs_and_heard_by_the_training(studio):
    client, _, data, run, folder = studio
    before = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    keys = [r["label"] for r in client.get("/api/pictures", params={"place": data, "count": 60}).json()["rows"]]
    answer = client.post(f"/api/decisions/{data}", json={"left_out": [3, 1, 3]}, headers=OWN)
    assert answer.json() == {"left_out": [1, 3]} == client.get(f"/api/decisions/{data}").json()
    written = json.loads((run.parent / "decisions" / f"{data}.json").read_text())
    assert written["leave_out"] == [keys[1], keys[3]] and str(folder) not in json.dumps(written)
    assert sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*")) == before
    for bad in ([999], [-1], list(range(len(keys)))):
        assert client.post(f"/api/decisions/{data}", json={"left_out": bad}, headers=OWN).status_code == 400
    assert client.post(f"/api/decisions/{data}", json={"left_out": []}, headers=OWN).json() == {"left_out": []}


def test_left_out_pictures_are_in_no_part_and_named(tmp_path):
    from convscope.actions.dataset import open_samples
    from convscope.errors import DataError
    from convscope.training.plan import Plan

    folder = make_pictures(tmp_path / "pictures", each=4)
    (folder / "left" / "broken.png").unlink()
    samples = open_samples(folder, Plan(leave_out=("left/01.png", "right/03.png")))
    assert len(samples) == 6 and "left/01.png" not in samples.pictures.keys
    assert [(s.key, s.reason) for s in samples.set_aside] == [
        ("left/01.png", "left out by the plan"), ("right/03.png", "left out by the plan"),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"no picture is named 'left/1\.png'"):
        open_samples(folder, Plan(leave_out=("left/1.png",)))


def test_accuracy_without_a_filter_is_counted_by_cutting_it(studio):
    from convscope.actions.opening import open_any

    found = studio[0].get("/api/drops", params={"model": studio[1], "layer": "block2_pool", "data": studio[2]}).json()
    opened = open_any(studio[3])
    dense = opened.model.get_layer("outputs")
    kernel, bias = dense.get_weights()
    rows = studio[0].get("/api/pictures", params={"place": studio[2], "count": 60}).json()["rows"]
    rows = [r for r in rows if "broken" not in r["label"]]
    assert found["n"] == len(rows) == 28 and len(found["drops"]) == 8
    from convscope.data.decode import decode_file
    from convscope.data.fit import fit_picture

    how = opened.card.preprocess
    images = np.stack([fit_picture(decode_file(studio[4] / r["label"], 3, (32, 32), key="x"), how)[0] for r in rows])
    truth = np.array([opened.card.classes.index(r["truth"]) for r in rows])

    def accuracy(without):
        cut = kernel.copy()
        if without is not None:
            cut[without] = 0  # the head sees each map of block2_pool through its mean
        dense.set_weights([cut, bias])
        outputs = np.asarray(opened.model.predict_on_batch(images.astype(np.float32)))
        return float((outputs.argmax(axis=1) == truth).mean())

    assert found["accuracy"] == pytest.approx(accuracy(None))
    own = [accuracy(None) - accuracy(c) for c in range(8)]
    np.testing.assert_allclose(found["drops"], own, atol=1e-9)


def test_a_dream_fires_its_filter_more_than_the_noise_did(studio):
    ask = {"model": studio[1], "layer": "block2_relu1", "channel": 1, "steps": 24}
    facts, arrays = unpack(studio[0].get("/api/dream", params=ask).content)
    assert facts["last"] > facts["first"]
    assert arrays["picture"].shape == (32, 32, 3) and arrays["picture"].dtype == np.uint8
