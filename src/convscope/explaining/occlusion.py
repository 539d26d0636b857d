"""Occlusion: cover a window, see how much of the score is lost."""

from __future__ import annotations

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.integrated import baseline_pictures
from convscope.explaining.method import Answer, Method


def window_starts(size: int, window: int, stride: int) -> np.ndarray:
    """Where windows begin along an axis: every `stride`, the last one flush with the end, so that all is covered."""
    return np.unique(np.append(np.arange(0, size - window + 1, stride), size - window))


def occlusion(
    asked: Asked, *, window: int | None = None, stride: int | None = None, fill: str | np.ndarray = "black"
) -> Answer:
    """The score lost when a window is covered, averaged over the windows that cover a pixel.

    Args:
        asked: the question.
        window: side in pixels; None for an eighth of the smaller side.
        stride: pixels between windows; None for half a window.
        fill: what it is covered with, as in `integrated.baseline_pictures`.
    """
    pictures = asked.pictures
    height, width = pictures.shape[1:3]
    side = max(1, min(height, width) // 8) if window is None else window
    step = max(1, side // 2) if stride is None else stride
    if not 1 <= side <= min(height, width) or step < 1:
        raise PlanError(
            f"expected a window of 1 to {min(height, width)} pixels and a stride of at least 1, got {side}, {step}"
        )
    cover = baseline_pictures(pictures, fill)
    tops, lefts = window_starts(height, side, step), window_starts(width, side, step)
    lost = np.zeros((asked.n, height, width), np.float64)
    count = np.zeros((height, width))
    for top in tops:
        for left in lefts:
            count[top : top + side, left : left + side] += 1

    def place(variant: int) -> tuple[slice, slice]:
        top, left = tops[variant // len(lefts)], lefts[variant % len(lefts)]
        return slice(top, top + side), slice(left, left + side)

    def covered(owners: np.ndarray, variants: np.ndarray) -> np.ndarray:
        made = pictures[owners]
        for i, (owner, variant) in enumerate(zip(owners, variants)):
            rows, columns = place(int(variant))
            made[i, rows, columns] = cover[owner, rows, columns]
        return made

    for part in asked.sweep(len(tops) * len(lefts), covered, what="windows covered"):
        for owner, variant, score in zip(part.owners, part.variants, part.scores):
            rows, columns = place(int(variant))
            lost[owner, rows, columns] += float(asked.scores[owner]) - float(score)
    return Answer((lost / count).astype(np.float32), notes={"window": f"{side} x {side} pixels every {step}"})


OCCLUSION = Method(
    "occlusion",
    occlusion,
    "perturbation",
    "Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, ECCV, section 4.2",
    "How much of the score is lost when a window is covered.",
    needs_gradients=False,
    is_signed=True,
)
