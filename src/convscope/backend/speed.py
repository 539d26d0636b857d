"""How fast one back end predicts and trains here: run as a program of its own, one per back end.

    KERAS_BACKEND=jax python -m convscope.backend.speed

prints one JSON object. A process of its own, because Keras fixes its back end at import.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

PICTURES, SIDE, SECONDS = 32, 64, 1.0


def pictures_per_second(step: Callable[[], object]) -> float:
    """Median rate over the steps of about a second, after two steps that compile."""
    step()
    step()
    rates: list[float] = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(rates) < 3:
        began = time.perf_counter()
        step()
        rates.append(PICTURES / (time.perf_counter() - began))
    return statistics.median(rates)


def measure() -> dict[str, Any]:
    """Devices, import seconds, and pictures/s of two small networks (three blocks, 64x64, batch 32)."""
    began = time.perf_counter()
    from convscope.backend.devices import devices
    from convscope.backend.selection import load_keras

    keras = load_keras()
    import_s = time.perf_counter() - began
    keras.utils.set_random_seed(0)
    plain, mobile = network(keras, is_depthwise=False), network(keras, is_depthwise=True)
    rng = np.random.default_rng(0)
    x, y = rng.random((PICTURES, SIDE, SIDE, 3), np.float32), rng.integers(0, 10, PICTURES)
    return {
        "devices": devices(),
        "import_s": import_s,
        "predict_per_s": pictures_per_second(lambda: plain.predict_on_batch(x)),
        "train_per_s": pictures_per_second(lambda: plain.train_on_batch(x, y)),
        "depthwise_per_s": pictures_per_second(lambda: mobile.train_on_batch(x, y)),
    }


def network(keras: Any, *, is_depthwise: bool) -> Any:
    """Three blocks of convolution, batch norm, ReLU and max pooling; or of a 1x1 and a depthwise 3x3 convolution."""
    layers: list[Any] = [keras.Input((SIDE, SIDE, 3))]
    for filters in (32, 64, 128):
        layers.append(keras.layers.Conv2D(filters, 1 if is_depthwise else 3, padding="same", use_bias=False))
        if is_depthwise:
            layers.append(keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False))
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.MaxPooling2D()]
    model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
