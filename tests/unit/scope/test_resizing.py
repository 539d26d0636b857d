"""Resizing layers by hand and by field, against the layer itself and the gradient of one value."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from convscope.errors import ModelError
from convscope.scope.front import Scope

pytestmark = pytest.mark.backend

IMAGE = np.random.default_rng(0).normal(size=(1, 9, 8, 2)).astype("float32")


@pytest.mark.parametrize(
    "layer",
    [
        L.UpSampling2D((2, 3), interpolation="bicubic", name="resize"),
        L.Resizing(5, 11, interpolation="bilinear", name="resize"),
        L.Resizing(13, 4, interpolation="nearest", name="resize"),
        L.Resizing(14, 6, interpolation="bicubic", name="resize"),
    ],
    ids=["up bicubic", "bilinear", "nearest", "bicubic"],
)
def test_value_and_field_of_resizing(layer: keras.Layer) -> None:
    inputs = L.Input((9, 8, 2))
    scope = Scope(keras.Model(inputs, layer(inputs)))
    shape = scope.model.output_shape
    for at in ((0, 0), (3, 2), (shape[1] - 1, shape[2] - 1)):
        worked = scope.arithmetic(IMAGE, "resize", at=at, channel=1)
        assert worked.agrees, str(worked)
        assert worked.computed == pytest.approx(float(np.asarray(scope.probe.outputs(IMAGE)[0])[(0, *at, 1)]))
        seen = scope.receptive_field("resize", at=at, channel=1)
        reached = np.argwhere(np.abs(_support(scope, at)) > 1e-7)
        assert seen.box == tuple(zip(reached.min(axis=0).tolist(), reached.max(axis=0).tolist()))


def _support(scope: Scope, at: tuple[int, int]) -> np.ndarray:
    """Change of the value when one pixel changes, by trying each: (9, 8)."""
    pulses = np.zeros((72, 9, 8, 2), np.float32)
    pulses[np.arange(72), np.arange(72) // 8, np.arange(72) % 8, 1] = 1
    return np.asarray(scope.probe.outputs(pulses)[0])[:, at[0], at[1], 1].reshape(9, 8)


def test_what_has_no_arithmetic_says_why() -> None:
    inputs = L.Input((4, 6))
    x = L.MultiHeadAttention(2, 3, name="attend")(inputs, inputs)
    x = L.EinsumDense("abc,cd->abd", (None, 5), name="einsum")(x)
    scope = Scope(keras.Model(inputs, L.GRU(3, name="memory")(x)))
    given = np.zeros((1, 4, 6), "float32")
    for name, why in (("attend", "all places"), ("einsum", "equation"), ("memory", "loop over time")):
        place = () if name == "memory" else (1,)
        with pytest.raises(ModelError, match=f"no arithmetic for .* at {name}; .*{why}"):
            scope.arithmetic(given, name, at=place, channel=0)
