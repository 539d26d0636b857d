"""Feature maps of whole data sets on disk: bounded memory, resumable after a kill at any moment, checksummed."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from convscope.backend.gradients import runs_abreast
from convscope.errors import DataError, ModelError, PlanError, StorageError
from convscope.files.atomic import storage_error, sweep_temporary
from convscope.records.progress import Progress, silent
from convscope.scope.chunking import portions
from convscope.scope.feed import Feed
from convscope.scope.fingerprint import data_fingerprint, model_fingerprint
from convscope.scope.freed_memory import freed_memory_kept
from convscope.scope.maps import channels_last
from convscope.scope.paths import Names
from convscope.scope.shards import ShardWriter, packers
from convscope.scope.store_layout import (
    BLOCKS,
    Kept,
    LayerArray,
    array_names,
    array_spec,
    engine,
    merge_blocks,
    read_blocks,
    read_root,
    table_spec,
    write_blocks,
    write_root,
)
from convscope.scope.store_reading import MapStore
from convscope.scope.tap import Probe, Seen

WRITTEN = 2  # blocks at a time: one is compressed while another one waits for the disk
LARGEST_HALF = np.float16(65504)  # of float16


@dataclass(frozen=True)
class Keeping:
    """How maps are kept.

    Attributes:
        dtype: "float16" or "float32".
        pool: mean over pool x pool cells; "whole" for one number per channel; 1 for the maps as they are.
        memory_mb: memory for maps, in MiB, above what the model itself needs.
        codec: "lz4" (fast) or "zstd" (small).
    """

    dtype: Kept = "float16"
    pool: int | Literal["whole"] = 1
    memory_mb: int = 512
    codec: Literal["lz4", "zstd"] = "lz4"

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.dtype not in ("float16", "float32") or self.codec not in ("lz4", "zstd"):
            raise PlanError(f"expected float16 or float32 and lz4 or zstd, got {self.dtype} and {self.codec}")
        if self.pool != "whole" and (not isinstance(self.pool, int) or self.pool < 1):
            raise PlanError(f"expected pool to be a whole number from 1 or 'whole', got {self.pool!r}")


def store_maps(
    probe: Probe,
    feed: Feed,
    path: Path | str,
    layers: Names,
    *,
    keeping: Keeping | None = None,
    progress: Progress = silent,
    part: tuple[int, int] = (0, 1),
) -> MapStore:
    """Write the maps of the chosen layers for a whole data set; called again with the same, it goes on.

    With `part` (k, n) only every n-th block from the k-th on is written: n processes that are called alike but for k
    write one store together, and a last call without `part`, when they have ended, finds it done and closes it.

    Raises:
        UnknownLayerError: no such layer. ModelError, DataError: the store is of another model, of other data or
            otherwise made. StorageError: it does not fit on the disk. PlanError: a picture does not fit in memory.
        MissingExtraError: tensorstore, numcodecs or google-crc32c is not installed.
    """
    engine()
    packers()
    keeping, folder = keeping or Keeping(), Path(path)
    job = _plan(probe, feed, layers, keeping)
    if (folder / "zarr.json").exists():
        _check_same(folder, job.facts)
    else:
        _check_disk(folder, len(feed) * job.stored_bytes)
        folder.mkdir(parents=True, exist_ok=True)
        write_root(folder, job.facts)
    if part == (0, 1):  # no other process writes
        sweep_temporary(folder, str(Path(BLOCKS).parent), *(entry.array for entry in job.entries))
        merge_blocks(folder)  # of processes that wrote a part each; there may be none
    _write(probe, feed, folder, job, progress, part)
    return MapStore(folder)


@dataclass(frozen=True, eq=False)
class _Whole:
    """Numbers of the blocks that are written, and which process of several says so."""

    folder: Path
    numbers: set[int]
    part: int | None
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True, eq=False)
class _Job:
    names: tuple[str, ...]
    entries: tuple[LayerArray, ...]
    keeping: Keeping
    facts: dict[str, Any]
    stored_bytes: int
    batch: int
    runs: int

    @property
    def is_plain_half(self) -> bool:
        """Whether the back end itself can cast: float16 and no pooling."""
        return self.keeping.dtype == "float16" and self.keeping.pool == 1


def _plan(probe: Probe, feed: Feed, layers: Names, keeping: Keeping) -> _Job:
    if not len(feed):
        raise DataError("expected at least one picture to store the maps of, got none")
    first = feed.take(0, 1)
    names = probe.select(layers, first)
    seen = probe.see(first, tuple(probe.place(n) for n in names))
    maps = [_kept(channels_last(seen.values[probe.place(n)], probe.call(n)), keeping) for n in names]
    entries = tuple(
        LayerArray(name, array, (m.shape[1], m.shape[2], m.shape[3]))
        for name, array, m in zip(names, array_names(names), maps)
    )
    computed = sum(prod(seen.values[probe.place(n)].shape) * 4 for n in names)
    stored = sum(m.nbytes for m in maps)
    budget = keeping.memory_mb << 20
    runs = 2 if runs_abreast() else 1
    cut = portions(computed_bytes=computed, stored_bytes=stored, budget_bytes=budget, most=probe.batch_size, runs=runs)
    facts = {
        "n": len(feed),
        "block": min(cut.block, len(feed)) if len(feed) < 8 else cut.block,
        "arrays": {e.layer: e.array for e in entries},
        "shapes": {e.array: list(e.shape) for e in entries},
        "dtype": keeping.dtype,
        "pool": keeping.pool,
        "codec": keeping.codec,
        "outputs": int(prod(seen.outputs[0].shape[1:])),
        "ids": list(feed.ids),
        "labels": None if feed.truth is None else [int(t) for t in feed.truth],
        "model_sha256": model_fingerprint(probe.model),
        "data_sha256": data_fingerprint(feed.ids, first),
    }
    return _Job(tuple(names), entries, keeping, facts, stored, cut.batch, cut.runs)


def _check_same(folder: Path, facts: dict[str, Any]) -> None:
    old = read_root(folder)
    if old["model_sha256"] != facts["model_sha256"]:
        raise ModelError(f"{folder}: holds maps of another model or other weights; choose another path")
    for name in ("n", "ids", "data_sha256", "labels"):
        if old[name] != facts[name]:
            raise DataError(f"{folder}: holds maps of other data ({name} differs); choose another path")
    for name in ("arrays", "dtype", "pool", "codec"):
        if old[name] != facts[name]:
            raise PlanError(f"{folder}: was begun with {name} {old[name]!r}, got {facts[name]!r}; choose another path")
    facts["block"] = old["block"]


def _check_disk(folder: Path, needed: int) -> None:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise StorageError(
            f"can't write {folder}: the maps need up to {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB "
            "free; choose fewer layers, pool the maps, or another disk"
        )


def _write(probe: Probe, feed: Feed, folder: Path, job: _Job, progress: Progress, part: tuple[int, int]) -> None:
    n, block = len(feed), job.facts["block"]
    whole = _Whole(folder, read_blocks(folder), None if part == (0, 1) else part[0])
    facts = job.facts
    shards = make_arrays(folder, job.entries, n=n, block=block, keeping=job.keeping, outputs=facts["outputs"])
    cuts = [range(i * block, min(n, (i + 1) * block)) for i in range(part[0], -(-n // block), part[1])]
    missing = [cut for cut in cuts if cut.start // block not in whole.numbers]
    seen = _runs(probe, feed, job, missing)
    pending: deque[Future[None]] = deque()
    buffers = cycle([_buffers(job, block) for _ in range(WRITTEN + 1)])  # new ones would scatter the memory
    with freed_memory_kept(), ThreadPoolExecutor(WRITTEN) as writers:  # the next block is computed meanwhile
        for cut in missing:
            progress("storing maps", cut.start, n)
            held = {name: buffer[: len(cut)] for name, buffer in next(buffers).items()}
            _fill(probe, feed, job, cut, held, seen)
            if len(pending) == WRITTEN:
                pending.popleft().result()
            pending.append(writers.submit(_write_block, shards, held, cut.start // block, whole))
        for written in pending:
            written.result()
    progress("storing maps", n, n)


def make_arrays(
    folder: Path, entries: Sequence[LayerArray], *, n: int, block: int, keeping: Keeping, outputs: int = 0
) -> ShardWriter:
    """Make the arrays of a store where they are not there yet; what writes to them.

    Args:
        folder: the store.
        entries: one per layer.
        n: pictures in all.
        block: pictures in one shard.
        keeping: how maps are kept.
        outputs: columns of the table of predictions; 0 for none.
    """
    specs = {e.array: array_spec(folder, e, n=n, block=block, kept=keeping.dtype, codec=keeping.codec) for e in entries}
    if outputs:
        specs["predictions"] = table_spec(folder, "predictions", shape=(n, outputs), block=block)
    for spec in specs.values():
        engine().open(spec, open=True, create=True).result()
    return ShardWriter(folder, tuple(entries), block, keeping.codec)


def _buffers(job: _Job, rows: int) -> dict[str, np.ndarray]:
    held = {e.array: np.empty((rows, *e.shape), job.keeping.dtype) for e in job.entries}
    held["predictions"] = np.empty((rows, job.facts["outputs"]), np.float32)
    return held


def _runs(probe: Probe, feed: Feed, job: _Job, blocks: Iterable[range]) -> Iterator[Seen]:
    """The network's runs of all blocks in order; pictures are read in the caller's thread."""
    places = tuple(probe.place(name) for name in job.names)
    cuts = [cut for block in blocks for cut in _cuts(block, job.batch)]
    pictures = (feed.take(cut.start, cut.stop) for cut in cuts)
    return probe.each(pictures, places, count=len(cuts), half=job.is_plain_half, abreast=job.runs > 1)


def _fill(probe: Probe, feed: Feed, job: _Job, block: range, held: dict[str, np.ndarray], runs: Iterator[Seen]) -> None:
    for cut in _cuts(block, job.batch):
        seen = next(runs)
        to = slice(cut.start - block.start, cut.stop - block.start)
        held["predictions"][to] = seen.outputs[0].reshape(len(cut), -1)
        for name, entry in zip(job.names, job.entries):
            maps = channels_last(seen.values[probe.place(name)], probe.call(name), keep_dtype=True)
            held[entry.array][to] = maps if job.is_plain_half else _kept(maps, job.keeping)
            _check_numbers(held[entry.array][to], name, feed.ids[cut.start : cut.stop])
        del seen, maps  # before the next one is waited for


def _check_numbers(maps: np.ndarray, layer: str, ids: Sequence[str]) -> None:
    """Refuse NaN, by the bits, since NumPy looks at float16 value by value; infinity becomes 65504 in float16."""
    bits, rest, infinity = (np.int16, 0x7FFF, 0x7C00) if maps.itemsize == 2 else (np.int32, 0x7FFFFFFF, 0x7F800000)
    for values, name in zip(maps, ids, strict=True):
        largest = int((values.view(bits) & bits(rest)).max(initial=0))
        if largest == infinity and values.itemsize == 2:
            np.clip(values, -LARGEST_HALF, LARGEST_HALF, out=values)
        if largest > infinity:
            raise ModelError(
                f"expected numbers to store, got NaN in layer {layer!r} for {name}; look at the layers before it, or "
                "leave this picture out; what was stored before it is whole"
            )


def _cuts(block: range, size: int) -> list[range]:
    """A block in runs of at most `size` pictures, as equal as can be."""
    runs = -(-len(block) // size)
    even = -(-len(block) // runs)
    return [block[i : i + even] for i in range(0, len(block), even)]


def _kept(maps: np.ndarray, keeping: Keeping) -> np.ndarray:
    """Pooled and cast; float16 saturates instead of overflowing to infinity."""
    maps = np.asarray(maps, np.float32)
    n, height, width, channels = maps.shape
    if keeping.pool == "whole":
        maps = maps.mean(axis=(1, 2), keepdims=True)
    elif keeping.pool > 1:
        rows, columns = max(1, height // keeping.pool), max(1, width // keeping.pool)
        high, wide = height // rows, width // columns
        cut = maps[:, : rows * high, : columns * wide]
        maps = cut.reshape(n, rows, high, columns, wide, channels).mean(axis=(2, 4))
    if keeping.dtype == "float16":
        maps = np.clip(maps, -LARGEST_HALF, LARGEST_HALF)
    return maps.astype(keeping.dtype)


def _write_block(shards: ShardWriter, held: dict[str, np.ndarray], number: int, whole: _Whole) -> None:
    try:
        shards.write(held, number)
    except OSError as error:
        raise storage_error(shards.folder, error) from error
    with whole.lock:
        whole.numbers.add(number)
        write_blocks(whole.folder, whole.numbers, whole.part)
