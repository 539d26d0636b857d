"""Feature maps of all convolutions of ResNet50, streamed and handed over as NumPy arrays, against the usual ways.

One run, medians: python benchmarks/scope_maps.py [--pictures 256] [--batch 16] [--rounds 3]
Goals: at least 0.95 x a compiled multi-output model with the same hand-over; at least 2 x each usual way.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import compiled, to_numpy

keras = load_keras()


def batches(pictures: int, batch: int) -> Iterator[np.ndarray]:
    data = np.random.default_rng(0).uniform(0, 255, (batch, 224, 224, 3)).astype("float32")
    return (data for _ in range(pictures // batch))


def timed(run: Callable[[Iterator[np.ndarray]], None], pictures: int, batch: int) -> float:
    start = time.perf_counter()
    run(batches(pictures, batch))
    return pictures / (time.perf_counter() - start)


def tap(model: keras.Model, names: list[str], batch: int) -> Callable[[Iterator[np.ndarray]], None]:
    from convscope.scope.tap import Probe

    probe = Probe(model, batch_size=batch)
    places = tuple(probe.place(name) for name in names)

    def run(data: Iterator[np.ndarray]) -> None:
        for images in data:
            for seen in probe.stream(images, places):
                assert len(seen.values) == len(names)

    return run


def one_compiled_model(model: keras.Model, names: list[str], batch: int) -> Callable[[Iterator[np.ndarray]], None]:
    whole = keras.Model(model.inputs[0], [*(model.get_layer(n).output for n in names), model.output])
    call = compiled(lambda x: whole(x, training=False))

    def run(data: Iterator[np.ndarray]) -> None:
        for images in data:
            assert len([to_numpy(t) for t in call(keras.ops.convert_to_tensor(images))]) == len(names) + 1

    return run


def copy_of_each_output(model: keras.Model, names: list[str], batch: int) -> Callable[[Iterator[np.ndarray]], None]:
    whole = keras.Model(model.inputs[0], [model.get_layer(n).output for n in names])

    def run(data: Iterator[np.ndarray]) -> None:
        for images in data:
            assert len([np.array(to_numpy(t)) for t in whole(images, training=False)]) == len(names)

    return run


def a_model_per_layer(model: keras.Model, names: list[str], batch: int) -> Callable[[Iterator[np.ndarray]], None]:
    each = [keras.Model(model.inputs[0], model.get_layer(n).output) for n in names]

    def run(data: Iterator[np.ndarray]) -> None:
        for images in data:
            assert len([np.array(to_numpy(m(images, training=False))) for m in each]) == len(names)

    return run


def torch_hooks(model: keras.Model, names: list[str], batch: int) -> Callable[[Iterator[np.ndarray]], None]:
    import torch

    kept: dict[str, np.ndarray] = {}
    for name in names:
        model.get_layer(name).register_forward_hook(
            lambda layer, given, out, name=name: kept.__setitem__(name, out.detach().cpu().clone().numpy())
        )

    def run(data: Iterator[np.ndarray]) -> None:
        for images in data:
            with torch.no_grad():
                model.forward(torch.from_numpy(images))
            assert len(kept) == len(names)
            kept.clear()

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    model = keras.applications.ResNet50(weights=None)
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    ways = {
        "convscope tap": tap,
        "compiled multi-output model": one_compiled_model,
        "copy of each output": copy_of_each_output,
        "a model per layer": a_model_per_layer,
    } | ({"PyTorch forward hooks": torch_hooks} if backend_name() == "torch" else {})
    slow = {"a model per layer"}  # few pictures: it runs the network once per layer
    made = {way: make(model, names, given.batch) for way, make in ways.items()}
    for run in made.values():
        timed(run, given.batch, given.batch)  # compile
    rates: dict[str, list[float]] = {way: [] for way in made}
    for _ in range(given.rounds):
        for way, run in made.items():
            rates[way].append(timed(run, given.batch if way in slow else given.pictures, given.batch))
    own = statistics.median(rates["convscope tap"])
    print(f"{backend_name()}: maps of {len(names)} convolutions, {given.pictures} pictures, batch {given.batch}")
    print(f"{'way':32}{'pictures/s':>12}{'tap / way':>12}")
    for way, found in rates.items():
        print(f"{way:32}{statistics.median(found):12.2f}{own / statistics.median(found):12.2f}")


if __name__ == "__main__":
    main()
