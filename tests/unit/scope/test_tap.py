"""The tap's promises besides the zoo: errors, fresh weights, threads, one compile per shape, flat memory."""

from __future__ import annotations

import gc
import resource
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.backend import gradients as engine
from convscope.errors import ModelError, TapUnreachableError, TargetError, UnknownLayerError
from convscope.records.features import TargetName
from convscope.scope.tap import Probe
from convscope.scope.target import Target

pytestmark = [
    pytest.mark.backend,
    # Keras' own get_weights() under NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

PICTURES = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")


def small(activation: str = "softmax", units: int = 3) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = L.Input((8, 8, 3))
    x = L.GlobalAveragePooling2D(name="gap")(L.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    return keras.Model(inputs, L.Dense(units, activation=activation, name="head")(x))


def test_new_weights_are_seen_at_once() -> None:
    model = small()
    probe = Probe(model)
    before = probe.activations(PICTURES, "conv")["conv"]
    model.get_layer("conv").set_weights([2 * w for w in model.get_layer("conv").get_weights()])
    np.testing.assert_allclose(probe.activations(PICTURES, "conv")["conv"], 2 * before, rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((8, 8, 3)), "add a batch axis"),
        (np.zeros((1, 9, 8, 3)), r"expected pictures of shape \(n, 8, 8, 3\), got \(1, 9, 8, 3\)"),
        (np.zeros((0, 8, 8, 3)), "at least one sample"),
        ([np.zeros((1, 8, 8, 3))] * 2, "expected 1 inputs, got 2"),
        ("cat.png", "file path"),
        (np.array([["a"]]), "arrays of numbers"),
    ],
)
def test_pictures_that_do_not_fit(images: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Probe(small()).outputs(images)


def test_no_keras_model_and_no_weights() -> None:
    with pytest.raises(ModelError, match="expected a Keras model, got dict"):
        Probe({})
    with pytest.raises(ModelError, match="no weights yet"):
        Probe(keras.Sequential([L.Dense(2)])).calls()


def test_a_layer_behind_the_score_is_an_error_not_zeros() -> None:
    with pytest.raises(TapUnreachableError, match="does not depend on layer 'head'"):
        Probe(small()).gradients(PICTURES, None, "head")


def test_a_branch_that_does_not_reach_the_output() -> None:
    inputs = L.Input((8, 8, 3))
    one, two = L.Conv2D(2, 3, name="one")(inputs), L.Conv2D(2, 3, name="two")(inputs)
    outputs = [L.GlobalMaxPooling2D()(one), L.GlobalMaxPooling2D()(two)]
    probe = Probe(keras.Model(inputs, outputs))
    with pytest.raises(TapUnreachableError, match="layer 'two'"):
        probe.gradients(PICTURES, None, ["one", "two"])
    seen = probe.gradients(PICTURES, Target(0, output=1), "two")
    assert np.abs(seen.gradients[probe.place("two")]).sum() > 0


@keras.saving.register_keras_serializable(package="taps")
class Loop(L.Layer):
    """Runs its inner layer in a loop of the back end."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = L.Dense(3, name="inner")

    def build(self, shape: tuple) -> None:
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        return keras.ops.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, self.inner(y)), (0, x))[1]


def test_a_layer_inside_a_loop_is_named() -> None:
    inputs = L.Input((3,))
    probe = Probe(keras.Model(inputs, L.Dense(2, name="head")(Loop(name="loop")(inputs))))
    x = np.ones((2, 3), "float32")
    assert probe.activations(x, "loop")["loop"].shape == (2, 3)
    if keras.backend.backend() == "jax":
        with pytest.raises(TapUnreachableError, match="'loop/inner' runs inside a loop"):
            probe.activations(x, "loop/inner")
    else:
        try:
            names = probe.select("loop/inner*")
            assert probe.activations(x, names[0])[names[0]].shape == (2, 3)
        except TapUnreachableError as error:
            assert "loop/inner" in str(error)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (3, "from 0 to 2, got 3"),
        ("dog", "unknown class 'dog'; did you mean dogs"),
        ([0, 1], "one class for each of 3 pictures, got 2"),
        (Target(0, output="tail"), "unknown output 'tail'"),
        (Target(0, output=4), "output number from 0 to 0"),
        (lambda outputs: outputs, "one score per picture"),
    ],
)
def test_targets_that_do_not_exist(target: Any, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        Probe(small(), classes=("cats", "dogs", "fish")).gradients(PICTURES, target, "conv")


def test_no_rank_two_output_asks_for_a_target() -> None:
    inputs = L.Input((8, 8, 3))
    probe = Probe(keras.Model(inputs, L.Conv2D(2, 3, name="conv")(inputs)))
    with pytest.raises(TargetError, match=r"pass target="):
        probe.gradients(PICTURES, None, "conv")


@pytest.mark.parametrize(
    ("activation", "units", "kind", "score"),
    [
        ("softmax", 3, "logit", lambda z: z.max(axis=1)),
        ("sigmoid", 3, "logit", lambda z: z.max(axis=1)),
        ("linear", 3, "value", lambda z: z.max(axis=1)),
    ],
)
def test_default_target(activation: str, units: int, kind: str, score: Callable[[Any], Any]) -> None:
    model = small(activation, units)
    seen = Probe(model, classes=("a", "b", "c")).gradients(PICTURES, None, "conv")
    weights, bias = model.get_layer("head").get_weights()
    features = keras.Model(model.inputs, model.get_layer("gap").output).predict(PICTURES, verbose=0)
    np.testing.assert_allclose(seen.scores, score(features @ weights + bias), rtol=1e-4)
    best = int(np.argmax((features @ weights + bias)[0]))
    assert seen.target.names(seen.chosen)[0] == TargetName("head", best, "abc"[best], kind)


def test_probability_and_the_other_class_of_one_unit() -> None:
    probe = Probe(small("sigmoid", 1), classes=("sound", "cracked"))
    yes, no = probe.gradients(PICTURES, "cracked", "conv"), probe.gradients(PICTURES, "sound", "conv")
    np.testing.assert_allclose(yes.scores, -no.scores)
    assert yes.target.names(yes.chosen)[0].label == "cracked"
    assert no.target.names(no.chosen)[0].label == "sound"
    probability = probe.gradients(PICTURES, Target(0, before_activation=False), "conv")
    np.testing.assert_allclose(probability.scores, 1 / (1 + np.exp(-yes.scores)), rtol=1e-5)
    assert probability.target.names(probability.chosen)[0].kind == "probability"


def test_sides_of_a_layer() -> None:
    probe = Probe(small())
    before = probe.activations(PICTURES, "conv", "before activation")["conv"]
    after = probe.activations(PICTURES, "conv")["conv"]
    assert before.min() < 0
    np.testing.assert_array_equal(np.maximum(before, 0), after)
    np.testing.assert_array_equal(probe.activations(PICTURES, "conv", "input")["conv"], PICTURES)
    np.testing.assert_array_equal(probe.activations(PICTURES, "@input")["@input"], PICTURES)
    gradient = probe.gradients(PICTURES, 1, "@input")
    same = probe.gradients(PICTURES, 1, "conv", "input")
    np.testing.assert_allclose(
        gradient.gradients[probe.place("@input")], same.gradients[probe.place("conv", "input")], atol=1e-7
    )


def test_as_trained_precision_differs_from_float32() -> None:
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, dtype="mixed_bfloat16", name="conv")(inputs)
    model = keras.Model(inputs, L.Dense(2, dtype="float32", name="head")(L.GlobalAveragePooling2D()(x)))
    full = Probe(model).activations(PICTURES, "conv")["conv"]
    low = Probe(model, precision="as-trained").activations(PICTURES, "conv")["conv"]
    weights, bias = model.get_layer("conv").get_weights()
    window = PICTURES[0, :3, :3, :].astype(np.float64)
    exact = (window[..., None] * weights).sum(axis=(0, 1, 2)) + bias
    assert np.abs(full[0, 0, 0] - exact).max() < 1e-5
    assert 1e-5 < np.abs(low - full).max() < 0.1


def test_one_compile_per_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = engine.compile_tapped
    monkeypatch.setattr(engine, "compile_tapped", lambda *a, **k: made.append(1) or original(*a, **k))
    probe = Probe(small(), batch_size=2)
    probe.activations(np.repeat(PICTURES, 3, axis=0), "conv")  # 9 pictures: 4 batches of 2 and a padded one
    probe.activations(PICTURES[:2], "conv")
    assert len(made) == (1 if engine.needs_fixed_shapes() else 2)


def test_two_threads_on_one_model_agree_with_one() -> None:
    model = small()
    expected = Probe(model).gradients(PICTURES, 1, "conv").scores
    results: dict[int, Any] = {}

    def look(number: int) -> None:
        probe = Probe(model)
        for _ in range(3):
            results[number] = probe.gradients(PICTURES, 1, "conv").scores

    threads = [threading.Thread(target=look, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scores in results.values():
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert len(results) == 3 and "call" not in model.get_layer("conv").__dict__


def test_a_failing_run_leaves_no_trace() -> None:
    model = small()

    def broken(outputs: Any) -> Any:
        raise RuntimeError("broken on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        Probe(model).gradients(PICTURES, broken, "conv")
    assert "call" not in model.get_layer("conv").__dict__
    assert np.isfinite(model.predict(PICTURES, verbose=0)).all()


def _growth_mb(calls: int) -> float:
    probe = Probe(small())
    for _ in range(20):
        probe.gradients(PICTURES, None, "conv")
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(calls):
        probe.gradients(PICTURES, None, "conv")
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def test_memory_stays_flat_quickly() -> None:
    assert _growth_mb(100) < 8


@pytest.mark.slow
def test_memory_stays_flat_over_a_thousand_calls() -> None:
    assert _growth_mb(1000) < 8


def test_an_unknown_layer_is_named() -> None:
    with pytest.raises(UnknownLayerError, match="did you mean conv"):
        Probe(small()).activations(PICTURES, "convv")
