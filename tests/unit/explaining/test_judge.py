"""The judge against cases whose answer is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from contract.explained import pictures, small_net
from convscope.errors import PlanError
from convscope.explaining.agreement import agreement, rank_correlation
from convscope.explaining.engine import Wish
from convscope.explaining.faithful import area, boxes_as_masks, inside, noisy_fill, order_of
from convscope.explaining.judge import RANDOM, judge
from convscope.explaining.sanity import randomisation
from convscope.records.judgement import Sanity, depends_on_weights

pytestmark = pytest.mark.backend


def spot_model() -> keras.Model:
    """Says how bright the middle of the picture is; nothing else counts."""
    inputs = L.Input((16, 16, 1))
    x = L.Conv2D(1, 1, use_bias=False, name="see")(inputs)
    model = keras.Model(inputs, L.Dense(2, activation="softmax", use_bias=False, name="say")(L.Flatten()(x)))
    weights = np.zeros((16, 16, 2))
    weights[5:11, 5:11, 1] = 0.2
    model.get_layer("see").set_weights([np.ones((1, 1, 1, 1))])
    model.get_layer("say").set_weights([weights.reshape(256, 2)])
    return model


def spot_pictures(n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(2)
    images = rng.uniform(0.2, 0.6, (n, 16, 16, 1))
    images[:, 5:11, 5:11] += 0.6
    return images.astype("float32")


def test_oracle_mask_first_random_map_last() -> None:
    """With masks and without them."""
    masks = np.zeros((6, 16, 16), bool)
    masks[:, 5:11, 5:11] = True
    near = np.roll(masks, 2, axis=1).astype(np.float32)
    heats = {"nearly right": near, "oracle": masks.astype(np.float32)}
    for known in (None, masks):
        found = judge(spot_model(), spot_pictures(), heats, 1, masks=known)
        assert found.methods[0] == "oracle" and found.methods[-1] == RANDOM
        row = found.table["oracle"]
        assert all(v.low <= v.value <= v.high for v in row.values())
        assert row["deletion"].value < found.table[RANDOM]["deletion"].value
    assert found.table["oracle"]["energy inside"].value == found.table["oracle"]["pointing game"].value == 1
    assert found.words[0] == "Best on these pictures: oracle." and "oracle" in str(found)


def test_methods_are_run_and_judged() -> None:
    """Integrated gradients of this model lie on the spot, so they win; sanity and sensitivity are in the table."""
    found = judge(
        spot_model(),
        spot_pictures(),
        ["integrated-gradients"],
        1,
        wishes={"integrated-gradients": Wish(options={"steps": 4})},
    )
    assert found.methods == ("integrated-gradients", RANDOM)
    assert found.sanity["integrated-gradients"].passed and "sensitivity" in found.measures
    assert found.alike.shape == (2, 2)


def test_guided_backpropagation_fails_under_random_weights() -> None:
    """It keeps drawing the picture's edges; Grad-CAM and the gradient do not (Adebayo et al. 2018, figure 2)."""
    model, images = _edge_net(), _shapes()
    before = [v.copy() for v in model.get_weights()]
    guided = randomisation(model, images, "guided-backprop", 0)
    plain = randomisation(model, images, "grad-cam", 0)
    assert not guided.passed and "fails its sanity check" in guided.words()
    assert guided.mean > 0.6 and guided.mean > guided.likeness[-1] and guided.unrelated is not None
    assert guided.unrelated < 0.2  # so it is alike because of the picture, not of any two maps
    assert plain.passed and plain.mean < 0.3 and "looks at the network" in plain.words()
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


def test_the_whole_way_down_decides() -> None:
    """Heat that lets go only with the first layers fails, and so does heat that comes back at the end."""
    assert depends_on_weights((0.3, 0.1, 0.0)) and depends_on_weights((0.8, 0.2, 0.1))
    assert not depends_on_weights((0.9, 0.8, 0.1)) and not depends_on_weights((0.0, 0.1, 0.6))
    late = Sanity("guided-backprop", ("c", "b", "a"), (0.9, 0.8, 0.1), False, unrelated=0.03)
    assert "until the first layers are random too (likeness 0.60 on the way down, 0.10 at the end" in late.words()
    assert "two different pictures have 0.03" in late.words()
    assert "with random weights its heat stays alike" in Sanity("saliency", ("a",), (0.9,), False).words()


def _edge_net() -> keras.Model:
    """A trained-looking network: edge detectors below, positive mixtures above."""
    rng = np.random.default_rng(0)
    inputs = L.Input((24, 24, 1))
    x = inputs
    for i, filters in enumerate((8, 12, 16)):
        x = L.Conv2D(filters, 3, padding="same", use_bias=False, activation="relu", name=f"conv{i}")(x)
    model = keras.Model(inputs, L.Dense(3, use_bias=False, name="head")(L.GlobalAveragePooling2D()(x)))
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([rng.normal(0, (2 / np.prod(layer.kernel.shape[:-1])) ** 0.5, layer.kernel.shape)])
    return model


def _shapes() -> np.ndarray:
    rng = np.random.default_rng(1)
    images = np.full((4, 24, 24, 1), 0.0, np.float32)
    for image in images:
        top, left = rng.integers(3, 10, 2)
        image[top : top + 9, left : left + 9] = 1.0
    return images + rng.normal(0, 0.01, images.shape).astype("float32")


def test_measures_by_hand() -> None:
    """Areas, ranks, energy, boxes."""
    np.testing.assert_allclose(area(np.array([[0.0, 1.0, 1.0], [2.0, 2.0, 2.0]])), [0.75, 2.0])
    heat = np.array([[[3.0, 1.0], [2.0, 0.0]]], np.float32)
    assert order_of(heat, (2, 2)).tolist() == [[0, 2, 1, 3]]
    masks = np.array([[[True, False], [False, False]]])
    energy, hit = inside(heat, masks)
    np.testing.assert_allclose(energy, [0.5])
    assert hit.tolist() == [True]
    boxes = boxes_as_masks([(1, 0, 3, 2)], (4, 4))
    assert boxes.sum() == 4 and boxes[0, 1:3, 0:2].all()


def test_fill_is_smooth() -> None:
    """A removed pixel in a linear ramp gets the ramp's value back, up to the noise."""
    ramp = np.repeat(np.arange(9.0)[None, :], 9, axis=0)[..., None].astype("float32")
    removed = np.zeros((9, 9), bool)
    removed[4, 4] = True
    filled = [noisy_fill(ramp, removed, np.random.default_rng(i))[4, 4, 0] for i in range(200)]
    assert abs(np.mean(filled) - 4) < 0.05 and 0.1 < np.std(filled) < 0.25
    assert (noisy_fill(ramp, removed, np.random.default_rng(0))[0] == ramp[0]).all()


def test_rank_correlation_is_scipys() -> None:
    """And does not care for scales."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))
    b[b > 1] = 1  # ties
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-6)
    assert rank_correlation(a, 5 * np.exp(a)) == pytest.approx(1, abs=1e-6)
    assert rank_correlation(a, np.ones((5, 6))) == 0
    table = agreement({"a": a[None], "b": b[None]})
    assert table[0, 1] == table[1, 0] and (np.diag(table) == 1).all()


def test_bad_input() -> None:
    """Heat and masks that don't fit."""
    with pytest.raises(PlanError, match="expected finite heat"):
        judge(small_net(), pictures(2), {"mine": np.zeros((1, 4, 4))})
    with pytest.raises(PlanError, match="mask 0 is empty"):
        judge(small_net(), pictures(2), {"mine": np.ones((2, 4, 4))}, masks=np.zeros((2, 16, 16), bool))
