"""The pictures that a report shows, kept in the run folder: the data may move or be gone when the report is written.

`pictures.npz` holds, in the network's frame: the worst mistakes, some pictures that were right, and which of them the
chapters on the inside look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.errors import RunError
from convscope.files.atomic import atomic_file
from convscope.records.geometry import Preprocess
from convscope.records.prediction import Predictions
from convscope.records.samples import Samples
from convscope.reporting.pictures import worst_mistakes

FILE = "pictures.npz"
MISTAKES, RIGHT, LOOKED_AT = 24, 12, 4


@dataclass(frozen=True, eq=False)
class Keepsakes:
    """Kept-back pictures of a run.

    Attributes:
        images: (n, h, w, c) as the loader gives them, before scale and offset.
        rows: (n,) which prediction each belongs to.
        looked_at: places in `images` of the pictures that are looked into.
    """

    images: np.ndarray
    rows: np.ndarray
    looked_at: tuple[int, ...]

    def shown(self, place: int) -> np.ndarray:
        """One picture as uint8 (h, w, c) for the eye; arrays of another range are stretched to 0..255."""
        return visible(self.images[place], self.limits)

    @property
    def limits(self) -> tuple[float, float]:
        """Darkest and brightest value for the eye: 0 and 255 for pixels, else those of the kept pictures."""
        if self.images.dtype == np.uint8 or not self.images.size:
            return 0.0, 255.0
        low, high = float(self.images.min()), float(self.images.max())
        return (0.0, 255.0) if low >= 0 and 2 < high <= 255 else (low, max(high, low + 1e-9))


def visible(image: np.ndarray, limits: tuple[float, float] = (0.0, 255.0)) -> np.ndarray:
    """(h, w, c) of any range to uint8 (h, w, 1 or 3); of more channels the first three are shown."""
    low, high = limits
    scaled = np.clip((np.asarray(image, np.float32) - low) * (255.0 / (high - low)), 0, 255).round().astype(np.uint8)
    return scaled if scaled.shape[-1] in (1, 3) else scaled[..., : 3 if scaled.shape[-1] > 3 else 1]


def choose(predictions: Predictions) -> tuple[np.ndarray, tuple[int, ...]]:
    """Rows of the worst mistakes and of right answers of every class, and places of those to look into."""
    wrong = worst_mistakes(predictions, top=MISTAKES)
    right = _right_of_every_class(predictions, set(wrong))
    rows = np.array([*wrong, *right], np.int64)
    order = [*range(len(wrong), len(wrong) + min(2, len(right))), *range(min(2, len(wrong)))]
    return rows, tuple(order[:LOOKED_AT]) or tuple(range(min(LOOKED_AT, len(rows))))


def _right_of_every_class(predictions: Predictions, wrong: set[int]) -> list[int]:
    """Right answers, the surest of each class first, class by class in turn."""
    if predictions.task != "classify" or predictions.truth is None:
        return [i for i in range(len(predictions.keys)) if i not in wrong][:RIGHT]
    says, sure = predictions.scores.argmax(axis=1), predictions.scores.max(axis=1)
    queues = []
    for index in range(len(predictions.classes)):
        of_class = np.flatnonzero((predictions.truth == index) & (says == index))
        queues.append(list(of_class[np.argsort(-sure[of_class], kind="stable")]))
    chosen: list[int] = []
    while any(queues) and len(chosen) < RIGHT:
        for queue in queues:
            if queue and len(chosen) < RIGHT:
                chosen.append(int(queue.pop(0)))
    return chosen


def keep(folder: Path, samples: Samples, predictions: Predictions, preprocess: Preprocess) -> None:
    """Write the pictures behind `predictions` (of `samples`, matched by name) that the report will show."""
    rows, looked_at = choose(predictions)
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    chosen = samples.subset(np.array([place[predictions.keys[int(r)]] for r in rows], np.int64))
    loader = Loader(chosen, preprocess, batch_size=max(1, len(rows)), cache=NO_CACHE, unreadable="drop")
    batch = loader.batch(0, 0)
    found = rows[batch.indices]
    kept = [int(np.flatnonzero(found == rows[p])[0]) for p in looked_at if rows[p] in found]
    with atomic_file(folder / FILE) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, images=batch.images, rows=found, looked_at=np.array(kept, np.int64))


def kept(folder: Path) -> Keepsakes:
    """Read what `keep` wrote.

    Raises:
        RunError: the run has none.
    """
    path = folder / FILE
    if not path.is_file():
        raise RunError(f"{path}: expected the pictures of the report, found none; run `convscope evaluate {folder}`")
    with np.load(path, allow_pickle=False) as stored:
        looked_at = tuple(int(p) for p in stored["looked_at"])
        return Keepsakes(stored["images"], stored["rows"], looked_at)


def short_names(keys: Sequence[str]) -> tuple[str, ...]:
    """File names without their folders, where that leaves different pictures different; a picture may come twice."""
    names = tuple(Path(key).name for key in keys)
    return names if len(set(names)) == len(set(keys)) else tuple(keys)
