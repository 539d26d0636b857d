"""A run that is killed and resumed equals one that was not: weights, optimizer, history, bit for bit."""

import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from convscope.backend.tensors import to_numpy
from convscope.data.arrays import read_arrays
from convscope.errors import RunError
from convscope.files.journal import read_journal
from convscope.models.network import build_network
from convscope.models.simple_cnn import SimpleCnnOptions
from convscope.records.geometry import Preprocess
from convscope.training import checkpoint
from convscope.training.checkpoint import Checkpoint, checkpoints, newest_valid, read_checkpoint
from convscope.training.fit import TrainingJob, TrainingStopped, fit
from convscope.training.plan import Plan

pytestmark = pytest.mark.backend

PLAN = Plan(
    epochs=3,
    batch_size=8,
    learning_rate=0.01,
    schedule="cosine",
    warmup_epochs=1,
    optimizer="adam",
    patience=0,
    ema=0.9,
    workers=1,
    cache_mb=1,
    augment={"flip_horizontal": True, "brightness": 0.2, "mixup": 0.4},
    checkpoint_minutes=1e-9,  # inside every epoch, after every batch
    keep_checkpoints=50,
)


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Dies as a process would, after the checkpoint of a given batch."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise Killed


class Ask(keras.callbacks.Callback):
    """Presses Ctrl-C at a given step."""

    def __init__(self, step, number=signal.SIGINT):
        super().__init__()
        self.left, self.number = step, number

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


def data(seed=0, n=30):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.integers(0, 120, (n, 12, 12, 3)) + 60 * (np.arange(3) == y[:, None])[:, None, None, :]
    samples = read_arrays(x.astype(np.uint8), y)
    return samples.subset(np.arange(n - 9)), samples.subset(np.arange(n - 9, n))


def network():
    return build_network(
        "simple-cnn", outputs=3, output_activation="softmax", input_hw=(12, 12), weights="none", dropout=0.3, seed=1,
        options=SimpleCnnOptions(filters=(4,)),
    )  # fmt: skip


def job(plan=PLAN, seed=0):
    train, val = data(seed)
    return TrainingJob(train, val, Preprocess(12, 12, 3, "stretch"), plan)


def everything(network, history):
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in history.epochs]
    return (
        [np.array(to_numpy(v.value)) for v in network.model.variables],
        [np.array(to_numpy(v.value)) for v in network.model.optimizer.variables],
        rows,
    )


def assert_equal(a, b):
    assert a[2] == b[2]
    for mine, other in zip(a[0] + a[1], b[0] + b[1], strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    net = network()
    history = fit(net, job(), folder=tmp_path_factory.mktemp("whole"))
    return everything(net, history)


def test_a_second_run_with_the_same_seed_is_the_same(whole, tmp_path):
    net = network()
    assert_equal(everything(net, fit(net, job(), folder=tmp_path)), whole)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_killed_run_goes_on_exactly(whole, tmp_path, steps):
    with pytest.raises(Killed):
        fit(network(), job(), folder=tmp_path, callbacks=[Kill(steps)])
    keras.utils.set_random_seed(99)
    net = network()
    assert_equal(everything(net, fit(net, job(), folder=tmp_path, resume=True)), whole)
    assert "resume" in [e["event"] for e in read_journal(tmp_path)]


@pytest.mark.parametrize("last_write", ["the epoch's", "the phase's"])
@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({"patience": 1, "min_delta": 100.0}, 2),  # nothing is ever a gain
        ({"epochs": 2, "keep_best": False}, 2),  # the averages of the end are the result
    ],
    ids=["patience", "averages"],
)
def test_a_run_killed_after_its_last_epoch_is_not_trained_on(tmp_path, monkeypatch, changes, epochs, last_write):
    plan = PLAN.with_changes(changes)
    straight = network()
    rows = everything(straight, fit(straight, job(plan), folder=tmp_path / "whole"))[2]
    assert len(rows) == epochs
    real, left = Checkpoint.write, 1 if last_write == "the epoch's" else 2

    def write(self):
        nonlocal left
        real(self)
        if len(self._state.rows) == epochs:
            left -= 1
            if not left:
                raise Killed

    monkeypatch.setattr(Checkpoint, "write", write)
    monkeypatch.setattr(checkpoint, "_OVERHEAD", 0.0)  # one at each epoch's end, however fresh the last is
    with pytest.raises(Killed):
        fit(network(), job(plan), folder=tmp_path / "run")
    monkeypatch.undo()
    net = network()
    history = fit(net, job(plan), folder=tmp_path / "run", resume=True)
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in history.epochs] == rows
    for mine, other in zip(net.model.variables, straight.model.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(mine.value), to_numpy(other.value))
    ended = [newest_valid(tmp_path / name)[0].state.ended for name in ("run", "whole")]
    assert ended[0] == ended[1]


