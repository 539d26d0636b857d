"""Which region of each picture is explained: what the network marks as a class, all of it or one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from convscope.actions.network import as_model_input
from convscope.actions.predict import BATCH, known_card
from convscope.actions.sizes import picture_sizes
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.places import mask_in_frame, place_of
from convscope.draw.contours import mask_overlay
from convscope.errors import DataError, PlanError
from convscope.explaining.shown import for_the_eye
from convscope.records.card import Opened
from convscope.records.geometry import Letterbox
from convscope.records.progress import Progress
from convscope.records.samples import Samples
from convscope.registry import nearest


@dataclass(frozen=True)
class RegionAim:
    """Which region is explained: a class index or None for the largest found; with a point, the piece that holds it.

    `point_yx` is in pixels of the picture, row first.
    """

    label: int | None = None
    point_yx: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions that are explained, one row for each picture that has one.

    Attributes:
        images: (n, h, w, c) in the frame, before scale and offset; of blocks c is their slices.
        masks: (n, h, w) bool in the frame; of blocks (n, h, w, c).
        labels: (n,) class index.
        names: the pictures' names.
        places: picture <-> frame.
        indices: which picture each row is.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    places: tuple[Letterbox, ...]
    indices: tuple[int, ...]


def read_aim(target: str | int | None, classes: Sequence[str]) -> RegionAim:
    """A target of the command line: "predicted", a class name or index, or CLASS@ROW,COLUMN.

    Raises:
        PlanError: an unknown class, or a point that is none.

    Example:
        >>> read_aim("nucleus@120,64", ("background", "nucleus"))
        RegionAim(label=1, point_yx=(120.0, 64.0))
    """
    if target is None or target == "predicted":
        return RegionAim()
    name, mark, place = str(target).rpartition("@") if "@" in str(target) else (str(target), "", "")
    point = None
    if mark:
        try:
            row, column = (float(v) for v in place.split(","))
        except ValueError:
            raise PlanError(f"expected a region as CLASS@ROW,COLUMN in pixels, got {target!r}") from None
        point = (row, column)
    if name in classes:
        return RegionAim(list(classes).index(name), point)
    if name.isdigit() and int(name) < len(classes):
        return RegionAim(int(name), point)
    raise PlanError(f"unknown class {name!r}; {nearest(name, classes)}")


def find_regions(opened: Opened, samples: Samples, aim: RegionAim, *, progress: Progress) -> Regions:
    """Segment the pictures, or blocks of slices, and take from each the region that was asked for.

    Raises:
        DataError: it is in none of them.
    """
    card = known_card(opened)
    size = max(1, min(BATCH // 2, len(samples)))
    loader = Loader(samples, card.preprocess, batch_size=size, cache=NO_CACHE, unreadable="drop")
    sizes = picture_sizes(samples)
    rows: list[tuple[np.ndarray, np.ndarray, int, int]] = []
    why = "no picture can be read"
    done = 0
    for batch in loader.batches(0):
        if not len(batch.images):
            continue
        images = as_model_input(batch.images, card.preprocess)
        filled = np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])
        said = np.asarray(opened.model.predict_on_batch(filled)).argmax(axis=-1)[: len(images)]
        for index, picture, mask in zip(batch.indices.tolist(), batch.images, said, strict=True):
            place = place_of(sizes[index], card.preprocess)
            is_picture = mask_in_frame(np.zeros(sizes[index], np.uint8), place) == 0
            is_picture = is_picture.reshape(*is_picture.shape, *(1,) * (mask.ndim - 2))
            chosen = _region(np.where(is_picture, mask, 0), aim, place, card.classes)
            if isinstance(chosen, str):
                why = chosen
            else:
                rows.append((picture, chosen[0], chosen[1], index))
        done += len(images)
        progress("pictures segmented", done, len(samples))
    if not rows:
        raise DataError(f"expected a region to explain in one of {len(samples)} pictures, found none: {why}")
    indices = tuple(index for *_, index in rows)
    return Regions(
        np.stack([r[0] for r in rows]).astype(np.float32),
        np.stack([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        tuple(samples.pictures.keys[i] for i in indices),
        tuple(place_of(sizes[i], card.preprocess) for i in indices),
        indices,
    )


def _region(mask: np.ndarray, aim: RegionAim, place: Letterbox, classes: Sequence[str]) -> tuple[np.ndarray, int] | str:
    """The region in the frame and its class; or why there is none."""
    label = aim.label
    if label is None:
        counts = np.bincount(mask.reshape(-1), minlength=len(classes))[1:]
        if not counts.any():
            return f"the network marks nothing but {classes[0]}"
        label = int(counts.argmax()) + 1
    region = mask == label
    if aim.point_yx is None:
        return (region, label) if region.any() else f"the network marks no {classes[label]}"
    row, column = (int(v) for v in place.to_network(np.array(aim.point_yx) + 0.5))
    if not (0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]) or not region[row, column]:
        at = f"row {aim.point_yx[0]:g}, column {aim.point_yx[1]:g}"
        return f"the network does not say {classes[label]} at {at}"
    pieces, _ = ndimage.label(region)
    return pieces == pieces[row, column], label


def outlined(asked: Regions) -> np.ndarray:
    """The pictures for the eye with the outline of each region, (n, h, w, 3) uint8."""
    pictures = for_the_eye(asked.images, 1.0)
    return np.stack(
        [
            mask_overlay(picture, mask.astype(np.uint8) * label, classes=label + 1, longest_px=1, fill=False)
            for picture, mask, label in zip(pictures, asked.masks, asked.labels.tolist(), strict=True)
        ]
    )
