"""Runs followed elsewhere: what TensorFlow itself reads from the event files, what stands in the tables."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convscope
from convscope.errors import MissingExtraError, StorageError, UnknownNameError
from convscope.training.plan import Plan
from convscope.training.tracking import filter_picture, flat_plan, map_picture

pytestmark = pytest.mark.backend

PLAN = Plan(
    model="simple-cnn", weights="none", image_size=12, fit="stretch", filters=(4, 6), epochs=2, batch_size=8, workers=1,
    cache_mb=1, augment={"rotate_deg": 5.0},
)  # fmt: skip


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(45) % 3
    x = rng.integers(0, 120, (45, 12, 12, 3)) + 50 * (np.arange(3) == y[:, None])[:, None, None, :]
    return x.astype(np.uint8), y


def train(folder: Path, *trackers: str, **changes: Any) -> Any:
    return convscope.train(data(), plan=PLAN.with_changes({"track": trackers, **changes}), out=folder)


def tensorboard_events(folder: Path) -> list[Any]:
    """By TensorFlow's own reader; tensorboardX' messages where TensorFlow is absent."""
    files = sorted((folder / "tensorboard").glob("events*"))
    tf = pytest.importorskip("tensorflow")
    return [e for f in files for e in tf.compat.v1.train.summary_iterator(str(f))]


def test_tensorflow_reads_what_tensorboard_was_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    run = train(tmp_path / "r", "tensorboard")
    values = [(e.step, v) for e in tensorboard_events(tmp_path / "r") for v in e.summary.value]
    scalars = {(v.tag, step): v.simple_value for step, v in values if v.WhichOneof("value") == "simple_value"}
    for row in run.history.epochs:
        assert scalars["loss/train", row["epoch"]] == pytest.approx(row["loss"], rel=1e-6)
        assert scalars["loss/val", row["epoch"]] == pytest.approx(row["val_loss"], rel=1e-6)
        assert scalars["run/learning_rate", row["epoch"]] == pytest.approx(1e-3)
    histograms = {v.tag: v.histo for step, v in values if v.WhichOneof("value") == "histo" and step == 2}
    sizes = {layer.name: layer.kernel for layer in run.model.layers if hasattr(layer, "kernel")}
    assert {f"{name}/kernel" for name in sizes} == set(histograms)
    assert sum(h.num for h in histograms.values()) == sum(int(np.prod(k.shape)) for k in sizes.values())
    pictures = {v.tag: v.image for step, v in values if v.WhichOneof("value") == "image" and step == 1}
    assert {t.partition("/")[0] for t in pictures} >= {"filters", "maps"}
    assert all(p.encoded_image_string.startswith(b"\x89PNG") for p in pictures.values())
    assert any("hparams" in v.metadata.plugin_data.plugin_name for _, v in values)


def test_tables_hold_every_epoch_once_also_after_a_resume(tmp_path: Path) -> None:
    train(tmp_path / "r", "csv", "jsonl", epochs=1)
    run = convscope.resume(tmp_path / "r", data=data(), changes={"epochs": 3})
    with open(tmp_path / "r" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3]
    assert [float(r["val_loss"]) for r in rows] == [r["val_loss"] for r in run.history.epochs]
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [r["loss"] for r in run.history.epochs]


def test_tracking_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    plain, followed = train(tmp_path / "a"), train(tmp_path / "b", "tensorboard", "csv")
    for mine, other in zip(plain.model.get_weights(), followed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_an_unknown_tracker_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean tensorboard"):
        train(tmp_path / "r", "tensorbord")


@pytest.mark.parametrize(
    ("name", "package"), [("mlflow", "mlflow"), ("wandb", "wandb"), ("tensorboard", "tensorboardX")]
)
def test_an_absent_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'convscope\[{name}\]'"):
        train(tmp_path / "r", name)


def test_weights_and_biases_is_told_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in of its interface: the service itself would send the numbers away."""
    told: list[Any] = []

    class Run:
        def __init__(self) -> None:
            self.summary: dict[str, float] = {}

        def log(self, values: dict[str, Any], step: int) -> None:
            told.append((step, values))

        def finish(self) -> None:
            told.append("finished")

    fake = types.ModuleType("wandb")
    fake.init = lambda **options: told.append(options) or Run()  # type: ignore[attr-defined]
    fake.Histogram = lambda values: ("histogram", values.size)  # type: ignore[attr-defined]
    fake.Image = lambda picture: ("picture", picture.shape)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    run = train(tmp_path / "r", "wandb")
    assert told[0]["config"]["augment.rotate_deg"] == 5.0
    assert told[0]["id"] == "r"
    assert [step for step, _ in told[1:-1]] == [1, 2]
    assert told[1][1]["val_loss"] == run.history.epochs[0]["val_loss"]
    assert told[-1] == "finished"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow's own
def test_mlflow_in_its_own_store(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    run = train(tmp_path / "r", "mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    found = client.get_run((tmp_path / "r" / "mlflow-run.txt").read_text())
    assert found.data.params["augment/rotate_deg"] == "5.0"
    history = client.get_metric_history(found.info.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(r["epoch"], r["val_loss"]) for r in run.history.epochs]
    assert found.info.status == "FINISHED"


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Any:
    """A real server on the loopback, with a store and files of its own."""
    pytest.importorskip("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(tmp_path / "kept"),
    ]  # fmt: skip
    with open(tmp_path / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 180
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                if answer.status == 200:
                    break
            assert server.poll() is None and time.monotonic() < until, (tmp_path / "server.log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_on_a_real_server(tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    run = train(tmp_path / "r", "mlflow")
    client = mlflow.MlflowClient(tracking_uri=mlflow_server)
    found = client.get_run((tmp_path / "r" / "mlflow-run.txt").read_text())
    assert found.data.params["epochs"] == "2"
    history = client.get_metric_history(found.info.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(r["epoch"], r["val_loss"]) for r in run.history.epochs]
    pictures = [p for p in (tmp_path / "kept").rglob("*.png")]
    assert {"filters", "maps"} <= {part for p in pictures for part in p.parts}
    assert not (tmp_path / "mlflow.db").exists()


def test_mlflow_out_of_reach_is_one_line_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StorageError, match=r"can't reach MLflow at http://\*\*\*@127.0.0.1:9") as refused:
        train(tmp_path / "r", "mlflow")
    assert "secret" not in str(refused.value)


def test_pictures_are_tiles_of_the_values() -> None:
    kernel = np.zeros((3, 3, 2, 5), np.float32)
    kernel[1, 1, :, 0], kernel[1, 1, :, 1] = 1.0, -1.0
    picture = filter_picture(kernel)
    side = 3 * 16  # each pixel of a 3x3 kernel becomes 16x16
    assert picture.shape == (2 * (side + 2), 4 * (side + 2), 3)
    assert picture[24, 24].argmax() == 0  # positive is red
    assert picture[24, side + 2 + 24].argmax() == 2  # negative is blue
    maps = np.stack([np.arange(4.0).reshape(2, 2), np.zeros((2, 2))], axis=2)
    assert map_picture(maps)[47, 47].tolist() == [253, 231, 37]  # the highest value is viridis' yellow


def test_a_plan_as_one_level() -> None:
    flat = flat_plan(PLAN)
    assert (flat["augment.rotate_deg"], flat["filters"], flat["epochs"]) == (5.0, "[4, 6]", 2)
    assert all(isinstance(v, str | int | float | bool) for v in flat.values())