def test_ctrl_c_stops_at_a_batch_with_a_checkpoint_and_goes_on_exactly(whole, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingStopped) as stopped:
        fit(network(), job(PLAN.with_changes({"checkpoint_minutes": 60})), folder=tmp_path, callbacks=[Ask(5)])
    assert stopped.value.exit_code == 130
    assert str(stopped.value).endswith(f"with a checkpoint; go on with: convscope train --resume {tmp_path}")
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoints(tmp_path)[0].name == "epoch-0001-batch-00002"
    assert read_journal(tmp_path)[-1]["event"] == "stop"
    net = network()
    assert_equal(everything(net, fit(net, job(), folder=tmp_path, resume=True)), whole)


def test_sigterm_in_the_last_batch_waits_for_the_epochs_end(tmp_path):
    with pytest.raises(TrainingStopped) as stopped:
        fit(network(), job(), folder=tmp_path, callbacks=[Ask(3, signal.SIGTERM)])
    assert stopped.value.exit_code == 143
    assert checkpoints(tmp_path)[0].name == "epoch-0001"


def test_a_damaged_checkpoint_is_named_and_passed_over(whole, tmp_path):
    with pytest.raises(Killed):
        fit(network(), job(), folder=tmp_path, callbacks=[Kill(5)])
    newest = checkpoints(tmp_path)[0]
    target = newest / "weights.safetensors"
    blob = bytearray(target.read_bytes())
    blob[len(blob) // 2] ^= 1
    target.write_bytes(bytes(blob))
    net = network()
    assert_equal(everything(net, fit(net, job(), folder=tmp_path, resume=True)), whole)
    notes = [e["text"] for e in read_journal(tmp_path) if e["event"] == "note"]
    assert any("weights.safetensors" in text and "SHA-256" in text for text in notes)
    assert (newest.parent / f"damaged-{newest.name}").is_dir()


def test_no_whole_checkpoint_is_an_error_that_names_each(tmp_path):
    with pytest.raises(RunError, match="none is there"):
        fit(network(), job(), folder=tmp_path, resume=True)
    with pytest.raises(Killed):
        fit(network(), job(), folder=tmp_path, callbacks=[Kill(1)])
    for path in checkpoints(tmp_path):
        (path / "state.json").unlink()
    with pytest.raises(RunError, match=r"state\.json"):
        fit(network(), job(), folder=tmp_path, resume=True)


def test_other_data_or_plan_is_refused_and_named(tmp_path):
    with pytest.raises(Killed):
        fit(network(), job(), folder=tmp_path, callbacks=[Kill(1)])
    train, val = data(0, n=27)
    smaller = TrainingJob(train, val, Preprocess(12, 12, 3, "stretch"), PLAN)
    with pytest.raises(RunError, match="another data set"):
        fit(network(), smaller, folder=tmp_path, resume=True)
    with pytest.raises(RunError, match="batch_size = 8"):
        fit(network(), job(PLAN.with_changes({"batch_size": 4})), folder=tmp_path, resume=True)
    with pytest.raises(RunError, match=r"augment\.brightness"):
        changed = PLAN.with_changes({"augment": {"flip_horizontal": True, "brightness": 0.1, "mixup": 0.4}})
        fit(network(), job(changed), folder=tmp_path, resume=True)


def test_a_finished_run_goes_on_with_more_epochs(tmp_path):
    plan = PLAN.with_changes({"epochs": 1, "schedule": "constant", "warmup_epochs": 0, "ema": 0})
    fit(network(), job(plan), folder=tmp_path)
    net = network()
    history = fit(net, job(plan.with_changes({"epochs": 3})), folder=tmp_path, resume=True)
    assert [row["epoch"] for row in history.epochs] == [1, 2, 3]
    straight = network()
    other = fit(straight, job(plan.with_changes({"epochs": 3})), folder=Path(tmp_path) / "straight")
    assert_equal(everything(net, history), everything(straight, other))


def test_checkpoints_hold_what_they_say(tmp_path):
    fit(network(), job(PLAN.with_changes({"keep_checkpoints": 2})), folder=tmp_path)
    kept = checkpoints(tmp_path)
    saved = read_checkpoint(kept[0])
    assert 2 <= len(kept) <= 3 and saved.state.ended == "epochs" and len(saved.state.rows) == 3
    assert f"epoch-{saved.state.best_epoch:04d}" in [p.name for p in kept]
