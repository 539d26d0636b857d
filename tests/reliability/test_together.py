"""Real processes that train together over the loopback give what one gives; lost and stopped ones go on.

Tolerance: 1e-4 of each weight's largest value after 3 epochs of 4 steps. Only the order of additions differs (the
losses differed by 2e-7 where it was tried); a team that trained unrelated models would differ by 1.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import convscope
from backends.pictures import bars
from convscope.actions import together
from convscope.actions.together import train_together
from convscope.training.signals import TrainingStopped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TOLERANCE = 1e-4
HERE = Path(__file__).parent
PLAN = convscope.Plan(
    model="simple-cnn", image_size=24, filters=(4, 8), epochs=3, batch_size=8, patience=0, keep_best=False,
    learning_rate=5e-3, schedule="cosine", test_share=0.25, dropout=0.0, watch_pictures=0, keep_checkpoints=9,
    augment=convscope.Augmentation(flip_horizontal=True, brightness=0.1),
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _jax() -> Any:
    """Only JAX trains by several processes; they are processes of their own, so this one's back end does not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "jax")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    return train_together(folder, processes=1, plan=PLAN, out=out).path


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "model.cvs" / "weights.safetensors")


def assert_same_training(run: Path, other: Path) -> None:
    mine, theirs = weights(run), weights(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=TOLERANCE * np.abs(theirs[name]).max())
    first, second = (convscope.open_run(r).history for r in (run, other))
    for column in ("loss", "val_loss", "accuracy", "val_accuracy"):
        np.testing.assert_allclose(first.column(column), second.column(column), rtol=1e-4)


def notes(run: Path) -> str:
    return "\n".join(e["text"] for e in convscope.open_run(run).events if e["event"] == "note")


@pytest.mark.parametrize(("processes", "devices"), [(2, 1), (1, 2), (2, 2)])
def test_together_as_alone(processes: int, devices: int, folder: Path, alone: Path, tmp_path: Path) -> None:
    run = train_together(folder, processes=processes, devices=devices, plan=PLAN, out=tmp_path / "run").path
    assert f"{processes} process" in notes(run)
    assert_same_training(run, alone)
    first, second = (r.joinpath("split.json").read_bytes() for r in (run, alone))
    assert first == second
    assert {p.name for p in run.iterdir()} == {p.name for p in alone.iterdir()}  # nobody else wrote anything


