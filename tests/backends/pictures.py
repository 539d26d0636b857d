"""Small folders of drawn pictures that a tiny network learns in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def bars(root: Path, *, per_class: int = 24, side: int = 32, seed: int = 0, classes: int = 2) -> Path:
    """Class folders `lying`, `standing` (and `slanting`): a bright bar on noise, as PNG files."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    for kind, name in enumerate(("lying", "standing", "slanting")[:classes]):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            place = rng.integers(side // 4, 3 * side // 4)
            distance = (rows - place, columns - place, (rows - columns) / 1.5 + (side / 2 - place) / 2)[kind]
            picture = rng.integers(20, 90, (side, side, 3))
            picture[np.abs(distance) < 2] += 150
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")
    return root
