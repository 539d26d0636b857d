"""The loader: the same batches whoever asks, bad pictures, caches, shutdown, memory."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import skimage.data
from PIL import Image, ImageOps

from convscope.data.budget import NO_CACHE, CacheBudget, free_memory_bytes
from convscope.data.cache import SUFFIX, DiskCache
from convscope.data.chance import draw, epoch_order, partner_indices
from convscope.data.files_source import FilesSource
from convscope.data.loader import Loader
from convscope.errors import DataError, PictureError, PlanError
from convscope.records.augmentation import Augmentation
from convscope.records.geometry import Preprocess
from convscope.records.samples import Batch, Picture, Samples

FRAME = Preprocess(8, 8)


@dataclass(frozen=True, eq=False)
class Numbered:
    """Pictures whose every value is their number; some can't be read, some have more than 8 bits."""

    numbers: np.ndarray
    bad: frozenset[int] = frozenset()
    deep: frozenset[int] = frozenset()
    hw: tuple[int, int] = (8, 8)
    reads: list[int] = field(default_factory=list)
    delay_s: float = 0.0

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(f"p{i}.png" for i in self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        number = int(self.numbers[index])
        self.reads.append(number)
        time.sleep(self.delay_s)
        if number in self.bad:
            raise PictureError(f"p{number}.png", "truncated")
        dtype = np.float32 if number in self.deep else np.uint8
        return Picture(np.full((*self.hw, channels), number % 256, dtype), self.hw)

    def subset(self, indices: np.ndarray) -> Numbered:
        return replace(self, numbers=self.numbers[indices])


def samples_of(n: int, **options: object) -> Samples:
    return Samples(Numbered(np.arange(n), **options), np.arange(n) % 2, "classify", ("even", "odd"))  # type: ignore[arg-type]


def same(a: Batch, b: Batch) -> bool:
    pairs = [(a.images, b.images), (a.truth, b.truth), (a.indices, b.indices), (a.partners, b.partners)]
    if any((x is None) != (y is None) or (x is not None and not np.array_equal(x, y)) for x, y in pairs):
        return False
    return (a.draws or {}).keys() == (b.draws or {}).keys() and all(
        np.array_equal(v, (b.draws or {})[k]) for k, v in (a.draws or {}).items()
    )


CHANGED = Augmentation(flip_horizontal=True, rotate_deg=10, mixup=0.2)


def test_batches_hold_pictures_truth_and_draws() -> None:
    loader = Loader(samples_of(10), FRAME, batch_size=4, seed=3, shuffle=True, augmentation=CHANGED)
    assert len(loader) == 3
    batches = list(loader.batches(2))
    order = epoch_order(3, 2, 10, True)
    assert [len(b.indices) for b in batches] == [4, 4, 2]
    assert np.concatenate([b.indices for b in batches]).tolist() == order.tolist()
    for b in batches:
        assert b.epoch == 2
        assert b.images.shape == (len(b.indices), 8, 8, 3)
        assert b.images.dtype == np.uint8
        assert np.array_equal(b.images[:, 0, 0, 0], b.indices)
        assert np.array_equal(b.truth, b.indices % 2)
        partners = partner_indices(CHANGED, 3, 2, b.indices, 10)
        assert np.array_equal(b.partners[:, 0, 0, 0], partners)
        assert np.array_equal(b.partner_truth, partners % 2)
        wanted = draw(CHANGED, seed=3, epoch=2, indices=b.indices)
        assert all(np.array_equal(v, b.draws[k]) for k, v in wanted.items())


@pytest.mark.parametrize("workers", [1, 4])
def test_any_way_of_asking_gives_the_same_batches(workers: int) -> None:
    def make(**options: object) -> Loader:
        return Loader(samples_of(37, bad=frozenset({5})), FRAME, seed=1, shuffle=True, augmentation=CHANGED, **options)  # type: ignore[arg-type]

    straight = list(make(batch_size=8, workers=1).batches(1))
    loader = make(batch_size=8, workers=workers)
    assert all(same(a, b) for a, b in zip(straight, loader.batches(1), strict=True))
    assert all(same(a, b) for a, b in zip(straight[3:], make(batch_size=8, workers=workers).batches(1, 3), strict=True))
    assert same(straight[4], make(batch_size=8, workers=workers).batch(1, 4))  # without its predecessors
    assert same(straight[2], loader.batch(1, 2))  # from the cache, backwards
    halves = list(make(batch_size=4, workers=workers).batches(1))
    for k, whole in enumerate(straight[:-1]):
        for name in whole.draws:
            both = np.concatenate([halves[2 * k].draws[name], halves[2 * k + 1].draws[name]])
            assert np.array_equal(whole.draws[name], both)
        assert np.array_equal(whole.images, np.concatenate([halves[2 * k].images, halves[2 * k + 1].images]))


def test_drop_last_and_wrong_options() -> None:
    assert len(Loader(samples_of(10), FRAME, batch_size=4, drop_last=True)) == 2
    with pytest.raises(PlanError, match="batch size of at most the 10 pictures, got 11"):
        Loader(samples_of(10), FRAME, batch_size=11, drop_last=True)
    with pytest.raises(PlanError, match="batch size of at least 1"):
        Loader(samples_of(10), FRAME, batch_size=0)
    with pytest.raises(PlanError, match="at least 1 worker"):
        Loader(samples_of(10), FRAME, batch_size=1, workers=0)
    with pytest.raises(DataError, match="at least one picture"):
        Loader(samples_of(0), FRAME, batch_size=1)
    with pytest.raises(IndexError, match="from 0 to 2, got 3"):
        Loader(samples_of(10), FRAME, batch_size=4).batch(0, 3)
    with pytest.raises(PlanError, match="memory_bytes of at least 0"):
        CacheBudget(memory_bytes=-1)


def test_unreadable_pictures_are_replaced_by_the_next_and_named_once() -> None:
    source = Numbered(np.arange(6), bad=frozenset({1, 2, 5}))
    loader = Loader(Samples(source, np.arange(6), "classify", ("a",) * 6), FRAME, batch_size=3)
    for _ in range(2):
        batches = list(loader.batches(0))
        assert [b.indices.tolist() for b in batches] == [[0, 3, 3], [3, 4, 0]]
        assert all(np.array_equal(b.truth, b.indices) for b in batches)
        assert all(np.array_equal(b.images[:, 0, 0, 0], b.indices) for b in batches)
    assert [(s.key, s.reason) for s in loader.set_aside] == [(f"p{i}.png", "truncated") for i in (1, 2, 5)]
    assert source.reads.count(1) == 1


def test_unreadable_pictures_dropped_or_raised() -> None:
    samples = samples_of(6, bad=frozenset({0, 1, 4}))
    dropping = Loader(samples, FRAME, batch_size=2, unreadable="drop", augmentation=Augmentation(rotate_deg=5))
    batches = list(dropping.batches(0))
    assert [b.indices.tolist() for b in batches] == [[2, 3], [5]]
    assert batches[1].draws["rotate_deg"].shape == (1,)
    assert (
        batches[1].draws["rotate_deg"]
        == draw(dropping.augmentation, seed=0, epoch=0, indices=np.array([5]))["rotate_deg"]
    )
    with pytest.raises(PictureError, match=r"p0\.png: truncated"):
        next(Loader(samples, FRAME, batch_size=2, unreadable="raise").batches(0))
    with pytest.raises(DataError, match=r"readable picture of 6, got none; the first, p0\.png: truncated"):
        Loader(samples_of(6, bad=frozenset(range(6))), FRAME, batch_size=2).batch(0, 0)


@pytest.mark.parametrize("budget", [NO_CACHE, CacheBudget()])
def test_a_picture_with_more_bits_makes_its_batch_float(budget: CacheBudget) -> None:
    loader = Loader(samples_of(6, deep=frozenset({3})), FRAME, batch_size=2, cache=budget)
    for _ in range(2):
        batches = list(loader.batches(0))
        assert [b.images.dtype for b in batches] == [np.uint8, np.float32, np.uint8]
        assert batches[1].images[:, 0, 0, 0].tolist() == [2, 3]


def test_deep_pictures_are_cached_too() -> None:
    source = Numbered(np.arange(6), deep=frozenset(range(6)))
    loader = Loader(Samples(source, None, "classify", ()), FRAME, batch_size=2)
    first, second = list(loader.batches(0)), list(loader.batches(1))
    assert all(np.array_equal(a.images, b.images) and b.images.dtype == np.float32 for a, b in zip(first, second))
    assert len(source.reads) == 7  # each once, and the first to learn its shape
    assert first[0].truth is None


def test_native_sizes_need_one_size_per_batch() -> None:
    native = Preprocess(None, None, fit="native")
    loader = Loader(samples_of(4, hw=(5, 7)), native, batch_size=2)
    assert [b.images.shape for b in loader.batches(0)] == [(2, 5, 7, 3)] * 2

    class Growing(Numbered):
        def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
            return Picture(np.zeros((4 + index, 6, channels), np.uint8), (4 + index, 6))

    varying = Samples(Growing(np.arange(3)), None, "classify", ())
    assert [b.images.shape for b in Loader(varying, native, batch_size=1).batches(0)] == [
        (1, 4, 6, 3),
        (1, 5, 6, 3),
        (1, 6, 6, 3),
    ]
    with pytest.raises(DataError, match=r"one size in a batch with fit=native.*p1\.png.*batch_size=1"):
        next(Loader(varying, native, batch_size=3).batches(0))


def test_memory_cache_stays_within_its_budget() -> None:
    row = 8 * 8 * 3
    fits = Numbered(np.arange(10))
    loader = Loader(Samples(fits, None, "classify", ()), FRAME, batch_size=5, cache=CacheBudget(memory_bytes=10 * row))
    for epoch in range(3):
        list(loader.batches(epoch))
    assert len(fits.reads) == 11
    assert loader.cache_words == "in memory, 0 MB"
    too_many = Numbered(np.arange(10))
    budget = CacheBudget(memory_bytes=10 * row - 1)
    loader = Loader(Samples(too_many, None, "classify", ()), FRAME, batch_size=5, cache=budget)
    for epoch in range(3):
        list(loader.batches(epoch))
    assert len(too_many.reads) == 31
    assert "more than the budget" in loader.cache_words


def test_a_consumer_that_stops_early_stops_the_threads() -> None:
    source = Numbered(np.arange(5000), delay_s=0.002)
    loader = Loader(Samples(source, None, "classify", ()), FRAME, batch_size=10, workers=2, cache=NO_CACHE)
    batches = loader.batches(0)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("convscope-loader")]
    assert len(source.reads) < 100  # a few batches ahead, not the epoch
    count = len(source.reads)
    time.sleep(0.05)
    assert len(source.reads) == count


