"""One picture as training would see it, changed by chance, several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from convscope.data.chance import draw, is_mixed
from convscope.data.decode import decode_file
from convscope.data.fit import fit_picture
from convscope.errors import PlanError
from convscope.records.augmentation import Augmentation
from convscope.records.geometry import Preprocess
from convscope.registry import nearest
from convscope.studio.desk import Desk
from convscope.studio.pictures import UPLOADED, split_id

MOST, LARGEST_PX = 16, 256


def augmented_strip(
    desk: Desk, picture: str, changes: Mapping[str, Any], *, seed: int, count: int, size: int
) -> np.ndarray:
    """(count + 1, size, size, 3) uint8: the picture itself first, then changed copies, drawn as in training.

    Raises:
        PlanError: a change that does not exist, one out of its range, or mixing, which needs a second picture.
    """
    from convscope.layers.augment import Augmenter

    known = [f.name for f in fields(Augmentation)]
    for name in changes:
        if name not in known:
            raise PlanError(f"unknown change {name!r}; {nearest(name, known)}")
        if not isinstance(changes[name], int | float):
            raise PlanError(f"expected {name} to be a number or true, got {changes[name]!r}")
    augmentation = Augmentation(**changes)
    if is_mixed(augmentation):
        raise PlanError("expected no mixup and no cutmix here: they need a second picture; choose other changes")
    side, times = max(32, min(size, LARGEST_PX)), max(1, min(count, MOST))
    values = _square(desk, picture, side)
    draws = draw(augmentation, seed=seed, epoch=0, indices=np.arange(times))
    images = np.repeat(values[None], times, axis=0)
    with desk.busy:
        if augmentation.is_off:
            changed = images
        else:
            changed = _run(Augmenter(augmentation, frame_hw=(side, side), channels=3), images, draws)
    return np.concatenate([values[None], np.clip(np.round(changed), 0, 255)]).astype(np.uint8)


def _run(augmenter: Any, images: np.ndarray, draws: dict[str, np.ndarray]) -> np.ndarray:
    from convscope.backend.tensors import to_numpy

    return to_numpy(augmenter.compiled()(images, draws))


def _square(desk: Desk, picture: str, side: int) -> np.ndarray:
    source, rest = split_id(picture)
    if source == UPLOADED:
        found = decode_file(desk.uploaded(rest), 3, (side, side), key="picture")
    else:
        found = desk.decoded(source, int(rest), 3, (side, side))
    return fit_picture(found, Preprocess(side, side, 3))[0]
