"""Data sets of other libraries: recognised by type names, read by index or within a budget, never imported by us."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from convscope.data.foreign import foreign_kind, read_foreign
from convscope.data.opening import read_data
from convscope.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (10, 6, 5, 3), np.uint8)
Y = np.arange(10) % 3


def named_as(module: str, name: str, **body: Any) -> type:
    """A class that seems to come from a library."""
    return type(name, (), {"__module__": module, **body})


TorchDataset = named_as("torch.utils.data.dataset", "Dataset")
PyDataset = named_as("keras.src.trainers.data_adapters.py_dataset_adapter", "PyDataset")
IterDataset = named_as("grain._src.python.dataset.dataset", "IterDataset")


class Photos(TorchDataset):
    """Channels first, as torch keeps them; counts how often a picture is asked for."""

    asked = 0

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        Photos.asked += 1
        return np.moveaxis(X[i], -1, 0), int(Y[i])


class PhotosWithTargets(Photos):
    targets = Y.tolist()


class Batches(PyDataset):
    num_batches: int | None = 3

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


class Stream(IterDataset):
    def __init__(self, endless: bool = False) -> None:
        self.endless = endless

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from ({"image": x, "label": y} for x, y in zip(X, Y))
            if not self.endless:
                return


@pytest.mark.parametrize(
    ("data", "kind"), [(Photos(), "torch-map"), (Batches(), "pydataset"), (Stream(), "grain-iter")]
)
def test_values_arrive_channels_last(data: Any, kind: str) -> None:
    assert foreign_kind(data) == kind
    samples = read_data(data)
    assert samples.task == "classify" and samples.truth is not None and samples.truth.tolist() == Y.tolist()
    for i in (0, 7):
        np.testing.assert_array_equal(samples.pictures.read(i, 3).values, X[i])
    np.testing.assert_array_equal(samples.subset(np.array([9, 2])).pictures.read(1, 3).values, X[2])


def test_map_style_pictures_are_read_when_asked_for() -> None:
    Photos.asked = 0
    samples = read_foreign(PhotosWithTargets())
    assert Photos.asked <= 1, "truths come from the list of targets"
    copy = pickle.loads(pickle.dumps(samples.pictures.subset(np.array([4]))))
    np.testing.assert_array_equal(copy.read(0, 3).values, X[4])
    assert Photos.asked <= 2


def test_endless_and_too_large_are_refused() -> None:
    with pytest.raises(DataError, match="more after"):
        read_foreign(Stream(endless=True), budget_bytes=10_000)
    endless = Batches()
    endless.num_batches = None
    with pytest.raises(DataError, match="endless"):
        read_foreign(endless)

    class Empty(Stream):
        def __iter__(self) -> Iterator[Any]:
            return iter(())

    with pytest.raises(DataError, match="empty"):
        read_foreign(Empty())

    class NoTruth(Stream):
        def __iter__(self) -> Iterator[Any]:
            return iter(X)

    with pytest.raises(DataError, match=r"\(picture, truth\)"):
        read_foreign(NoTruth())


def test_nothing_is_imported_to_recognise_them() -> None:
    code = (
        "import sys, numpy as np\n"
        "from convscope.data.opening import read_data\n"
        "read_data((np.zeros((4, 3, 3, 3), np.uint8), np.array([0, 1, 0, 1])))\n"
        "loaded = {'keras', 'tensorflow', 'torch', 'grain', 'jax'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _tensorflow() -> list[tuple[Any, str]]:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y))
    with pytest.raises(DataError, match="endless"):
        read_data(data.repeat())
    return [(data, "tf"), (data.batch(4), "tf")]


def _torch() -> list[tuple[Any, str]]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.tensor(np.moveaxis(X, -1, 1).copy()), torch.tensor(Y))
    return [(data, "torch-map"), (DataLoader(data, batch_size=4), "torch-iter")]


def _keras() -> list[tuple[Any, str]]:
    import keras

    class Real(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]

    return [(Real(), "pydataset")]


def _grain() -> list[tuple[Any, str]]:
    import grain

    data = grain.MapDataset.source([(x, int(y)) for x, y in zip(X, Y)])
    with pytest.raises(DataError, match="endless"):
        read_data(data.repeat())
    return [(data, "grain-map"), (data.batch(4), "grain-map"), (data.to_iter_dataset(), "grain-iter")]


REAL = {"tensorflow": _tensorflow, "torch": _torch, "keras": _keras, "grain": _grain}


@pytest.mark.backend
@pytest.mark.parametrize("library", [name for name in REAL if find_spec(name)])
def test_the_real_libraries(library: str) -> None:
    for data, kind in REAL[library]():
        assert foreign_kind(data) == kind
        samples = read_data(data)
        assert samples.truth is not None and samples.truth.tolist() == Y.tolist()
        np.testing.assert_array_equal(samples.pictures.read(3, 3).values, X[3])
