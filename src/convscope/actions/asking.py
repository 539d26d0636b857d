"""What every question about an explanation needs: the opened model, its pictures, its target, where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.opening import open_any
from convscope.actions.run_folder import RunFolder
from convscope.backend.selection import backend_name, load_keras
from convscope.data.loose import read_pictures
from convscope.errors import DataError
from convscope.explaining.asked import channels_come_first
from convscope.explaining.engine import picture_part
from convscope.explaining.shown import for_the_eye
from convscope.records.card import Opened
from convscope.records.provenance import Provenance
from convscope.scope.pictures import Pictures, network_pictures
from convscope.scope.tap import Probe


def opened_model(model: Any) -> Any:
    """An Opened, a Probe or a Keras model from whatever people give: a path, a run, a Scope."""
    if isinstance(model, str | Path):
        return open_any(model)
    if isinstance(model, RunFolder):
        return model.opened
    return getattr(model, "probe", model)


def files_among(images: Any) -> list[str | Path]:
    """The files and folders that were given as pictures; empty where arrays or PIL pictures were."""
    items = [images] if isinstance(images, str | Path) else images
    is_files = isinstance(items, list | tuple) and all(isinstance(i, str | Path) for i in items)
    return list(items) if is_files else []


def given_pictures(opened: Any, images: Any, preprocess: Any, labels: Sequence[str]) -> Pictures:
    """Files, folders, PIL pictures or arrays as the model takes them.

    Raises:
        DataError: no picture among the files.
    """
    card = opened.card if isinstance(opened, Opened) else None
    if files := files_among(images):
        samples = read_pictures(files)
        images = list(samples.pictures.keys)
        if not images:
            raise DataError("expected at least one picture to explain, found none")
    return network_pictures(images, preprocess or (card.preprocess if card else None), labels)


def aim_of(target: str | int | None, probe: Probe) -> str | int | None:
    """A target from the command line: "predicted", a class name, or an index."""
    if target is None or target == "predicted":
        return None
    if isinstance(target, str) and target not in probe.classes and target.lstrip("-").isdigit():
        return int(target)
    return target


def for_people(opened: Any, probe: Probe, arrays: Any) -> np.ndarray:
    """Network input as pictures for the eye, (n, h, w, 1 or 3) uint8."""
    flat = load_keras().tree.flatten(arrays)
    part = picture_part(arrays, None)
    values = np.asarray(flat[part], np.float32)
    values = np.moveaxis(values, 1, -1) if channels_come_first(probe, arrays, part) else values
    card = opened.card if isinstance(opened, Opened) else None
    if card is None:
        return for_the_eye(values)
    return for_the_eye(values, card.preprocess.scale, card.preprocess.offset)


def provenance_of(opened: Any, probe: Probe, seed: int) -> Provenance:
    """Where a result comes from, as far as it is known."""
    card = opened.card if isinstance(opened, Opened) else None
    known = card.provenance if card else Provenance(model=str(probe.model.name))
    return Provenance(**{**vars(known), "seed": seed, "backend": known.backend or backend_name()})
