"""What every registered explanation method must keep, on the back end of this process."""

from __future__ import annotations

import gc
import hashlib
import inspect
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from contract.explained import OPTIONS, pictures, small_net
from contract.zoo import ZOO
from convscope.backend.tensors import to_numpy
from convscope.errors import DataError, ModelError, PlanError, TapUnreachableError, TargetError, UnknownNameError
from convscope.explaining.engine import Limits, Wish, explain
from convscope.explaining.method import METHODS, method
from convscope.scope.aims import log_odds, probability
from convscope.scope.tap import Probe
from reference.explaining import TWINS

pytestmark = [
    pytest.mark.backend,
    pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

NAMES = METHODS.names()


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe(small_net())


@pytest.fixture(scope="module")
def constant() -> Probe:
    return Probe(small_net(scale=0.0))


@pytest.fixture(scope="module")
def channels_first() -> Probe:
    return Probe(small_net(data_format="channels_first"))


def run(probe: Any, images: np.ndarray, name: str, **wish: Any) -> Any:
    return explain(probe, images, name, wish=Wish(options=OPTIONS.get(name, {}), **wish))


def digest(model: keras.Model) -> str:
    found = hashlib.sha256()
    for variable in model.variables:
        found.update(to_numpy(variable.value).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_shape_sign_and_finite(probe: Probe, name: str) -> None:
    """One finite heat per picture, the sign as promised, scores of the highest class."""
    images = pictures(2)
    found = run(probe, images, name)
    assert found.heat.shape[0] == 2 and found.heat.ndim == 3 and found.heat.dtype == np.float32
    assert np.isfinite(found.heat).all() and found.heat.any()
    assert found.signed == method(name).is_signed and (found.signed or found.heat.min() >= 0)
    outputs = to_numpy(probe.model(images, training=False))
    assert [t.index for t in found.targets] == outputs.argmax(axis=1).tolist()
    assert {t.kind for t in found.targets} == {"logit"}
    assert bool(found.layers) == (method(name).needs_layer or name == "full-grad")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_what_singles_give(probe: Probe, name: str) -> None:
    """And the same again for the same seed."""
    images = pictures(2)
    whole = run(probe, images, name, seed=4).heat
    singles = np.concatenate([run(probe, images[i : i + 1], name, seed=4).heat for i in range(2)])
    least = 5e-4 if name == "lrp" else 2e-5  # its small sums enlarge the last digit of a float
    np.testing.assert_allclose(whole, singles, atol=least * np.abs(whole).max())
    np.testing.assert_array_equal(whole, run(probe, images, name, seed=4).heat)


@pytest.mark.parametrize("name", ["smooth-grad", "rise", "lime", "shapley"])
def test_another_seed_gives_other_draws(probe: Probe, name: str) -> None:
    """Or the seed would be ignored."""
    assert (run(probe, pictures(1), name, seed=1).heat != run(probe, pictures(1), name, seed=2).heat).any()


@pytest.mark.parametrize("name", NAMES)
def test_zero_for_a_constant_model(constant: Probe, name: str) -> None:
    """A score that no pixel changes has nothing to explain."""
    if not method(name).uses_target:
        pytest.skip("shows the maps whatever the score is")
    heat = run(constant, pictures(2), name).heat
    np.testing.assert_allclose(heat, 0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_model_is_left_as_it_was(probe: Probe, name: str) -> None:
    """Weights, statistics, attributes and random state."""
    before = digest(probe.model), [set(layer.__dict__) for layer in probe.model._flatten_layers()]
    state = np.random.get_state()[1].tobytes()
    run(probe, pictures(2), name)
    after = digest(probe.model), [set(layer.__dict__) for layer in probe.model._flatten_layers()]
    assert before == after and np.random.get_state()[1].tobytes() == state


@pytest.mark.parametrize("name", NAMES)
def test_equals_its_slow_literal_twin(probe: Probe, name: str) -> None:
    """The paper's formula, written out with loops and small steps."""
    images = pictures(1)
    found = explain(probe, images, name, 2, wish=Wish(signed=True, seed=0, options=OPTIONS.get(name, {})))
    expected = TWINS[name](probe.model, images[0], 2, OPTIONS.get(name, {}))
    scale = max(np.abs(expected).max(), 1e-12)
    np.testing.assert_allclose(found.heat[0] / scale, expected / scale, atol=TWINS_TOLERANCE.get(name, 1e-4))


TWINS_TOLERANCE = {"var-grad": 1e-3, "lrp": 1e-3}


@pytest.mark.parametrize("name", NAMES)
def test_has_citation_words_and_described_options(name: str) -> None:
    """Who, when, where; one plain sentence; no option without a default."""
    how = method(name)
    assert how.name == name and len(how.source) > 20 and any(c.isdigit() for c in how.source)
    assert (how.words.endswith(".") and how.function.__doc__) or how.family == "cam"
    assert all(default is not inspect.Parameter.empty for default in how.options.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_channels_first_model_gives_the_same(probe: Probe, channels_first: Probe, name: str) -> None:
    """The same weights with the other axis order."""
    images = pictures(2)
    a, b = run(probe, images, name).heat, run(channels_first, np.moveaxis(images, -1, 1).copy(), name).heat
    np.testing.assert_allclose(a, b, atol=(1e-3 if name == "lrp" else 1e-4) * np.abs(a).max())


def test_small_memory_gives_the_same_heat(probe: Probe) -> None:
    """Chunks don't show."""
    images = pictures(3)
    for name in ("grad-cam", "integrated-gradients"):
        wish = Wish(options=OPTIONS.get(name, {}))
        small = explain(probe, images, name, wish=wish, limits=Limits(memory_bytes=150_000))
        np.testing.assert_allclose(small.heat, explain(probe, images, name, wish=wish).heat, atol=1e-6)


def _resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("name", ["grad-cam", "integrated-gradients", "occlusion"])
def test_memory_is_flat_over_a_thousand_pictures(probe: Probe, name: str) -> None:
    """After a first hundred nothing more is kept: compiled functions are found again, activations are let go."""
    images = pictures(20)
    for _ in range(5):
        run(probe, images, name)
    before = _resident_mb()
    for _ in range(50):
        run(probe, images, name)
    assert _resident_mb() - before < 16


def test_several_layers_and_all(probe: Probe) -> None:
    """Resized to the picture, each scaled, averaged; the reason says so."""
    both = run(probe, pictures(2), "layer-cam", layer="all")
    assert both.layers == ("early", "late") and both.layer_reason == "all 2 convolutions"
    assert both.heat.shape == (2, 16, 16) and both.heat.max() <= 1
    alone = run(probe, pictures(2), "layer-cam", layer="early")
    assert alone.heat.shape == (2, 16, 16) and alone.layer_reason == "chosen by name"
    assert "last layer with spatial extent" in run(probe, pictures(2), "layer-cam").layer_reason


def test_targets(probe: Probe) -> None:
    """Logit, probability, log-odds against another class, a function; signs of a one-unit head."""
    images = pictures(2)
    one, other = (explain(probe, images, "saliency", i).scores for i in (1, 3))
    odds = explain(probe, images, "gradient-x-input", log_odds(1, 3))
    np.testing.assert_allclose(odds.scores, one - other, atol=1e-5)
    each = [explain(probe, images, "gradient-x-input", i).heat for i in (1, 3)]
    np.testing.assert_allclose(odds.heat, each[0] - each[1], atol=1e-5)
    assert odds.targets[0].kind == "log-odds" and "against" in odds.targets[0].label
    shares = explain(probe, images, "saliency", probability(1))
    np.testing.assert_allclose(shares.scores, to_numpy(probe.model(images))[:, 1], atol=1e-6)
    own = explain(probe, images, "saliency", lambda outputs: outputs[:, 1])
    np.testing.assert_allclose(own.heat, shares.heat, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("item", [s for s in ZOO if keras.backend.backend() in s.on], ids=lambda s: s.name)
def test_traps_that_broke_other_tools(item: Any) -> None:
    """Every small tricky model: Grad-CAM runs, and the gradient is how the score changes by a small step."""
    model, images = item.build(), item.images(2)
    model(images)
    shapes = [np.shape(x) for x in keras.tree.flatten(images)]
    if not any(len(s) == 4 for s in shapes):
        with pytest.raises(ModelError, match="expected pictures"):
            explain(model, images, "saliency", item.target)
        return
    if item.name == "layer_with_two_outputs":
        heat = explain(model, images, "grad-cam", item.target, wish=Wish(layer="conv"))
    else:
        heat = explain(model, images, "grad-cam", item.target)
    assert np.isfinite(heat.heat).all() and len(heat.heat) == 2
    probe = Probe(model)
    found = explain(probe, images, "saliency", item.target)
    assert found.values is not None
    flat = keras.tree.flatten(images)
    part = next(i for i, s in enumerate(shapes) if len(s) == 4)
    gradient = np.moveaxis(found.values, -1, 1) if item.name == "channels_first" else found.values
    steps = np.random.default_rng(1).choice([-1.0, 1.0], gradient.shape).astype("float32") * 3e-3

    def scores(sign: int) -> np.ndarray:
        moved = [x + sign * steps if i == part else x for i, x in enumerate(flat)]
        target = item.target or [int(t.index or 0) for t in found.targets]
        return explain(probe, keras.tree.pack_sequence_as(images, moved), "saliency", target).scores

    change = (scores(1) - scores(-1)) / 2
    expected = (gradient * steps).sum(axis=(1, 2, 3))
    # rectifiers bend and 16-bit weights round; a wrong gradient is off by its own size
    np.testing.assert_allclose(
        change, expected, rtol=0.08, atol=0.03 * np.abs(gradient * steps).sum(axis=(1, 2, 3)).max()
    )


def test_bad_input(probe: Probe) -> None:
    """One clear error each."""
    images = pictures(2)
    with pytest.raises(UnknownNameError, match="did you mean grad-cam"):
        explain(probe, images, "gradcam")
    with pytest.raises(PlanError, match="did you mean steps"):
        explain(probe, images, "integrated-gradients", wish=Wish(options={"stepz": 3}))
    for name, option, value, kind in (
        ("integrated-gradients", "steps", "many", "a whole number"),
        ("occlusion", "window", "wide", "a whole number"),
        ("smooth-grad", "samples", 2.5, "a whole number"),
        ("smooth-grad", "noise", float("nan"), "a number"),
        ("rise", "centred", 1, "true or false"),
    ):
        with pytest.raises(PlanError, match=f"expected {kind} for option '{option}' of {name}, got"):
            explain(probe, images, name, wish=Wish(options={option: value}))
    with pytest.raises(PlanError, match="unknown rule 5"):
        explain(probe, images, "lrp", wish=Wish(options={"rule": 5}))
    with pytest.raises(TargetError, match="class from 0 to 3, got 9"):
        explain(probe, images, "grad-cam", 9)
    with pytest.raises(DataError, match="picture 1 is 2 everywhere"):
        explain(probe, np.stack([images[0], np.full_like(images[0], 2)]), "grad-cam")
    broken = images.copy()
    broken[1, 3, 3, 0] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in picture 1"):
        explain(probe, broken, "saliency")
    with pytest.raises(ModelError, match=r"height and width, got 'head'"):
        explain(probe, images, "grad-cam", wish=Wish(layer="head"))
    with pytest.raises(PlanError, match="reads no layer"):
        explain(probe, images, "saliency", wish=Wish(layer="late"))
    flat = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    small = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype("float32")
    with pytest.raises(ModelError, match="the model has none"):
        explain(flat, small, "grad-cam")
    with pytest.raises(ModelError, match="global average pooling"):
        explain(flat, small, "cam")
    pixels = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(TargetError, match=r"expected an output of shape \(n, classes\)"):
        explain(pixels, small, "saliency")


class _OwnCode(keras.Model):
    """A rectifier that no layer and no graph knows of."""

    def __init__(self, **names: str) -> None:
        super().__init__(**names)
        self.conv, self.head = keras.layers.Conv2D(2, 3, activation="relu"), keras.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.head(keras.ops.mean(keras.ops.relu(1.0 - self.conv(x)), axis=(1, 2)))


def test_guided_rules_refuse_what_they_cannot_reach() -> None:
    """By name, never a silent plain gradient."""
    from contract import zoo

    images = np.random.default_rng(5).normal(size=(1, 8, 8, 3)).astype("float32")
    with pytest.raises(TapUnreachableError, match=r"'own'.* calls Relu itself"):
        explain(_OwnCode(name="own"), images, "guided-backprop")
    with pytest.raises(TapUnreachableError, match="can't be read"):
        explain(zoo.subclassed_two_of_one_name(), images, "guided-backprop")
    with pytest.raises(TapUnreachableError, match="LeakyReLU"):
        explain(zoo.activity_regularised(), images, "guided-backprop")
    with pytest.raises(TapUnreachableError, match="found none"):
        explain(zoo.binary_sigmoid(), images, "deconvolution")
    reached = explain(zoo.residual_by_operators(), images, "guided-backprop")
    assert reached.heat.any()
