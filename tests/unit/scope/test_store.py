"""Stores of feature maps: what comes back, going on after a kill, other models and data, damage, memory."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import zarr
from keras import layers as L

from convscope.errors import DataError, MissingExtraError, ModelError, PlanError, StorageError, UnknownLayerError
from convscope.scope import store as store_module
from convscope.scope.chunking import chunk_shape, portions
from convscope.scope.feed import as_feed
from convscope.scope.shards import moved_together
from convscope.scope.store import Keeping, make_arrays, store_maps
from convscope.scope.store_layout import BLOCKS, LayerArray, engine, plain_spec, write_root
from convscope.scope.store_reading import MapStore
from convscope.scope.tap import Probe

pytestmark = pytest.mark.backend

PICTURES = np.random.default_rng(0).normal(size=(20, 16, 16, 3)).astype("float32")


def network(seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = L.Input((16, 16, 3))
    x = L.Conv2D(12, 3, activation="relu", name="conv")(inputs)
    inner = keras.Sequential([L.Input((14, 14, 12)), L.Conv2D(5, 3, strides=2, name="conv")], name="inner")
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(L.GlobalAveragePooling2D()(inner(x))))


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe(network(), batch_size=4)


def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = store_module.portions(computed_bytes=1, stored_bytes=1, budget_bytes=96, most=4)
    assert cut.block == 8
    monkeypatch.setattr(store_module, "portions", lambda **_: cut)


def test_both_directions_and_plain_zarr(probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    truth = np.arange(20) % 3
    said: list[tuple[str, int, int]] = []
    store = store_maps(
        probe,
        as_feed(PICTURES, truth=truth),
        tmp_path / "maps.zarr",
        "**/conv",
        keeping=Keeping(dtype="float32"),
        progress=lambda *step: said.append(step),
    )
    expected = probe.activations(PICTURES, "**/conv")
    assert store.layers == ("conv", "inner/conv") and store.is_complete
    assert said[-1] == ("storing maps", 20, 20)
    np.testing.assert_allclose(store.picture("conv", 13), expected["conv"][13], atol=1e-5)
    np.testing.assert_allclose(store.channel("inner/conv", 4), expected["inner/conv"][..., 4], atol=1e-5)
    np.testing.assert_allclose(store.predictions(), probe.outputs(PICTURES)[0], atol=1e-5)
    assert store.labels == tuple(truth) and store.ids[3] == "array/000003"
    first, conv, _ = str(store).splitlines()
    assert first.endswith("20 of 20 pictures, float32, lz4") and conv.strip() == "conv: 14 x 14 x 12"
    assert "inner/conv" in store._repr_html_() and repr(store) == str(store)

    group = zarr.open_group(str(tmp_path / "maps.zarr"), mode="r")
    np.testing.assert_allclose(group["inner_conv"][:], expected["inner/conv"], atol=1e-5)
    assert group["inner_conv"].attrs["layer"] == "inner/conv"
    assert group.attrs["convscope"]["model_sha256"]
    names = {name for name, _ in group.members()}  # a file that is no part of Zarr would warn here
    assert names == {"conv", "inner_conv", "predictions", "written"}


def test_xarray_reads_a_store(probe: Probe, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    store_maps(probe, as_feed(PICTURES), tmp_path / "maps.zarr", "conv", keeping=Keeping(dtype="float32"))
    with xarray.open_zarr(tmp_path / "maps.zarr", consolidated=False) as data:
        assert data["conv"].dims == ("picture", "conv y", "conv x", "conv channel")
        np.testing.assert_allclose(data["conv"][13], probe.activations(PICTURES, "conv")["conv"][13], atol=1e-5)


def test_float16_and_pooling(probe: Probe, tmp_path: Path) -> None:
    expected = probe.activations(PICTURES, "conv")["conv"]
    half = store_maps(probe, as_feed(PICTURES), tmp_path / "a.zarr", "conv")
    np.testing.assert_allclose(half.picture("conv", 2), expected[2].astype(np.float16), atol=2e-3)
    pooled = store_maps(probe, as_feed(PICTURES), tmp_path / "b.zarr", "conv", keeping=Keeping("float32", pool=7))
    slow = expected[2].reshape(2, 7, 2, 7, 12).mean(axis=(1, 3))
    np.testing.assert_allclose(pooled.picture("conv", 2), slow, atol=1e-5)
    whole = store_maps(probe, as_feed(PICTURES), tmp_path / "c.zarr", "conv", keeping=Keeping("float32", pool="whole"))
    np.testing.assert_allclose(whole.picture("conv", 2)[0, 0], expected[2].mean(axis=(0, 1)), atol=1e-5)


def test_going_on_computes_only_what_is_missing(probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    folder = tmp_path / "maps.zarr"
    store_maps(probe, as_feed(PICTURES), folder, "conv")
    whole = MapStore(folder).channel("conv", 3)
    (folder / BLOCKS).write_text(json.dumps({"attributes": {"whole": [0, 2]}}))
    with pytest.raises(DataError, match="only 12 of 20 pictures are written"):
        MapStore(folder).channel("conv", 3)
    with pytest.raises(DataError, match="store the same data again"):
        MapStore(folder).picture("conv", 9)
    assert MapStore(folder).picture("conv", 17).shape == (14, 14, 12)
    taken: list[tuple[int, int]] = []
    feed = as_feed(PICTURES)
    original = type(feed).take
    monkeypatch.setattr(type(feed), "take", lambda self, a, b: taken.append((a, b)) or original(self, a, b))
    store_maps(probe, feed, folder, "conv")
    assert taken == [(0, 1), (8, 12), (12, 16)]
    np.testing.assert_array_equal(MapStore(folder).channel("conv", 3), whole)


def test_parts_by_several_make_one_store(probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    folder, other = tmp_path / "parts.zarr", tmp_path / "whole.zarr"
    for part in range(2):
        found = store_maps(probe, as_feed(PICTURES), folder, "conv", part=(part, 2))
        assert found.is_complete == (part == 1)
    taken: list[tuple[int, int]] = []
    feed = as_feed(PICTURES)
    original = type(feed).take
    monkeypatch.setattr(type(feed), "take", lambda self, a, b: taken.append((a, b)) or original(self, a, b))
    closed = store_maps(probe, feed, folder, "conv")
    assert taken == [(0, 1)]  # only looked at: nothing was left to do
    whole = store_maps(probe, as_feed(PICTURES), other, "conv")
    np.testing.assert_array_equal(closed.channel("conv", 3), whole.channel("conv", 3))
    files = [sorted(p.relative_to(f).as_posix() for p in f.rglob("*")) for f in (folder, other)]
    assert files[0] == files[1]


def test_a_lost_part_is_done_at_the_end(probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    store_maps(probe, as_feed(PICTURES), tmp_path / "maps.zarr", "conv", part=(1, 2))
    with pytest.raises(DataError, match="only 8 of 20 pictures are written"):
        MapStore(tmp_path / "maps.zarr").channel("conv", 3)
    store = store_maps(probe, as_feed(PICTURES), tmp_path / "maps.zarr", "conv")
    expected = probe.activations(PICTURES, "conv")["conv"]
    np.testing.assert_allclose(store.channel("conv", 3), expected[..., 3], atol=2e-3)


KILLED = """
import sys, numpy as np
sys.path.insert(0, sys.argv[2])
from test_store import PICTURES, network
from convscope.scope import store as m
from convscope.scope.feed import as_feed
from convscope.scope.tap import Probe
cut = m.portions(computed_bytes=1, stored_bytes=1, budget_bytes=96, most=4)
m.portions = lambda **_: cut
m.store_maps(Probe(network(), batch_size=4), as_feed(np.tile(PICTURES, (40, 1, 1, 1))), sys.argv[1], "conv")
"""


def test_killed_and_gone_on_is_the_same_as_never_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "maps.zarr"
    arguments = [sys.executable, "-c", KILLED, str(folder), str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (folder / BLOCKS).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / BLOCKS).exists()
    left_over = [(folder / BLOCKS).with_name(".tmp-1-zarr.json"), folder / "conv" / ".tmp-c.1.0.0.0"]
    for file in left_over:
        file.write_bytes(b"half")
    small_blocks(monkeypatch)
    many = as_feed(np.tile(PICTURES, (40, 1, 1, 1)))
    probe = Probe(network(), batch_size=4)
    gone_on = store_maps(probe, many, folder, "conv")
    never = store_maps(probe, many, tmp_path / "whole.zarr", "conv")
    assert gone_on.is_complete and not any(file.exists() for file in left_over)
    for channel in (0, 11):
        np.testing.assert_allclose(gone_on.channel("conv", channel), never.channel("conv", channel), atol=2e-3)


def test_what_is_refused(probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "maps.zarr"
    store = store_maps(probe, as_feed(PICTURES), folder, "conv")
    with pytest.raises(ModelError, match="another model"):
        store_maps(Probe(network(2)), as_feed(PICTURES), folder, "conv")
    with pytest.raises(DataError, match="other data"):
        store_maps(probe, as_feed(PICTURES[::-1].copy()), folder, "conv")
    with pytest.raises(PlanError, match="begun with dtype"):
        store_maps(probe, as_feed(PICTURES), folder, "conv", keeping=Keeping("float32"))
    with pytest.raises(PlanError, match="memory budget of at least"):
        store_maps(probe, as_feed(PICTURES), tmp_path / "x.zarr", "conv", keeping=Keeping(memory_mb=0))
    with pytest.raises(UnknownLayerError, match="conv"):
        store.picture("convv", 0)
    with pytest.raises(DataError, match="from 0 to 19, got 20"):
        store.picture("conv", 20)
    with pytest.raises(DataError, match="from 0 to 11, got 12"):
        store.channel("conv", 12)
    with pytest.raises(DataError, match="expected a store"):
        MapStore(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StorageError, match="GB free"):
        store_maps(probe, as_feed(PICTURES), tmp_path / "y.zarr", "conv")
    assert not (tmp_path / "y.zarr").exists()
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    with pytest.raises(MissingExtraError, match=r"convscope\[store\]"):
        store_maps(probe, as_feed(PICTURES), tmp_path / "z.zarr", "conv")


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_shard_is_named(probe: Probe, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "maps.zarr"
    store_maps(probe, as_feed(PICTURES), folder, "conv")
    shard = max((folder / "conv").glob("c.*"), key=lambda p: p.stat().st_size)
    data = bytearray(shard.read_bytes())
    data = data[: len(data) // 2] if damage == "cut" else data[:200] + bytes([data[200] ^ 255]) + data[201:]
    shard.write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged or cut"):
        for index in range(20):
            MapStore(folder).picture("conv", index)


@pytest.mark.parametrize("shape", [(112, 112, 64), (7, 7, 2048), (28, 28, 61), (1, 1, 10), (300, 300, 3)])
@pytest.mark.parametrize("block", [1, 3, 8, 64, 256])
def test_either_direction_touches_at_most_eight_times_the_bytes(shape: tuple[int, int, int], block: int) -> None:
    pictures, height, width, channels = chunk_shape(shape, 2, block)
    assert pictures <= 8 and channels <= 8 and (height, width) == shape[:2]
    assert block % pictures == 0 and shape[2] % channels == 0


def test_portions_stay_within_the_budget() -> None:
    cut = portions(computed_bytes=44_500_000, stored_bytes=22_250_000, budget_bytes=2 << 30, most=16)
    assert 6 * cut.batch * 44_500_000 <= 2 << 30 and 12 * cut.block * 22_250_000 <= 2 << 30
    assert cut.batch == 8 and cut.block == 8
    two = portions(computed_bytes=44_500_000, stored_bytes=22_250_000, budget_bytes=2 << 30, most=16, runs=2)
    assert 5 * 2 * two.batch * 44_500_000 <= 2 << 30 and two.block == 8
    assert two.runs == 2 and two.batch == 4
    tight = portions(computed_bytes=100, stored_bytes=50, budget_bytes=700, most=16, runs=2)
    assert tight.runs == 1 and tight.batch == 1


MEASURED = """
import resource, sys, numpy as np
sys.path.insert(0, sys.argv[2])
from convscope.scope.feed import as_feed
from convscope.scope.store import Keeping, store_maps
from convscope.scope.tap import Probe
import keras
from keras import layers as L
inputs = L.Input((64, 64, 3))
model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(L.Conv2D(64, 3, name="conv")(inputs))))
class Endless:
    truth = None
    def __init__(self, n): self.ids = tuple(map(str, range(n)))
    def __len__(self): return len(self.ids)
    def take(self, a, b): return np.random.default_rng(a).normal(size=(b - a, 64, 64, 3)).astype("float32")
