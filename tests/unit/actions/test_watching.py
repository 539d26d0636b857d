"""A run that is watched: heat of the same pictures after each epoch, over all phases, and the strip in the report."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L

import convscope
from convscope.actions.network import Prepared
from convscope.actions.watching import film, watch
from convscope.data.arrays import read_arrays
from convscope.errors import UnknownNameError
from convscope.explaining.watching import read_glances
from convscope.files.journal import JournalFile, read_journal
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples
from convscope.training.plan import Plan

pytestmark = pytest.mark.backend


def spots(n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A bright square on the left ("l") or on the right ("r")."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 60, (n, 16, 16, 3))
    truth = np.arange(n) % 2
    for image, side in zip(images, truth):
        image[5:11, 2 + 7 * side : 7 + 7 * side] += 180
    return images.astype("float32"), truth


def samples() -> Samples:
    x, y = spots()
    return read_arrays(x, y, classes=("l", "r"))


def net() -> keras.Model:
    keras.utils.set_random_seed(3)  # some draws have no heat for a class at all
    inputs = L.Input((16, 16, 3))
    x = L.Conv2D(3, 3, activation="relu", padding="same", name="conv")(inputs)
    return keras.Model(inputs, L.Dense(2, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def prepared(model: keras.Model | None = None) -> Prepared:
    return Prepared(model or net(), Preprocess(16, 16), "own")


def test_phases_are_counted_together_and_the_whole_model_is_looked_at(tmp_path: Path) -> None:
    """Two fits of one epoch each, the first of a part of the model, as when a head is trained on features."""
    ready, plan = prepared(), Plan(epochs=4, watch_pictures=2)
    (callback,) = watch(tmp_path, samples(), ready, plan)
    journal = JournalFile(tmp_path)
    x, y = spots()
    part = keras.Sequential([L.Input((3,)), ready.model.layers[-1]])
    part.compile("sgd", "sparse_categorical_crossentropy")
    features = x.mean(axis=(1, 2)) / 255
    for number, (model, data) in enumerate(((part, features), (ready.model, x / 255)), start=1):
        model.compile("sgd", "sparse_categorical_crossentropy")
        write = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs, n=number: journal.write("epoch", epoch=n))
        model.fit(data, y, epochs=1, verbose=0, callbacks=[write, callback])
    images, glances = read_glances(tmp_path)
    assert images.shape == (2, 16, 16, 3) and [g.epoch for g in glances] == [0, 1, 2]
    assert all(g.outputs.shape == (2, 2) for g in glances)
    assert (glances[0].heat != glances[1].heat).any() and (glances[1].heat != glances[2].heat).any()
    (section,) = film(tmp_path)
    assert [b.title for b in section.blocks] == ["l", "r"] and len(section.blocks[0].tiles) == 1 + 3
    assert "grad-cam of the true class" in section.note


def test_where_it_is_of_no_use_nothing_is_watched(tmp_path: Path) -> None:
    """Off by plan, too few epochs, numbers instead of classes; an unknown method is refused before training."""
    assert watch(tmp_path, samples(), prepared(), Plan(watch_pictures=0)) == []
    assert watch(tmp_path, samples(), prepared(), Plan(epochs=1, head_epochs=1)) == []
    x, y = spots()
    numbers = read_arrays(x, y + 0.5, task="regress")
    assert watch(tmp_path, numbers, prepared(), Plan()) == []
    with pytest.raises(UnknownNameError, match="did you mean grad-cam"):
        watch(tmp_path, samples(), prepared(), Plan(watch_method="gradcam"))
    assert film(tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_a_model_without_convolution_is_trained_all_the_same(tmp_path: Path) -> None:
    """The journal says why there is no film."""
    flat = keras.Sequential([L.Input((16, 16, 3)), L.Flatten(), L.Dense(2, activation="softmax")])
    flat.compile("sgd", "sparse_categorical_crossentropy")
    x, y = spots()
    (callback,) = watch(tmp_path, samples(), prepared(flat), Plan(epochs=4))
    flat.fit(x / 255, y, epochs=2, verbose=0, callbacks=[callback])
    notes = [e["text"] for e in read_journal(tmp_path) if e["event"] == "note"]
    assert len(notes) == 1 and "not watched" in notes[0] and film(tmp_path) == []


def test_a_run_shows_its_film(tmp_path: Path) -> None:
    """`convscope.train` watches by itself, and the report holds the strip."""
    x, y = spots(40)
    plan = Plan(model="simple-cnn", image_size=16, filters=(4,), epochs=4, batch_size=8, test_share=0.2)
    run = convscope.train((x, y), plan=plan, out=tmp_path / "run")
    _, glances = read_glances(run.path)
    assert [g.epoch for g in glances] == [0, 1, 2, 3, 4]
    text = Path(run.report()).read_text()
    assert "What it looks at, epoch by epoch" in text and "epoch 4" in text