@pytest.fixture
def signalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let one of the processes send a signal at the second of the four batches of the second epoch."""

    def order(rank: int, number: int, to: str) -> None:
        facts = {"rank": rank, "step": 6, "signal": number, "to": to, "marker": str(tmp_path / "sent")}
        monkeypatch.setenv("CONVSCOPE_TEST_SIGNAL", json.dumps(facts))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setattr(together, "MODULE", "dying_worker")

    return order


@pytest.mark.parametrize("rank", [1, 0])
def test_a_lost_process_costs_nothing_that_a_checkpoint_holds(
    rank: int, folder: Path, alone: Path, tmp_path: Path, signalled: Callable[..., None]
) -> None:
    signalled(rank, signal.SIGKILL, "self")
    run = train_together(folder, processes=2, plan=PLAN, out=tmp_path / "run").path
    assert (tmp_path / "sent").exists()
    assert f"lost process {rank}" in notes(run) or f", {rank} (exit code -9)" in notes(run)
    assert "all begin again from epoch-0001" in notes(run)
    assert_same_training(run, alone)


def test_a_stop_is_one_for_all_and_fewer_processes_go_on(
    folder: Path, alone: Path, tmp_path: Path, signalled: Callable[..., None]
) -> None:
    out = tmp_path / "run"
    signalled(0, signal.SIGTERM, "parent")
    with pytest.raises(TrainingStopped):
        train_together(folder, processes=2, plan=PLAN, out=out)
    assert (tmp_path / "sent").exists()
    assert not (out / "model.cvs").exists()
    assert (out / "checkpoints" / "epoch-0002").exists()  # two ticks after the second of four batches
    run = train_together(None, processes=1, resume=out, plan=PLAN).path
    assert_same_training(run, alone)


def test_features_of_a_frozen_network_are_shared_out(folder: Path, tmp_path: Path) -> None:
    plan = PLAN.with_changes(
        {"model": "efficientnet-lite0", "image_size": 32, "head_epochs": 3, "unfreeze": 0,
         "augment": convscope.Augmentation(), "schedule": "constant"}
    )  # fmt: skip
    runs = [
        train_together(folder, processes=n, plan=plan, out=tmp_path / f"by-{n}").path for n in (1, 2)
    ]  # fmt: skip
    assert_same_training(runs[1], runs[0])


def is_free(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) != 0


def test_processes_that_slurm_has_started_find_each_other(folder: Path, alone: Path, tmp_path: Path) -> None:
    """As under srun, whose variables are set here."""
    out, plan = tmp_path / "run", tmp_path / "plan.toml"
    plan.write_text(PLAN.to_toml())
    job = next(str(n) for n in range(4000) if is_free(61_000 + n))
    command = [sys.executable, "-m", "convscope", "train", str(folder), "--plan", str(plan), "--out", str(out)]
    processes = [
        subprocess.Popen(
            [*command, "--launcher", "env", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "SLURM_JOB_ID": job, "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2",
                 "SLURM_PROCID": str(rank)},
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=600) for process in processes]
    assert [p.returncode for p in processes] == [0, 0], said
    assert "accuracy" in json.loads(said[0][0])["values"], "nothing but the answer, whatever Gloo says"
    assert said[1][0] == ""
    assert (out / "report.html").is_file()
    assert_same_training(out, alone)


def test_tensorflow_spreads_a_batch_over_its_devices(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    runs = [
        train_together(folder, processes=1, devices=n, plan=PLAN, out=tmp_path / f"on-{n}").path for n in (1, 2)
    ]  # fmt: skip
    assert "1 process with 2 devices" in notes(runs[1])
    assert_same_training(runs[1], runs[0])


@pytest.fixture
def ray_cluster() -> Any:
    """A small real one on this machine."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=2, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False, configure_logging=False,
    )  # fmt: skip
    try:
        yield ray
    finally:
        ray.shutdown()


@pytest.mark.filterwarnings("ignore")  # Ray's own, of its sockets
def test_ray_places_the_processes(folder: Path, alone: Path, tmp_path: Path, ray_cluster: Any) -> None:
    run = train_together(folder, processes=2, launcher="ray", plan=PLAN, out=tmp_path / "run").path
    assert "2 processes" in notes(run)
    assert_same_training(run, alone)


@pytest.mark.filterwarnings("ignore")
def test_ray_tunes_and_stores(folder: Path, alone: Path, tmp_path: Path, ray_cluster: Any) -> None:
    pytest.importorskip("optuna")
    from convscope.actions.store import store_data

    space = {"dropout": {"choices": [0.0, 0.2, 0.4]}}
    plan = PLAN.with_changes({"epochs": 1})
    study = convscope.tune(
        folder,
        space=space,
        plan=plan,
        method="grid",
        trials=3,
        jobs=2,
        launcher="ray",
        reruns=1,
        out=tmp_path / "study",
    )
    assert [t.state for t in study.facts.trials] == ["complete"] * 3
    keeping = {"dtype": "float32"}
    stored = [
        store_data(str(alone), str(folder), tmp_path / f"{n}.zarr", ["**conv*"], keeping=keeping, processes=n,
                   launcher="ray" if n > 1 else "local")
        for n in (1, 2)
    ]  # fmt: skip
    assert stored[1].is_complete
    for layer in stored[0].layers:
        np.testing.assert_allclose(stored[1].channel(layer, 0), stored[0].channel(layer, 0), atol=1e-5)
