"""fit on small real pictures: what it trains, keeps, writes and refuses."""

import signal

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from convscope.backend.tensors import to_numpy
from convscope.data.arrays import read_arrays
from convscope.data.chance import epoch_order
from convscope.errors import DataError, ModelError, PlanError
from convscope.files.journal import read_journal
from convscope.models.network import build_network
from convscope.models.simple_cnn import SimpleCnnOptions
from convscope.records.geometry import Preprocess
from convscope.training.callbacks import Journal, Watch
from convscope.training.fit import DivergedError, TrainingJob, TrainingStopped, fit
from convscope.training.plan import Plan

pytestmark = pytest.mark.backend

BASE = Plan(epochs=2, batch_size=32, learning_rate=0.01, workers=1, patience=0, deterministic=False)


def digits(n=200, n_val=80, classes=10):
    found = load_digits(n_class=classes)
    x = (found.images[..., None] * 15.9).astype(np.uint8)[: n + n_val]
    samples = read_arrays(x, found.target[: n + n_val])
    return samples.subset(np.arange(n)), samples.subset(np.arange(n, n + n_val))


def job(plan=BASE, **changes):
    train, val = digits(**changes)
    return TrainingJob(train, val, Preprocess(8, 8, 1, "stretch"), plan)


def small_network(seed=0):
    return build_network(
        "simple-cnn", outputs=10, output_activation="softmax", input_hw=(8, 8), channels=1, weights="none", seed=seed,
        options=SimpleCnnOptions(filters=(8,), batch_norm=False),
    )  # fmt: skip


def listing(units=10, last="softmax", loss="categorical_crossentropy"):
    model = keras.Sequential(
        [
            keras.layers.Conv2D(8, (3, 3), activation="relu", input_shape=(8, 8, 1)),
            keras.layers.MaxPooling2D(pool_size=(2, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=last),
        ]
    )
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    ("loss", "last"),
    [
        ("categorical_crossentropy", "softmax"),
        ("sparse_categorical_crossentropy", "softmax"),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), None),
    ],
)
def test_a_users_own_model_is_trained_as_it_was_compiled(tmp_path, loss, last):
    keras.utils.set_random_seed(0)
    model = listing(loss=loss, last=last)
    optimizer = model.optimizer
    history = fit(model, job(BASE.with_changes({"epochs": 4})), folder=tmp_path)
    assert model.optimizer is optimizer and model.loss is loss
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert {"accuracy", "val_accuracy", "learning_rate"} <= set(history.epochs[0])


def test_two_classes_and_one_output_equal_a_plain_fit(tmp_path):
    train, val = digits(n=120, n_val=60, classes=2)
    model = listing(units=1, last="sigmoid", loss="binary_crossentropy")
    twin = listing(units=1, last="sigmoid", loss="binary_crossentropy")
    twin.set_weights(model.get_weights())
    history = fit(model, TrainingJob(train, val, Preprocess(8, 8, 1, "stretch"), BASE), folder=tmp_path)
    x = np.stack([train.pictures.read(i, 1).values for i in range(120)]).astype(np.float32)
    plain = []
    for epoch in range(2):
        order = epoch_order(BASE.seed, epoch, 120, True)
        y = train.truth[order, None].astype(np.float32)
        plain += twin.fit(x[order], y, batch_size=32, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(history.column("loss"), plain, rtol=1e-4)
    for mine, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_a_model_with_too_few_outputs_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected 10 outputs for 10 classes, the model has 7"):
        fit(listing(units=7), job(), folder=tmp_path)


def test_the_journal_tells_the_history(tmp_path):
    steps = []
    net = small_network()
    history = fit(net, job(), folder=tmp_path, progress=lambda *a: steps.append(a))
    rows = [e for e in read_journal(tmp_path) if e["event"] == "epoch"]
    assert [{k: r[k] for k in row} for r, row in zip(rows, history.epochs, strict=True)] == list(history.epochs)
    assert [s for s in steps if s[0] == "train"] == [("train", n, 14) for n in range(1, 15)]
    last = rows[-1]
    assert steps[-1][0].startswith(f"train, epoch 2/2: accuracy {last['accuracy']:.3g}, loss {last['loss']:.3g}")
    assert f"val_loss {last['val_loss']:.3g}" in steps[-1][0] and steps[-1][1:] == (0, 0)


def test_the_best_epoch_is_kept_and_patience_stops(tmp_path):
    plan = BASE.with_changes({"epochs": 30, "learning_rate": 0.5, "patience": 2, "optimizer": "sgd", "clipnorm": 1.0})
    net = small_network()
    history = fit(net, job(plan), folder=tmp_path)
    losses = history.column("val_loss")
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 30
    _, val = digits()
    x = np.stack([val.pictures.read(i, 1).values for i in range(len(val))]).astype(np.float32)
    outputs = np.asarray(net.model.predict(x, verbose=0))
    mean = -np.log(outputs[np.arange(len(val)), val.truth]).mean()
    assert mean == pytest.approx(losses[best], rel=1e-3)


def pretrained_network(tmp_path):
    path = tmp_path / "w.weights.h5"
    small_network().model.save_weights(path)
    return build_network(
        "simple-cnn", outputs=10, output_activation="softmax", input_hw=(8, 8), channels=1, weights=str(path),
        options=SimpleCnnOptions(filters=(8,), batch_norm=False),
    )  # fmt: skip


def test_ctrl_c_while_features_are_computed_ends_there_and_says_that_nothing_is_kept(tmp_path):
    steps = []

    def press(*step):
        steps.append(step)
        if step == ("features of train", 2, 7):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingStopped, match="stopped at features of train; nothing was learned yet") as stopped:
        fit(pretrained_network(tmp_path), job(), folder=tmp_path, progress=press)
    assert stopped.value.exit_code == 130 and steps[-1][1] == 2
    assert read_journal(tmp_path)[-1]["event"] == "stop"


