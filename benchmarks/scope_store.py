"""The store of feature maps: the writer beside a plain write of the same bytes, and the whole way beside its parts.

One run, medians: python benchmarks/scope_store.py [--pictures 512] [--rounds 3]
Goals: writer at least 0.7 x a sequential write + fsync; end to end at least 0.9 x the slower of forward and writer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from convscope.backend.selection import backend_name, load_keras
from convscope.scope.feed import as_feed
from convscope.scope.store import Keeping, store_maps
from convscope.scope.store_layout import LayerArray, array_spec, engine
from convscope.scope.tap import Probe

keras = load_keras()


def seconds(run: Callable[[Path], object]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run(Path(folder))
        return time.perf_counter() - start


def plain(blocks: list[np.ndarray], folder: Path) -> None:
    with open(folder / "plain.bin", "wb") as file:
        for block in blocks:
            file.write(memoryview(np.ascontiguousarray(block)).cast("B"))
        file.flush()
        os.fsync(file.fileno())


def writer(blocks: list[np.ndarray], folder: Path) -> None:
    rows = len(blocks[0])
    entry = LayerArray("conv", "conv", blocks[0].shape[1:])
    spec = array_spec(folder, entry, n=rows * len(blocks), block=rows, kept="float16", codec="lz4")
    array = engine().open(spec, create=True, open=True).result()
    for i, block in enumerate(blocks):
        array[i * rows : (i + 1) * rows].write(block).result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(32, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Conv2D(64, 3, strides=2, activation="relu", name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))
    images = np.random.default_rng(0).normal(size=(given.pictures, 64, 64, 3)).astype("float32")
    probe = Probe(model, batch_size=16)
    places = (probe.place("conv"), probe.place("second"))
    maps = np.concatenate([s.values[places[0]] for s in probe.stream(images, places)]).astype("float16")
    blocks = [maps[i : i + 64] for i in range(0, len(maps), 64)]

    def forward(_: Path) -> None:
        for _seen in probe.stream(images, places):
            pass

    def whole(folder: Path) -> None:
        store_maps(probe, as_feed(images), folder / "maps.zarr", ["conv", "second"], keeping=Keeping(memory_mb=512))

    ways: dict[str, Callable[[Path], object]] = {
        "sequential write + fsync": lambda folder: plain(blocks, folder),
        "writer fed with arrays": lambda folder: writer(blocks, folder),
        "forward pass alone": forward,
        "end to end": whole,
    }
    whole(Path(tempfile.mkdtemp()))
    found = {way: statistics.median([seconds(run) for _ in range(given.rounds)]) for way, run in ways.items()}
    size = maps.nbytes / 1e6
    print(f"{backend_name()}: {given.pictures} pictures, {size:.0f} MB of float16 maps of one layer")
    for way, spent in found.items():
        print(f"{way:28}{spent:8.2f} s")
    ratio = found["sequential write + fsync"] / found["writer fed with arrays"]
    print(f"writer / sequential write: {ratio:.2f} (goal 0.7)")
    # the second layer's maps go through the same writer in the same proportion
    both = found["writer fed with arrays"] * (1 + 31 * 31 * 64 / (62 * 62 * 32))
    slower = max(found["forward pass alone"], both)
    print(f"end to end / slower of forward and writer: {slower / found['end to end']:.2f} (goal 0.9)")


if __name__ == "__main__":
    main()