def photographs(folder: Path, n: int) -> Samples:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(n):
        small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        small.resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"p{i}.jpg", quality=95)
    return Samples(
        FilesSource(folder, tuple(f"p{i}.jpg" for i in range(n))), np.arange(n), "classify", ("a",) * n, root=folder
    )


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    reads: list[int] = []
    original = FilesSource.read

    def read(self: FilesSource, index: int, *rest: object) -> Picture:
        reads.append(index)
        return original(self, index, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(FilesSource, "read", read)
    return reads


def images_of(samples: Samples, budget: CacheBudget) -> np.ndarray:
    loader = Loader(samples, Preprocess(16, 16), batch_size=4, cache=budget)
    return np.concatenate([b.images for b in loader.batches(0)])


def test_disk_cache_serves_the_next_run_and_sees_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = photographs(tmp_path / "data", 9)
    budget = CacheBudget(memory_bytes=0, folder=tmp_path / "cache")
    reads = counted(monkeypatch)
    plain = images_of(samples, NO_CACHE)
    assert np.array_equal(images_of(samples, budget), plain)
    reads.clear()
    assert np.array_equal(images_of(samples, budget), plain)
    assert reads == [0]  # only to learn the shape
    (file,) = (tmp_path / "cache").iterdir()
    os.utime(tmp_path / "data" / "p3.jpg", ns=(1, 1))  # changed
    damaged = bytearray(file.read_bytes())
    damaged[4096 + 9 * 24 + 5 * 16 * 16 * 3 + 100] ^= 1  # one bit of row 5
    file.write_bytes(damaged)
    reads.clear()
    assert np.array_equal(images_of(samples, budget), plain)
    assert sorted(reads) == [0, 3, 5]
    reads.clear()
    assert np.array_equal(images_of(samples, budget), plain)
    assert reads == [0]  # mended


@pytest.mark.parametrize("damage", ["shorter", "other header", "folder in the way"])
def test_a_broken_cache_file_is_made_anew_or_done_without(tmp_path: Path, damage: str) -> None:
    samples = photographs(tmp_path / "data", 5)
    budget = CacheBudget(memory_bytes=0, folder=tmp_path / "cache")
    plain = images_of(samples, budget)
    (file,) = (tmp_path / "cache").iterdir()
    if damage == "shorter":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "other header":
        file.write_bytes(b"{}" + file.read_bytes()[2:])
    else:
        file.unlink()
        file.mkdir()
        (file / "x").touch()
    assert np.array_equal(images_of(samples, budget), plain)


def test_disk_cache_keeps_its_budget_and_its_options_apart(tmp_path: Path) -> None:
    samples = photographs(tmp_path / "data", 5)
    need = 5 * 16 * 16 * 3
    budget = CacheBudget(memory_bytes=0, disk_bytes=need - 1, folder=tmp_path / "cache")
    images_of(samples, budget)
    assert not (tmp_path / "cache").exists()
    roomy = CacheBudget(memory_bytes=0, disk_bytes=2 * need, folder=tmp_path / "cache")
    first = images_of(samples, roomy)
    crop = Loader(samples, Preprocess(16, 16, fit="crop"), batch_size=5, cache=roomy).batch(0, 0).images
    assert not np.array_equal(first, crop)
    assert len(list((tmp_path / "cache").glob(f"*{SUFFIX}"))) == 1  # the older one had to go


def test_a_cache_that_cant_be_written_only_costs_speed(tmp_path: Path) -> None:
    samples = photographs(tmp_path / "data", 5)
    plain = images_of(samples, NO_CACHE)
    blocked = tmp_path / "file"
    blocked.touch()
    loader = Loader(samples, Preprocess(16, 16), batch_size=5, cache=CacheBudget(0, 10**6, blocked / "cache"))
    assert np.array_equal(loader.batch(0, 0).images, plain)
    assert loader.cache_words.startswith("nothing kept: ")


def test_a_disk_that_fills_up_stops_the_writing(tmp_path: Path) -> None:
    like = np.zeros((4, 4, 3), np.uint8)
    cache = DiskCache(tmp_path / f"a{SUFFIX}", 3, like, lambda index: (1, 1))
    cache.put(0, like + 7)

    class Full:
        def seek(self, place: int) -> None:
            raise OSError(28, "No space left on device")

    whole, cache._file = cache._file, Full()  # type: ignore[assignment]
    cache.put(1, like)
    cache._file = whole
    cache.put(2, like)
    out = like.copy()
    assert cache.words.endswith("writing stopped: No space left on device")
    assert [cache.get(i, out) for i in range(3)] == [True, False, False]


def test_reduced_decoding_differs_little_and_can_be_switched_off(tmp_path: Path) -> None:
    names = ("astronaut", "coffee", "chelsea", "rocket")
    for name in names:
        photo = Image.fromarray(getattr(skimage.data, name)())
        ImageOps.fit(photo, (640, 480)).save(tmp_path / f"{name}.jpg", quality=90)
    samples = Samples(FilesSource(tmp_path, tuple(f"{n}.jpg" for n in names)), None, "classify", (), root=tmp_path)
    fast, full = (
        Loader(samples, Preprocess(224, 224, fit="stretch"), batch_size=4, fast_decode=flag).batch(0, 0).images
        for flag in (True, False)
    )
    assert 0 < np.abs(fast.astype(int) - full).mean() <= 1.0
    for picture, name in zip(full, names):
        whole = Image.open(tmp_path / f"{name}.jpg").convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        assert np.abs(picture.astype(int) - np.asarray(whole)).mean() < 0.05  # decoders of one family


def test_memory_of_small_pictures_is_used_again_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PILLOW_BLOCKS_MAX", raising=False)
    photo = Image.fromarray(skimage.data.coffee()).resize((640, 480))
    keys = tuple(f"{i}.jpg" for i in range(20))
    for key in keys:
        photo.save(tmp_path / key)
    samples = Samples(FilesSource(tmp_path, keys), None, "classify", (), root=tmp_path)
    loader = Loader(samples, Preprocess(224, 224), batch_size=5, workers=1, cache=NO_CACHE)
    Image.core.reset_stats()
    for _ in loader.batches(0):
        pass
    counts = Image.core.get_stats()
    assert counts["reused_blocks"] > counts["allocated_blocks"]  # Pillow's own default: 0 used again
    assert counts["blocks_cached"] == 0


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_memory_is_flat_over_10_000_pictures() -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    data = simplejpeg.encode_jpeg(np.asarray(small.resize((160, 120))), quality=90)

    class Generated(Numbered):
        def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
            return Picture(simplejpeg.decode_jpeg(data, min_height=64, min_width=64), (120, 160))

    samples = Samples(Generated(np.arange(10_000)), np.zeros(10_000, np.int64), "classify", ("a", "b"))
    loader = Loader(samples, Preprocess(64, 64), batch_size=50, shuffle=True, cache=NO_CACHE, augmentation=CHANGED)
    early = 0
    for k, _ in enumerate(loader.batches(0)):
        if k == 20:
            gc.collect()
            early = resident_bytes()
    gc.collect()
    assert resident_bytes() - early < 12e6  # one batch with its partners is 1.2 MB


def test_free_memory_is_a_sane_number() -> None:
    assert 1e6 < free_memory_bytes() < 1e14
