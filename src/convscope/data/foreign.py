"""Data sets of other libraries, recognised by the module names of their types; none of those libraries is imported.

tf.data.Dataset, keras.utils.PyDataset, grain MapDataset, IterDataset and DataLoader, torch Dataset and DataLoader.
An element is (picture, truth), or a dict with two of the usual names. A torch Dataset and a grain MapDataset answer by
index, so their pictures are read when asked for; the others are read once into memory, within a budget.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.data.arrays import ArraySource, PixelRange, read_arrays, read_truth
from convscope.errors import DataError
from convscope.records.samples import Picture, Samples, Task

DEFAULT_BUDGET_BYTES = 2 << 30
_ENDLESS = 10**9  # grain's repeat() says sys.maxsize
_X_NAMES = ("image", "images", "x", "picture", "pixel_values")
_Y_NAMES = ("label", "labels", "y", "target", "class")


def foreign_kind(data: Any) -> str:
    """Name the kind: "tf", "pydataset", "grain-map"..., a key of `_WORDS`; "" for anything else."""
    for base in type(data).__mro__:
        module, name = base.__module__ or "", base.__name__
        top = module.split(".")[0]
        if top in ("keras", "tf_keras") and name == "PyDataset":
            return "pydataset"
        if top == "tensorflow" and name == "DatasetV2":
            return "tf"
        if top == "grain" and name == "MapDataset":
            return "grain-map"
        if top == "grain" and name in ("IterDataset", "DataLoader", "DatasetIterator"):
            return "grain-iter"
        if module.startswith("torch.utils.data") and name in ("IterableDataset", "DataLoader"):
            return "torch-iter"
        if module.startswith("torch.utils.data") and name == "Dataset":
            return "torch-map"
    return ""


def read_foreign(
    data: Any,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    pixels: PixelRange | None = None,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
) -> Samples:
    """Read a data set of another library.

    Args:
        data: one that `foreign_kind` knows.
        task: as in `arrays.read_arrays`.
        classes: as there.
        pixels: as there; the values of black and white.
        budget_bytes: what pictures that can't be read by index may take in memory.

    Raises:
        DataError: endless, larger than the budget, empty, or elements that are not (picture, truth).
    """
    kind = foreign_kind(data)
    if not kind:
        raise DataError(f"expected a data set of tf.data, Keras, grain or torch, got {type(data).__name__}")
    _refuse_endless(data, kind)
    if kind in ("torch-map", "grain-map") and len(data) and not _is_batch(*_pair(data[0])):
        return _by_index(data, kind, task=task, classes=classes, pixels=pixels)
    xs, ys = _materialised(data, kind, budget_bytes)
    x = np.stack(xs) if len({a.shape for a in xs}) == 1 else xs
    samples = read_arrays(x, np.asarray(ys), task=task, classes=classes, pixels=pixels)
    return Samples(
        samples.pictures, samples.truth, samples.task, samples.classes, source=f"{_WORDS[kind]}, read once into memory"
    )


_WORDS = {
    "tf": "tf.data.Dataset",
    "pydataset": "keras.utils.PyDataset",
    "grain-map": "grain MapDataset",
    "grain-iter": "grain data set",
    "torch-map": "torch Dataset",
    "torch-iter": "torch DataLoader or IterableDataset",
}


def _refuse_endless(data: Any, kind: str) -> None:
    endless = False
    if kind == "tf":
        endless = int(data.cardinality()) == -1
    elif kind == "pydataset":
        endless = data.num_batches is None
    elif hasattr(data, "__len__"):
        try:
            endless = len(data) >= _ENDLESS
        except TypeError:  # an iterable that has no length after all
            endless = False
    if endless:
        raise DataError(f"expected a data set with an end, got an endless {_WORDS[kind]}; leave repeat() out")


def _elements(data: Any, kind: str) -> Iterator[Any]:
    if kind in ("pydataset", "torch-map", "grain-map"):
        for i in range(data.num_batches if kind == "pydataset" else len(data)):
            yield data[i]
    else:
        yield from data


def _materialised(data: Any, kind: str, budget_bytes: int) -> tuple[list[np.ndarray], list[Any]]:
    xs: list[np.ndarray] = []
    ys: list[Any] = []
    used = 0
    for element in _elements(data, kind):
        x, y = _pair(element)
        if kind == "pydataset" or _is_batch(x, y):
            pictures, truths = list(_channels_last(x, kind, batched=True)), list(y)
        else:
            pictures, truths = [_channels_last(x, kind, batched=False)], [y]
        if len(pictures) != len(truths):
            raise DataError(f"expected one truth per picture in a batch, got {len(truths)} for {len(pictures)}")
        used += sum(p.nbytes for p in pictures)
        if used > budget_bytes:
            raise DataError(
                f"expected at most {budget_bytes / 2**20:,.0f} MiB of pictures from a {_WORDS[kind]}, got more after "
                f"{len(xs):,} (or it is endless); raise the memory budget, or give a data set that answers by index"
            )
        xs += pictures
        ys += truths
    if not xs:
        raise DataError(f"expected pictures, got an empty {_WORDS[kind]}")
    return xs, ys


def _pair(element: Any) -> tuple[np.ndarray, np.ndarray]:
    """Picture(s) and truth(s) of one element as arrays."""
    if isinstance(element, dict):
        names = [next((n for n in known if n in element), None) for known in (_X_NAMES, _Y_NAMES)]
        if None in names:
            raise DataError(f"expected image and label in an element, got {', '.join(map(str, element))}")
        element = tuple(element[n] for n in names)
    if not isinstance(element, tuple | list) or len(element) < 2:
        raise DataError(f"expected elements (picture, truth), got {type(element).__name__}")
    return _array(element[0]), _array(element[1])


def _array(value: Any) -> np.ndarray:
    """A NumPy array of a tensor, an array, a number or a Pillow picture."""
    if hasattr(value, "detach"):  # a torch tensor that may need a gradient or live on a device
        value = value.detach().cpu()
    if getattr(value, "mode", None) == "P" and hasattr(value, "convert"):
        value = value.convert("RGB")
    return np.asarray(value)


def _is_batch(x: np.ndarray, y: np.ndarray) -> bool:
    """Four axes are a batch; three are one picture if the first or last is 1, 3 or 4, else a batch of grey ones."""
    if x.ndim == 4:
        return True
    if x.ndim != 3 or y.ndim == 0:
        return False
    return not (x.shape[-1] in (1, 3, 4) or x.shape[0] in (1, 3, 4)) and len(y) == len(x)


def _channels_last(x: np.ndarray, kind: str, *, batched: bool) -> np.ndarray:
    """Turn what torch keeps channels first: (c, h, w) with 1 or 3 channels, and no such number of columns."""
    first = 1 if batched else 0
    if kind.startswith("torch") and x.ndim == first + 3 and x.shape[first] in (1, 3) and x.shape[-1] not in (1, 3, 4):
        return np.moveaxis(x, first, -1)
    return x


@dataclass(frozen=True, eq=False)
class IndexedSource:
    """Pictures of a data set that answers by index, one at a time; a PictureSource.

    `items` gives (picture, truth) for a position; `positions` are the ones used, in order.
    """

    items: Any
    kind: str
    positions: tuple[int, ...]
    keys: Sequence[str]
    pixels: PixelRange | None = None
    _one_at_a_time: Any = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.positions)

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """Ask for one element; a lock keeps data sets safe that are not made for threads."""
        position = self.positions[index]
        with self._one_at_a_time:
            values = _channels_last(_pair(self.items[position])[0], self.kind, batched=False)
        pixels = (0.0, 65535.0) if self.pixels is None and values.dtype == np.uint16 else self.pixels
        return ArraySource([values], (self.keys[index],), pixels).read(0, channels)

    def subset(self, indices: np.ndarray) -> IndexedSource:
        """The same data set restricted to `indices`, in that order."""
        chosen = tuple(self.positions[int(i)] for i in indices)
        keys = tuple(self.keys[int(i)] for i in indices)
        return IndexedSource(self.items, self.kind, chosen, keys, self.pixels, self._one_at_a_time)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock, which can't be pickled."""
        return {**self.__dict__, "_one_at_a_time": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a new lock."""
        self.__dict__.update(state, _one_at_a_time=threading.Lock())


def _by_index(
    data: Any, kind: str, *, task: Task | None, classes: Sequence[str] | None, pixels: PixelRange | None
) -> Samples:
    truth, meaning, names = read_truth(_truths(data), task=task, classes=classes or getattr(data, "classes", None))
    keys = tuple(f"item/{i:06d}" for i in range(len(data)))
    source = IndexedSource(data, kind, tuple(range(len(data))), keys, pixels)
    return Samples(source, truth, meaning, names, source=f"{_WORDS[kind]}, pictures read when asked for")


def _truths(data: Any) -> np.ndarray:
    """The truths: from a `targets` or `labels` list where there is one and nothing rewrites it, else by one pass."""
    if getattr(data, "target_transform", None) is None:
        for name in ("targets", "labels"):
            listed: Any = getattr(data, name, None)
            if hasattr(listed, "__len__") and len(listed) == len(data):
                return _array(listed)
    return np.asarray([_pair(data[i])[1] for i in range(len(data))])
