"""The store of feature maps: the writer beside a plain write of the same bytes, the whole way beside its parts, memory.

python -m benchmarks.scope_store [--pictures 256] [--rounds 3]     # speed
python -m benchmarks.scope_store --memory 1000 10000               # memory only; needs no quiet machine
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.scope_results import goals, publish_part
from benchmarks.timing import alternate, markdown, rows_against, seconds
from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import compiled, to_numpy
from convscope.scope.chunking import chunk_shape, portions
from convscope.scope.feed import as_feed
from convscope.scope.store import Keeping, make_arrays, store_maps
from convscope.scope.store_layout import LayerArray
from convscope.scope.tap import Probe

keras = load_keras()
STAGES = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
PLAIN, WRITER, FORWARD, WHOLE = (
    "sequential write + fsync",
    "writer fed with arrays",
    "forward pass alone, batches of 16",
    "end to end",
)
BUDGET_MB = 128


def plain(blocks: list[dict[str, np.ndarray]], folder: Path) -> None:
    with open(folder / "plain.bin", "wb") as file:
        for block in blocks:
            for values in block.values():
                file.write(memoryview(values).cast("B"))
        file.flush()
        os.fsync(file.fileno())


def writer(blocks: list[dict[str, np.ndarray]], entries: list[LayerArray], folder: Path) -> None:
    rows = len(next(iter(blocks[0].values())))
    shards = make_arrays(folder, entries, n=rows * len(blocks), block=rows, keeping=Keeping())
    for i, block in enumerate(blocks):
        shards.write(block, i)


def network() -> tuple[Any, tuple[str, ...], int]:
    return keras.applications.ResNet50(weights=None), STAGES, 224


def small_network() -> tuple[Any, tuple[str, ...], int]:
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(32, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Conv2D(64, 3, strides=2, activation="relu", name="second")(x)
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x))), ("conv", "second"), 64


@dataclass(frozen=True)
class Measured:
    """Seconds and processor seconds of each way, one per round; bytes of the maps as arrays and on the disk."""

    seconds: dict[str, list[float]]
    cpu: dict[str, float]
    raw_bytes: int
    disk_bytes: int
    block: int


def block_of(stored_bytes: int) -> int:
    """Pictures that a store with the usual budget writes at once."""
    budget = Keeping().memory_mb << 20
    return portions(computed_bytes=2 * stored_bytes, stored_bytes=stored_bytes, budget_bytes=budget, most=16).block


def measure(make: Callable[[], tuple[Any, tuple[str, ...], int]], pictures: int, rounds: int) -> Measured:
    """All ways in turns."""
    keras.utils.set_random_seed(0)
    model, names, size = make()
    images = np.random.default_rng(0).uniform(0, 255, (pictures, size, size, 3)).astype("float32")
    probe = Probe(model, batch_size=16)
    places = {name: probe.place(name) for name in names}

    def seen_in(first: int, end: int) -> list[dict[Any, np.ndarray]]:
        cuts = [images[i : min(i + 16, end)] for i in range(first, end, 16)]
        return [s.values for s in probe.each(cuts, tuple(places.values()), count=len(cuts), half=True)]

    seen = seen_in(0, 1)[0]
    entries = [LayerArray(n, n, seen[p].shape[1:]) for n, p in places.items()]
    block = block_of(sum(values.nbytes for values in seen.values()))
    blocks = [
        {n: np.concatenate([values[p] for values in parts]) for n, p in places.items()}
        for parts in (seen_in(i, i + block) for i in range(0, pictures - pictures % block, block))
    ]

    call = compiled(lambda x: model(x, training=False))

    def forward(_: Path) -> None:
        for i in range(0, pictures, 16):
            to_numpy(call(keras.ops.convert_to_tensor(images[i : i + 16])))

    def whole(folder: Path) -> None:
        store_maps(probe, as_feed(images), folder / "maps.zarr", list(names), keeping=Keeping())

    ways: dict[str, Callable[[Path], object]] = {
        PLAIN: lambda folder: plain(blocks, folder),
        WRITER: lambda folder: writer(blocks, entries, folder),
        FORWARD: forward,
        WHOLE: whole,
    }

    cpu: dict[str, list[float]] = {way: [] for way in ways}
    on_disk: dict[str, int] = {}

    def timed(way: str) -> float:
        folder = Path(tempfile.mkdtemp())
        try:
            before = process_time()
            took = seconds(lambda: ways[way](folder))
            cpu[way].append(process_time() - before)
            on_disk[way] = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            return took
        finally:
            shutil.rmtree(folder)

    for way in ways:
        timed(way)  # compile, warm the disk
    found = alternate({way: lambda way=way: timed(way) for way in ways}, rounds=rounds)
    raw = sum(v.nbytes for b in blocks for v in b.values())
    return Measured(found, {way: median(values[1:]) for way, values in cpu.items()}, raw, on_disk[WRITER], block)


MEASURED = """
import resource, sys, numpy as np, keras
from convscope.scope.feed import as_feed
from convscope.scope.store import Keeping, store_maps
from convscope.scope.tap import Probe
class Endless:
    truth = None
    def __init__(self, n): self.ids = tuple(map(str, range(n)))
    def __len__(self): return len(self.ids)
    def take(self, a, b): return np.random.default_rng(a).normal(size=(b - a, 64, 64, 3)).astype("float32")
