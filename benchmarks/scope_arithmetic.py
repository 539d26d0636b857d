"""How long does the arithmetic of one value take, after the first question about a picture?

Aim: under 50 ms. Run: KERAS_BACKEND=jax python benchmarks/scope_arithmetic.py
"""

from __future__ import annotations

import time
from statistics import median

import keras
import numpy as np

from convscope.scope.measuring import fields_for, graph_for, value_by_hand
from convscope.scope.tap import Probe

QUESTIONS = 40


def main() -> None:
    model = keras.applications.ResNet50(weights=None)
    images = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    probe = Probe(model)
    began = time.perf_counter()
    value_by_hand(probe, images, "conv1_conv", at=(5, 5), channel=0)
    first = time.perf_counter() - began
    graph = graph_for(probe, images)
    convolutions = [c for c in graph.calls if c.kind == "Conv2D"]
    rng = np.random.default_rng(1)
    times = []
    for _ in range(QUESTIONS):
        call = convolutions[int(rng.integers(len(convolutions)))]
        *sizes, channels = call.output_shape
        at = tuple(int(rng.integers(n)) for n in sizes)
        began = time.perf_counter()
        found = value_by_hand(probe, images, call.path, at=at, channel=int(rng.integers(channels)))
        times.append(time.perf_counter() - began)
        assert found.agrees
    began = time.perf_counter()
    fields_for(graph)
    fields = time.perf_counter() - began
    print(f"back end {keras.backend.backend()}, ResNet50 at 224, any of {len(convolutions)} convolutions")
    print(f"first question {first:.2f} s; then median {1e3 * median(times):.1f} ms, slowest {1e3 * max(times):.1f} ms")
    print(f"receptive fields of all {len(graph.calls)} calls {1e3 * fields:.0f} ms")


if __name__ == "__main__":
    main()
