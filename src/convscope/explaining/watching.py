"""Watch the attention move: explain the same pictures after each epoch of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.randomness import sync_model
from convscope.errors import DataError
from convscope.explaining.engine import Limits, Wish, explain
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike

PREFIX, MAPS = "look:heat", "maps:"


def heat_look(
    method: str = "grad-cam",
    target: TargetLike = None,
    *,
    wish: Wish | None = None,
    limits: Limits | None = None,
    classes: Sequence[str] = (),
) -> Callable[[Any, np.ndarray], dict[str, np.ndarray]]:
    """What `convscope.callbacks.Watch(images, look=...)` calls after each epoch.

    Args:
        method: registered name.
        target: fix it to the truth (one class per picture), so that only the network changes from epoch to epoch.
        wish: layer, options, seed.
        limits: of memory and batch.
        classes: names in index order, where the target is given by name.

    Returns:
        (model, images) -> {"heat": (n, h, w) float32, "score": (n,)}; the model is compiled for this once.
    """
    probes: dict[int, Probe] = {}

    def look(model: Any, images: np.ndarray) -> dict[str, np.ndarray]:
        sync_model(model)
        probe = probes.setdefault(id(model), Probe(model, classes=classes))
        found = explain(probe, images, method, target, wish=wish, limits=limits)
        return {"heat": found.heat, "score": found.scores}

    return look


@dataclass(frozen=True, eq=False)
class Glance:
    """One epoch of a watched training: outputs, heat and maps of the same pictures.

    Attributes:
        epoch: 0 is before the first.
        outputs: of the model, (n, units).
        heat: (n, h, w) float32.
        maps: (n, h, w, k) float32, the first few of one layer; None where none were kept.
    """

    epoch: int
    outputs: np.ndarray
    heat: np.ndarray
    maps: np.ndarray | None = None


def read_glances(run: str | Path) -> tuple[np.ndarray, tuple[Glance, ...]]:
    """The pictures and each epoch's glance from `run/watch/`.

    Raises:
        DataError: nothing was watched there, or without heat.
    """
    folder = Path(run) / "watch"
    files = sorted(folder.glob("epoch-*.npz"))
    images, found = None, []
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            images = arrays.get("images", images)
            if PREFIX in arrays:
                maps = next((arrays[name].astype(np.float32) for name in arrays if name.startswith(MAPS)), None)
                found.append(Glance(int(file.stem.split("-")[1]), arrays["outputs"], arrays[PREFIX], maps))
    if images is None or not found:
        raise DataError(f"{folder}: expected epochs with heat, found none; train with Watch(images, look=heat_look())")
    return images, tuple(found)