inputs = keras.Input((64, 64, 3))
x = keras.layers.Conv2D(16, 3, name="conv")(inputs)
model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
probe = Probe(model, batch_size=16)
list(probe.stream(Endless(16).take(0, 16), (probe.place("conv"),)))
import tensorstore
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store_maps(probe, Endless(int(sys.argv[2])), sys.argv[1], "conv", keeping=Keeping(memory_mb=int(sys.argv[3])))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def memory(pictures: int) -> int:
    """MiB above what was used after the first batch, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", MEASURED, str(Path(folder) / "m.zarr"), str(pictures), str(BUDGET_MB)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def touched(block: int) -> list[tuple[str, ...]]:
    """How many times the bytes asked for each reading direction touches, for maps of ResNet50."""
    rows = []
    for shape in ((112, 112, 64), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)):
        pictures, _, _, channels = chunk_shape(shape, 2, block)
        rows.append((f"{shape[0]}x{shape[1]}x{shape[2]}", f"{pictures}x", f"{channels}x", "yes"))
        assert max(pictures, channels) <= 8
    return rows


def told(found: Measured, pictures: int, what: str, wanted: dict[str, float]) -> str:
    """One network's table with its goals, and what the cores allow."""
    times, cores = found.seconds, len(os.sched_getaffinity(0))
    header, rows = rows_against(times, PLAIN, unit="s")
    rows = [(*row, f"{found.cpu[row[0]]:.2f}") for row in rows]
    ratios = {
        WRITER: [a / b for a, b in zip(times[PLAIN], times[WRITER], strict=True)],
        WHOLE: [max(f, w) / e for f, w, e in zip(times[FORWARD], times[WRITER], times[WHOLE], strict=True)],
    }
    said = {WRITER: f"{PLAIN} / {WRITER}", WHOLE: f"slower of forward and writer / {WHOLE}"}
    table = goals({said[k]: v for k, v in ratios.items()}, {said[k]: v for k, v in wanted.items()})
    slower = max(median(times[FORWARD]), median(times[WRITER]))
    least = max(slower, (found.cpu[FORWARD] + found.cpu[WRITER]) / cores)
    disk = f"{found.disk_bytes / 1e6:.0f} MB on the disk, in blocks of {found.block}"
    size = f"{found.raw_bytes / 1e6:.0f} MB of float16 maps, {disk}"
    shrunk = median(ratios[WRITER]) * found.disk_bytes / found.raw_bytes
    return (
        f"### {what}\n\n{pictures} pictures, {size}. The plain write holds all the bytes of the maps; against one of "
        f"only as many as reach the disk the writer has {shrunk:.2f}.\n\n"
        f"{markdown((*header, 'processor s'), rows)}\n\n{table}\n\nForward pass and writer together need "
        f"{found.cpu[FORWARD] + found.cpu[WRITER]:.2f} processor seconds; on {cores} cores no order of work could be "
        f"above {slower / least:.2f} of the slower one."
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", help="measure memory only, for so many pictures")
    given = parser.parse_args()
    if given.memory is not None:
        return publish_part("memory", memory_table(given.memory or [1000, 10000]))
    wanted = {WRITER: 0.7, WHOLE: 0.9}
    parts = [f"## Store\n\n{backend_name()}, medians of {given.rounds} rounds in turns."]
    for make, what in ((network, "ResNet50, the ends of its four stages"), (small_network, "Two convolutions only")):
        pictures = given.pictures if make is network else 16 * given.pictures
        parts.append(told(measure(make, pictures, given.rounds), pictures, what, wanted))
    parts.append(markdown(("maps", "one picture touches", "one channel touches", "at most 8x"), touched(8)))
    return publish_part("store", "\n\n".join(parts))


def memory_table(counts: Sequence[int]) -> str:
    """Memory above the first batch for data sets of these sizes."""
    rows = []
    for count in counts:
        used = memory(count)
        rows.append((f"{count:,}", f"{used} MiB", f"{BUDGET_MB} MiB", "yes" if used <= BUDGET_MB else "NO"))
    head = f"## Memory of a store\n\n{backend_name()}, one convolution of 64x64 pictures, a process for each row."
    return f"{head}\n\n" + markdown(("pictures", "memory above the first batch", "budget", "met"), rows)


if __name__ == "__main__":
    main()
