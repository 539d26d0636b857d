"""How a segmenter looks at a picture: whole in its frame, or through a sliding window in the picture's own pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.actions.network import as_model_input
from convscope.arrays.orientation import Plane
from convscope.arrays.window import NO_FLIPS, Flips, Sliding, blended_rows
from convscope.errors import PictureError, PlanError
from convscope.records.card import Card
from convscope.records.samples import Samples

FLIPPED: Flips = ((), (0,), (1,), (0, 1))


@dataclass(frozen=True)
class Looks:
    """How masks are looked for.

    Attributes:
        slide: through windows of the frame's size in the picture's own pixels, instead of the whole picture scaled to
            the frame; right for networks that were trained on pictures at their own scale.
        overlap: share of a window that neighbours share; answers are joined by a Gaussian weight.
        flips: also look at the picture mirrored, both ways and both at once, and take the mean (4 times the work).
        plane: how volumes are cut; None: as for training.
        memory_mb: for the windows and rows in work.
    """

    slide: bool = False
    overlap: float = 0.5
    flips: bool = False
    plane: Plane | None = None
    memory_mb: int = 512

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.overlap < 1:
            raise PlanError(f"expected an overlap from 0 to below 1, got {self.overlap}")
        if self.memory_mb < 1:
            raise PlanError(f"expected at least 1 MB of memory for windows, got {self.memory_mb}")

    @property
    def turns(self) -> Flips:
        """The flips as axes (vertical, horizontal)."""
        return FLIPPED if self.flips else NO_FLIPS


WHOLE = Looks()


def looked_at(model: Any, images: np.ndarray, looks: Looks) -> np.ndarray:
    """Mean answer of a segmenter over the flips: (n, h, w, c) as the model takes them -> (n, h, w, k) float32."""
    total: np.ndarray | None = None
    for turn in looks.turns:
        axes = tuple(a + 1 for a in turn)
        said = np.asarray(model.predict_on_batch(np.ascontiguousarray(np.flip(images, axes))), np.float32)
        said = np.flip(said, axes)
        total = said if total is None else total + said
    assert total is not None  # there is always one look
    return total / np.float32(len(looks.turns))


def slid_maps(model: Any, card: Card, samples: Samples, looks: Looks) -> Iterator[tuple[int, np.ndarray]]:
    """(index, (h, w, k) float32 probabilities) for each picture that can be read, by sliding windows in its own pixels.

    Pictures of one size that follow each other (the slices of a volume) share their windows' batches; at most
    `memory_mb` of them are held at a time.

    Raises:
        PlanError: no frame to slide, or a memory budget that holds not even one window.
    """
    frame = card.preprocess
    if frame.height is None or frame.width is None:
        raise PlanError("expected a network with a frame in pixels to slide, this one takes pictures as they are")
    sliding = Sliding(
        (1, frame.height, frame.width),
        overlap=looks.overlap,
        flips=tuple(tuple(a + 1 for a in turn) for turn in looks.turns),
        budget_bytes=looks.memory_mb << 20,
    )

    def answer(windows: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_on_batch(windows[:, 0]), np.float32)[:, None]

    for indices, stack in _stacks(card, samples, looks.memory_mb << 20):
        for first, rows in blended_rows(answer, stack, sliding, outputs=len(card.classes)):
            for row, maps in enumerate(rows):
                yield indices[first + row], maps


def _stacks(card: Card, samples: Samples, budget: int) -> Iterator[tuple[list[int], np.ndarray]]:
    """Runs of pictures of one size, as the model takes their pixels; unreadable ones are passed over."""
    indices: list[int] = []
    held: list[np.ndarray] = []
    for index in range(len(samples)):
        try:
            values = samples.pictures.read(index, card.preprocess.channels).values
        except PictureError:
            continue
        if held and (values.shape != held[0].shape or (len(held) + 1) * 4 * values.size > budget):
            yield indices, as_model_input(np.stack(held), card.preprocess)
            indices, held = [], []
        indices.append(index)
        held.append(values)
    if held:
        yield indices, as_model_input(np.stack(held), card.preprocess)
