"""The film strip of a watched training: the same pictures, their heat and the answers, epoch by epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from convscope.studio.packing import pack

FACTS = "pictures.json"
FRAMES = 9


def packed_film(folder: Path) -> bytes:
    """Pictures (n, h, w, 1 or 3) uint8, heat (epochs, n, rows, columns) float32, and what was said; empty where none.

    Where maps were watched, "maps" as (epochs, n, maps, rows, columns) float32 as well.

    At most nine epochs, evenly spaced, the first and the last among them.

    Raises:
        DataError: a file of it can't be read.
    """
    from convscope.explaining.shown import for_the_eye
    from convscope.explaining.watching import read_glances

    facts = folder / "watch" / FACTS
    if not facts.is_file() or len(list(facts.parent.glob("epoch-*.npz"))) < 2:
        return pack({"epochs": []}, {})
    told = json.loads(facts.read_text(encoding="utf-8"))
    images, glances = read_glances(folder)
    chosen = sorted({round(i) for i in np.linspace(0, len(glances) - 1, min(FRAMES, len(glances)))})
    seen = [glances[i] for i in chosen]
    shares = np.stack([_shares(np.asarray(g.outputs, np.float64)) for g in seen])
    truth = np.array(told["truth"])
    words = {
        "epochs": [g.epoch for g in seen],
        "labels": told["labels"],
        "classes": told["classes"],
        "method": told["method"],
        "layer": told.get("layer", ""),
        "truth": truth,
        "says": shares.argmax(axis=-1),
        "probability": shares[:, np.arange(len(truth)), truth],
    }
    arrays = {"pictures": for_the_eye(images), "heat": np.stack([g.heat for g in seen]).astype(np.float32)}
    maps = [g.maps for g in seen if g.maps is not None]
    if len(maps) == len(seen):
        arrays["maps"] = np.ascontiguousarray(np.moveaxis(np.stack(maps), -1, 2))
    return pack(words, arrays)


def _shares(outputs: np.ndarray) -> np.ndarray:
    """(n, units) outputs as shares of the classes: one sigmoid unit as two, logits through a softmax."""
    if outputs.shape[-1] == 1:
        return np.concatenate([1 - outputs, outputs], axis=-1)
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3):
        return outputs
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
