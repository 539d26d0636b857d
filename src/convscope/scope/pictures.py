"""What people point the scope at, as arrays that the model takes: arrays as they are, files and PIL pictures fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.decode import decode_file
from convscope.data.fit import fit_picture
from convscope.errors import ModelError
from convscope.records.geometry import Letterbox, Preprocess
from convscope.records.samples import Picture

Prepare = Callable[[Any], np.ndarray]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Network input and the pictures' names.

    Attributes:
        arrays: exactly what the model takes.
        labels: one per picture.
        letterboxes: network frame <-> picture frame, where a preprocessing fitted the pictures; else empty.
    """

    arrays: Any
    labels: tuple[str, ...]
    letterboxes: tuple[Letterbox, ...] = ()


def network_pictures(images: Any, preprocess: Preprocess | Prepare | None, labels: Sequence[str] = ()) -> Pictures:
    """Arrays are taken as they are; files and PIL pictures go through `preprocess`.

    Args:
        images: an array (or nested arrays) as the model takes it; or one file path or PIL picture, or a list of them.
        preprocess: of a saved thing, or a function from a path or PIL picture to one array; None for none.
        labels: names; file names when not given.

    Raises:
        ModelError: a file or PIL picture without preprocessing. PictureError: a file that can't be read.
    """
    items = [images] if _is_picture(images) else images
    if not isinstance(items, (list, tuple)) or not items or not all(_is_picture(i) for i in items):
        return Pictures(images, tuple(labels))
    words = tuple(labels) or tuple(_name(item, i) for i, item in enumerate(items))
    if preprocess is None:
        raise ModelError(
            f"expected arrays as the model takes them, got {words[0]!r}; files and PIL pictures need a saved model "
            "with its preprocessing, or Scope(model, preprocess=f)"
        )
    if not isinstance(preprocess, Preprocess):
        return Pictures(_stacked([np.asarray(preprocess(item)) for item in items], words), words)
    fitted = [fit_picture(_decoded(item, preprocess), preprocess) for item in items]
    arrays = [values.astype(np.float32) * preprocess.scale + preprocess.offset for values, _ in fitted]
    return Pictures(_stacked(arrays, words), words, tuple(place for _, place in fitted))


def _is_picture(item: Any) -> bool:
    return isinstance(item, (str, PathLike)) or (hasattr(item, "convert") and hasattr(item, "getbands"))


def _name(item: Any, index: int) -> str:
    if isinstance(item, (str, PathLike)):
        return Path(item).name
    return Path(getattr(item, "filename", "") or f"picture {index}").name


def _decoded(item: Any, preprocess: Preprocess) -> Picture:
    if isinstance(item, (str, PathLike)):
        frame = None if preprocess.height is None or preprocess.width is None else (preprocess.height, preprocess.width)
        return decode_file(Path(item), preprocess.channels, frame)
    values = np.asarray(item.convert("RGB" if preprocess.channels == 3 else "L"))
    values = values if values.ndim == 3 else values[:, :, None]
    return Picture(values, (values.shape[0], values.shape[1]))


def _stacked(arrays: list[np.ndarray], labels: tuple[str, ...]) -> np.ndarray:
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        odd = next(i for i, a in enumerate(arrays) if a.shape != arrays[0].shape)
        raise ModelError(
            f"expected pictures of one size, got {arrays[0].shape} for {labels[0]} and {arrays[odd].shape} for "
            f"{labels[odd]}; look at them one by one"
        )
    return np.stack(arrays).astype(np.float32, copy=False)
