"""How long does the arithmetic of one value take, after the first question about a picture?

KERAS_BACKEND=jax python -m benchmarks.scope_arithmetic [--questions 106]
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np

from benchmarks.scope_results import publish_part
from benchmarks.timing import markdown, seconds
from convscope.backend.selection import backend_name, load_keras
from convscope.scope.feed import as_feed
from convscope.scope.measuring import fields_for, graph_for, value_by_hand
from convscope.scope.tap import Probe
from convscope.scope.top_activations import top_activations

GOAL_MS = 50.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=106)
    given = parser.parse_args()
    keras = load_keras()
    model = keras.applications.ResNet50(weights=None)
    images = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    probe = Probe(model, batch_size=16)
    first = seconds(lambda: value_by_hand(probe, images, "conv1_conv", at=(5, 5), channel=0))
    graph = graph_for(probe, images)
    calls = [c for c in graph.calls if c.kind == "Conv2D"]
    rng = np.random.default_rng(1)

    def ask(i: int) -> None:
        call = calls[i % len(calls)]
        *sizes, channels = call.output_shape
        at = tuple(int(rng.integers(n)) for n in sizes)
        assert value_by_hand(probe, images, call.path, at=at, channel=int(rng.integers(channels))).agrees

    times = sorted(1e3 * seconds(lambda i=i: ask(i)) for i in range(given.questions))
    fields = 1e3 * seconds(lambda: fields_for(graph))
    under = sum(t < GOAL_MS for t in times)
    rows = [
        ("first question (compiles and runs the network)", f"{1e3 * first:.0f} ms", "", ""),
        ("median of the next", f"{median(times):.1f} ms", f"under {GOAL_MS:g} ms", _met(median(times) < GOAL_MS)),
        ("slowest of the next", f"{times[-1]:.1f} ms", f"under {GOAL_MS:g} ms", _met(times[-1] < GOAL_MS)),
        (f"share under {GOAL_MS:g} ms", f"{under} of {len(times)}", "all", _met(under == len(times))),
        (f"receptive fields of all {len(graph.calls)} calls", f"{fields:.0f} ms", "", ""),
    ]
    rows.append(one_pass())
    head = f"## Arithmetic of one value, top activations\n\n{backend_name()}, ResNet50 at 224x224, any convolution."
    publish_part("arithmetic", f"{head}\n\n" + markdown(("what", "measured", "goal", "met"), rows))


def one_pass() -> tuple[str, ...]:
    """Count the pictures that go through the network for the top activations of 1,000."""
    inputs = load_keras().Input((32, 32, 3))
    model = load_keras().Model(inputs, load_keras().layers.Conv2D(8, 3, name="conv")(inputs))
    probe, data = Probe(model, batch_size=50), np.random.default_rng(0).normal(size=(1000, 32, 32, 3))
    stream, run = probe.stream, []

    def counted(images: np.ndarray, *rest: object, **options: object) -> object:
        run.append(len(images))
        return stream(images, *rest, **options)

    probe.stream = counted
    top_activations(probe, as_feed(data.astype("float32")), "conv", 3)
    return "pictures run for the top activations of 1,000", f"{sum(run)}", "1000", _met(sum(run) == 1000)


def _met(is_met: bool) -> str:
    return "yes" if is_met else "NO"


if __name__ == "__main__":
    main()
