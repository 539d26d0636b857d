"""Models, pictures and options that every explanation method must pass."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as L

# few draws, so that the suite stays quick
OPTIONS: dict[str, dict[str, Any]] = {
    "smooth-grad": {"samples": 5},
    "var-grad": {"samples": 5},
    "integrated-gradients": {"steps": 8},
    "rise": {"samples": 24, "cells": 4},
    "shapley": {"segments": 30, "samples": 4},
    "lime": {"segments": 30, "samples": 24},
    "occlusion": {"window": 4},
}


def fixed_weights(model: keras.Model, seed: int = 3) -> keras.Model:
    """The same weights on every back end."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(0, 0.35, variable.shape)
        values = np.abs(values) + 0.5 if "variance" in variable.path else values
        variable.assign(values.astype("float32"))
    return model


def small_net(*, data_format: str = "channels_last", activation: str = "softmax", scale: float = 1.0) -> keras.Model:
    """Two convolutions, batch normalisation, global average pooling, one dense layer."""
    first = data_format == "channels_first"
    inputs = L.Input((3, 16, 16) if first else (16, 16, 3))
    x = L.Conv2D(5, 3, padding="same", activation="relu", data_format=data_format, name="early")(inputs)
    x = L.AveragePooling2D(2, data_format=data_format, name="pool")(x)
    x = L.Conv2D(6, 3, padding="same", data_format=data_format, name="late")(x)
    x = L.ReLU(name="relu")(L.BatchNormalization(axis=1 if first else -1, name="norm")(x))
    x = L.GlobalAveragePooling2D(data_format=data_format, name="gap")(x)
    model = fixed_weights(keras.Model(inputs, L.Dense(4, activation=activation, name="head")(x)))
    head = model.get_layer("head")
    head.kernel.assign(np.asarray(keras.ops.convert_to_numpy(head.kernel)) * scale)
    return model


def pictures(n: int = 3, side: int = 16, seed: int = 8) -> np.ndarray:
    """Random pictures with some structure, (n, side, side, 3) float32."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(n, 4, 4, 3)).repeat(side // 4, axis=1).repeat(side // 4, axis=2)
    return (coarse + 0.3 * rng.normal(size=(n, side, side, 3))).astype("float32")