def test_a_pretrained_network_learns_its_head_on_features_then_its_last_stage(tmp_path):
    net = pretrained_network(tmp_path)
    kernel = net.model.get_layer("block1_conv1").kernel
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(
                (
                    self.model is net.model,
                    np.array(to_numpy(kernel.value)),
                )
            )

    plan = BASE.with_changes({"head_epochs": 2, "epochs": 1, "augment": {"shift": 0.1}, "keep_best": False})
    history = fit(net, job(plan), folder=tmp_path, callbacks=[Spy()])
    assert [row["phase"] for row in history.epochs] == ["head", "head", "fine-tune"]
    assert [whole for whole, _ in seen] == [False, False, True]
    np.testing.assert_array_equal(seen[0][1], seen[1][1])
    assert np.abs(seen[2][1] - seen[1][1]).max() > 0
    notes = [e["text"] for e in read_journal(tmp_path) if e["event"] == "note"]
    assert any("unaugmented" in text for text in notes)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    plan = BASE.with_changes({"learning_rate": 1e30, "optimizer": "sgd"})
    with pytest.raises(DivergedError, match=r"epoch 1, batch \d"):
        fit(small_network(), job(plan), folder=tmp_path)
    assert read_journal(tmp_path)[-1]["event"] == "stop"


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "plateau", "plateau_patience": 1, "learning_rate": 1e-6, "min_delta": 10, "epochs": 3},
        {"class_weights": "balanced", "label_smoothing": 0.1, "weight_decay": 0.01, "optimizer": "adamw"},
        {"find_learning_rate": True, "epochs": 1},
        {"ema": 0.9, "keep_best": False},
    ],
)
def test_options_train(tmp_path, changes):
    history = fit(small_network(), job(BASE.with_changes(changes)), folder=tmp_path)
    rates = history.column("learning_rate")
    assert np.isfinite(history.column("loss")).all()
    if "plateau_patience" in changes:
        np.testing.assert_allclose(rates, [1e-6, 1e-6, 0.5e-6], rtol=1e-5)
    if "find_learning_rate" in changes:
        assert rates[0] != pytest.approx(0.01) and 1e-5 < rates[0] < 1


def test_sixteen_bits_leave_nothing_behind(tmp_path):
    net = small_network()
    policy = keras.config.dtype_policy().name
    fit(net, job(BASE.with_changes({"mixed_precision": "bfloat16", "epochs": 1})), folder=tmp_path)
    assert keras.config.dtype_policy().name == policy
    assert {layer.dtype_policy.name for layer in net.model.layers} == {"float32"}
    assert {str(w.dtype) for w in net.model.weights} == {"float32"}


def test_plans_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(PlanError, match="at most the 200 training pictures"):
        fit(small_network(), job(BASE.with_changes({"batch_size": 500})), folder=tmp_path)
    with pytest.raises(PlanError, match="did you mean val_loss"):
        fit(small_network(), job(BASE.with_changes({"monitor": "vall_loss"})), folder=tmp_path)
    with pytest.raises(PlanError, match="unknown optimizer 'addam'; did you mean adam"):
        fit(small_network(), job(BASE.with_changes({"optimizer": "addam"})), folder=tmp_path)
    with pytest.raises(PlanError, match="unknown loss"):
        fit(small_network(), job(BASE.with_changes({"loss": "categorical"})), folder=tmp_path)


def test_pictures_without_truth_are_refused(tmp_path):
    val = digits()[1]
    bare = read_arrays(np.zeros((4, 8, 8, 1), np.uint8))
    with pytest.raises(DataError, match="truth"):
        fit(small_network(), TrainingJob(bare, val, Preprocess(8, 8, 1), BASE), folder=tmp_path)


def test_journal_and_watch_in_ones_own_fit(tmp_path):
    train, _ = digits()
    x = np.stack([train.pictures.read(i, 1).values for i in range(64)]).astype(np.float32)
    y = np.eye(10, dtype=np.float32)[train.truth[:64]]
    model = listing()
    looked = []

    def look(model, images):
        looked.append(len(images))
        return {"sum": images.sum(axis=(1, 2, 3))}

    watch = Watch(x[:3], folder=tmp_path, layers=(model.layers[0].name,), look=look)
    model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[Journal(tmp_path), watch])
    events = read_journal(tmp_path)
    assert [e["event"] for e in events] == ["start", "epoch", "epoch", "end"]
    assert {"loss", "val_loss", "learning_rate", "seconds"} <= set(events[1])
    with np.load(tmp_path / "watch" / "epoch-0002.npz") as saved:
        assert saved["outputs"].shape == (3, 10) and saved[f"maps:{model.layers[0].name}"].shape == (3, 6, 6, 8)
        np.testing.assert_allclose(saved["outputs"], model.predict(x[:3], verbose=0), atol=1e-5)
    assert looked == [3, 3, 3]
