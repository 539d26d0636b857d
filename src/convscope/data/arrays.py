"""(x, y) arrays as a data set; the task follows from y by a stated rule or is said.

The rule, without `task`: text, booleans and whole-number dtypes of shape (n,) or (n, 1) are class labels; (n, k >= 2)
of 0 and 1 with one 1 per row is one-hot; other 0/1 rows are several labels; float columns are numbers to predict.
Floats that are all 0 or 1 in one column could be either, so `task` must then be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.data.naming import natural_key
from convscope.data.stored import with_channels
from convscope.errors import DataError, PictureError
from convscope.records.geometry import Preprocess
from convscope.records.samples import Picture, Samples, Task

PixelRange = tuple[float, float]


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Pictures that are already in memory; a PictureSource.

    Attributes:
        values: (n, h, w) or (n, h, w, c), or n arrays of shapes (h, w) or (h, w, c).
        keys: "array/000012".
        pixels: the values that mean black and white; None keeps the arrays as given.
    """

    values: Any
    keys: Sequence[str]
    pixels: PixelRange | None = None

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.keys)

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Picture:
        """One picture; 1 and 3 channels are turned into each other, other numbers stay as they are."""
        array = np.asarray(self.values[index])
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise PictureError(self.keys[index], f"expected shape (h, w) or (h, w, c), got {array.shape}")
        if self.pixels is not None:
            low, high = self.pixels
            array = ((array.astype(np.float32) - low) * (255.0 / (high - low))).astype(np.float32)
        if array.ndim == 2:
            array = array[:, :, None]
        if array.shape[2] in (1, 3) and channels in (1, 3):
            array = with_channels(array, channels)
        return Picture(array, (int(array.shape[0]), int(array.shape[1])))

    def subset(self, indices: np.ndarray) -> ArraySource:
        """Views of the same arrays restricted to `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        return ArraySource(_Picked(self.values, chosen), tuple(self.keys[int(i)] for i in chosen), self.pixels)


class _Picked:
    """Some items of a sequence, without copying it."""

    def __init__(self, items: Any, chosen: np.ndarray) -> None:
        is_picked = isinstance(items, _Picked)  # a subset of a subset points to the first, so that chains stay short
        self.items: Any = items.items if is_picked else items
        self.chosen: np.ndarray = items.chosen[chosen] if is_picked else chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Any:
        return self.items[int(self.chosen[index])]


def read_arrays(
    x: Any,
    y: Any = None,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    pixels: PixelRange | None = None,
) -> Samples:
    """Pictures and truths that are arrays.

    Args:
        x: (n, h, w) or (n, h, w, c), channels last, any numeric dtype; or a list of arrays of different sizes.
        y: (n,) or (n, k) truths; None for prediction.
        task: what y means; by default from its dtype and shape (see this module's first lines).
        classes: class names in index order, or names of the number columns.
        pixels: the values of black and white, (0, 1) for instance; they are then brought to 0..255. None: as given;
            uint16 counts as (0, 65535), booleans as (0, 1).

    Raises:
        DataError: lengths that differ, NaN, fewer than two classes, or a y that could mean two things.
    """
    values, stated = _checked_pictures(x, pixels)
    n = len(values)
    keys = tuple(f"array/{i:06d}" for i in range(n))
    source = ArraySource(values, keys, stated)
    if y is None:
        return Samples(source, None, task or "classify", tuple(classes or ()), source="arrays without truth")
    truth, meaning, names = read_truth(y, task=task, classes=classes)
    if len(truth) != n:
        raise DataError(f"expected one truth for each of {n} pictures, got {len(truth)}; x and y must be equally long")
    return Samples(source, truth, meaning, names, source=f"arrays, y read as {_WORDS[meaning]}")


_WORDS = {"classify": "class labels", "multilabel": "several labels per picture", "regress": "numbers"}


def _checked_pictures(x: Any, pixels: PixelRange | None) -> tuple[Any, PixelRange | None]:
    if pixels is not None and not (len(pixels) == 2 and pixels[1] > pixels[0]):
        raise DataError(f"expected pixels=(black, white) with black below white, got {pixels}")
    ragged = isinstance(x, list | tuple) and len({np.shape(a) for a in x}) > 1
    values = list(x) if ragged else np.asarray(x)
    first = np.asarray(values[0]) if len(values) else None
    if first is None:
        raise DataError("expected at least one picture in x, got an empty array")
    if first.dtype.kind not in "uifb" or first.ndim not in (2, 3):
        shape = np.shape(values) if not ragged else first.shape
        raise DataError(f"expected x of shape (n, h, w) or (n, h, w, c) of numbers, got {first.dtype} {shape}")
    if pixels is None and first.dtype == np.uint16:
        pixels = (0.0, 65535.0)
    elif pixels is None and first.dtype == np.bool_:
        pixels = (0.0, 1.0)
    return values, pixels


def read_truth(
    y: Any, *, task: Task | None = None, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, Task, tuple[str, ...]]:
    """Truths in the form that Samples holds, what they mean, and the names of classes or columns.

    Raises:
        DataError: NaN, negative labels, one class only, or a meaning that has to be said.
    """
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise DataError(f"expected y of shape (n,) or (n, k), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        first = int(np.argwhere(~np.isfinite(array))[0][0])
        raise DataError(f"expected numbers in y, got {array[first]} in row {first}; leave such pictures out")
    meaning = task or _meaning(array)
    if meaning == "classify":
        truth, names = _labels(array)
    elif meaning == "multilabel":
        truth, names = _several(array)
    else:
        truth = np.asarray(array, np.float32).reshape(len(array), -1)
        names = tuple(f"value {i + 1}" for i in range(truth.shape[1])) if truth.shape[1] > 1 else ("value",)
    return truth, meaning, _named(names, classes, meaning, truth)


def _meaning(array: np.ndarray) -> Task:
    if array.dtype.kind in "OUSb" or (array.ndim == 1 and array.dtype.kind in "ui"):
        return "multilabel" if array.ndim == 2 else "classify"
    is_01 = bool(np.isin(array, (0, 1)).all())
    if array.ndim == 2 and is_01:
        return "classify" if bool((array.sum(axis=1) == 1).all()) else "multilabel"
    if array.ndim == 1 and is_01:
        raise DataError("y holds floats that are all 0 or 1: say task='classify' or task='regress'")
    if array.dtype.kind in "ui":
        raise DataError(f"y of whole numbers with shape {array.shape} has no meaning by itself: say task=")
    return "regress"


def _labels(array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    if array.ndim == 2:
        if not (np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()):
            raise DataError("expected one-hot rows in y for task classify, got rows without exactly one 1")
        return array.argmax(axis=1).astype(np.int64), tuple(str(i) for i in range(array.shape[1]))
    if array.dtype.kind in "OUSb":
        texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.tolist()]
        names = tuple(sorted(set(texts), key=natural_key))
        place = {name: i for i, name in enumerate(names)}
        return np.array([place[t] for t in texts], np.int64), names
    whole = array.astype(np.int64)
    if (whole != array).any() or whole.min() < 0:
        raise DataError(f"expected class labels 0, 1, 2, ... in y, got {array[(whole != array) | (whole < 0)][0]}")
    if whole.max() > 100_000:
        raise DataError(f"expected class labels 0, 1, 2, ... in y, got {whole.max()}; say task='regress' for numbers")
    return whole, tuple(str(i) for i in range(int(whole.max()) + 1))


def _several(array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        raise DataError(f"expected y of 0 and 1 with shape (n, k) for task multilabel, got shape {array.shape}")
    return array.astype(np.float32), tuple(str(i) for i in range(array.shape[1]))


def _named(names: tuple[str, ...], classes: Sequence[str] | None, task: Task, truth: np.ndarray) -> tuple[str, ...]:
    if classes is not None:
        if len(classes) < len(names):
            raise DataError(f"expected at least {len(names)} names in classes, got {len(classes)}")
        if len(classes) > len(names) and task != "classify":
            raise DataError(f"expected {len(names)} names in classes, got {len(classes)}")
        names = tuple(str(c) for c in classes)
    if task == "classify" and len(np.unique(truth)) < 2:
        raise DataError("expected at least two classes in y, found one; add pictures of another")
    return names


def check_pixels(samples: Samples, preprocess: Preprocess, look_at: int = 32) -> None:
    """Refuse float arrays that look like 0..1 where pixels 0..255 are needed.

    Nothing to check for fit="as-is", files, or arrays whose range was said.

    Raises:
        DataError: none of the first `look_at` arrays exceeds 1.
    """
    source = samples.pictures
    if not isinstance(source, ArraySource) or source.pixels is not None or preprocess.fit == "as-is":
        return
    first = [np.asarray(source.values[i]) for i in range(min(look_at, len(source)))]
    if all(a.dtype.kind == "f" for a in first):
        low, high = min(float(a.min()) for a in first), max(float(a.max()) for a in first)
        if high <= 1.0:
            raise DataError(
                f"expected pixels in 0..255, got float arrays from {low:g} to {high:g}; "
                "say pixels=(0, 1), or fit='as-is' for a network of your own"
            )