probe = Probe(model, batch_size=16)
list(probe.stream(Endless(16).take(0, 16), (probe.place("conv"),)))
import tensorstore
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store_maps(probe, Endless(int(sys.argv[3])), sys.argv[1], "conv", keeping=Keeping(memory_mb=128))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 1000])
def test_memory_stays_within_the_budget(tmp_path: Path, count: int) -> None:
    arguments = [sys.executable, "-c", MEASURED, str(tmp_path / "m.zarr"), "", str(count)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert int(result.stdout.split()[-1]) < 128


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("count", "channels"), [(16, 8), (12, 6), (5, 5), (3, 1), (4, 4)])
def test_channels_are_moved_together_as_numpy_moves_them(dtype: str, count: int, channels: int) -> None:
    values = np.random.default_rng(1).normal(size=(3, 5, 7, count)).astype(dtype)
    moved = moved_together(values, channels)
    for group in range(count // channels):
        np.testing.assert_array_equal(moved[group], values[..., group * channels : (group + 1) * channels])


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_own_shards_are_what_the_general_engine_writes_and_reads(tmp_path: Path, codec: str) -> None:
    """Both tensorstore and zarr read every value; a last block that is not full, odd channel counts."""
    rng = np.random.default_rng(2)
    entries = [LayerArray("a", "a", (9, 7, 16)), LayerArray("b", "b", (1, 1, 5))]
    blocks = [{e.array: rng.normal(size=(n, *e.shape)).astype("float16") for e in entries} for n in (8, 8, 3)]
    shards = make_arrays(tmp_path, entries, n=19, block=8, keeping=Keeping(codec=codec))
    for number, held in enumerate(blocks):
        shards.write(held, number)
    write_root(tmp_path, {})
    group = zarr.open_group(str(tmp_path), mode="r")
    for entry in entries:
        whole = np.concatenate([held[entry.array] for held in blocks])
        np.testing.assert_array_equal(group[entry.array][:], whole)
        read = engine().open(plain_spec(tmp_path, entry.array), read=True).result()
        np.testing.assert_array_equal(read[:, :, :, 3].read().result(), whole[..., 3])
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.parametrize("pool", [1, 2])
def test_what_float16_cannot_hold_is_its_largest_number(pool: int, tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 1))
    probe = Probe(keras.Model(inputs, keras.layers.Rescaling(1e6, name="grow")(inputs)))
    pictures = np.stack([np.full((4, 4, 1), v, np.float32) for v in (1, -1, 1e-3)])
    store = store_maps(probe, as_feed(pictures), tmp_path / "m.zarr", "grow", keeping=Keeping(pool=pool))
    assert [store.picture("grow", i).max() for i in range(3)] == [65504, -65504, 1000]
