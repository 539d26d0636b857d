"""Ready-made targets: scores that people explain beside one class of one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import TargetError
from convscope.scope.target import Target


def probability(label: int | str | None = None, *, output: str | int | None = None) -> Target:
    """The output's own value (a probability after softmax or sigmoid) instead of the logit before it."""
    return Target(label, output, before_activation=False)


def log_odds(label: int | str | None, against: int | str, *, output: str | int | None = None) -> Target:
    """Log p(label) - log p(against): what speaks for one class rather than the other."""
    return Target(label, output, against=against)


def _output(outputs: Any, output: str | int | None) -> Any:
    if isinstance(outputs, dict):
        if output is None and len(outputs) == 1:
            return next(iter(outputs.values()))
        if output not in outputs:
            raise TargetError(f"expected output= to be one of {', '.join(map(str, outputs))}, got {output!r}")
        return outputs[output]
    if isinstance(outputs, (list, tuple)):
        number = 0 if output is None else output
        if not isinstance(number, int) or not 0 <= number < len(outputs):
            raise TargetError(f"expected an output number from 0 to {len(outputs) - 1}, got {output!r}")
        return outputs[number]
    return outputs


def region(mask: np.ndarray, label: int, *, output: str | int | None = None) -> Target:
    """Mean score of one class inside a region of a segmentation output (n, height, width, classes).

    Args:
        mask: (height, width) bool or weights >= 0, at the size of the output.
        label: class index, the last axis of the output.
        output: name or number of the output.
    """
    weights = np.asarray(mask, np.float32)
    if weights.ndim != 2 or not weights.sum() > 0:
        raise TargetError(f"expected a mask (height, width) with something inside, got shape {weights.shape}")

    def score(outputs: Any) -> Any:
        ops = load_keras().ops
        values = _output(outputs, output)
        if len(values.shape) != 4 or tuple(values.shape[1:3]) != weights.shape or not 0 <= label < values.shape[3]:
            raise TargetError(
                f"expected an output (n, {weights.shape[0]}, {weights.shape[1]}, more than {label} classes), "
                f"got {tuple(values.shape)}; give the mask at the size of the output"
            )
        inside = ops.convert_to_tensor(weights)  # PyTorch would ask its own tensor for NumPy values
        return ops.sum(ops.cast(values[..., label], "float32") * inside, axis=(1, 2)) / float(weights.sum())

    return Target(function=score, words=f"class {label} inside a region of {int((weights > 0).sum())} places")


def similarity(reference: np.ndarray, *, output: str | int | None = None) -> Target:
    """Cosine of an embedding output (n, d) with the embedding of another picture.

    Args:
        reference: (d,) embedding to compare with.
        output: name or number of the output.
    """
    vector = np.asarray(reference, np.float32).reshape(-1)
    length = float(np.linalg.norm(vector))
    if not length > 0:
        raise TargetError("expected an embedding that is not zero to compare with")

    def score(outputs: Any) -> Any:
        ops = load_keras().ops
        values = _output(outputs, output)
        if len(values.shape) != 2 or values.shape[1] != vector.size:
            raise TargetError(f"expected an output (n, {vector.size}) to compare with, got {tuple(values.shape)}")
        wanted = ops.convert_to_tensor(vector / length)
        return ops.sum(values * wanted, axis=-1) / ops.sqrt(ops.sum(values**2, axis=-1) + 1e-12)

    return Target(function=score, words="likeness to another picture")


def box(
    box_yxyx: tuple[float, float, float, float],
    label: int,
    *,
    boxes: str | int = 0,
    scores: str | int = 1,
) -> Target:
    """Score of one class near one box of a detector: class scores of all boxes, weighed by their overlap with it.

    Args:
        box_yxyx: top, left, bottom, right in the frame of the boxes output.
        label: class index, last axis of the scores output.
        boxes: name or number of the output (n, k, 4) with boxes as top, left, bottom, right.
        scores: name or number of the output (n, k, classes).

    Source: the similarity of D-RISE (Petsiuk et al. 2021, eq. 3), summed instead of the largest, so that it has a
        gradient everywhere; the overlap itself is held fixed.
    """
    top, left, bottom, right = (float(v) for v in box_yxyx)
    if not (bottom > top and right > left):
        raise TargetError(f"expected a box as top, left, bottom, right, got {box_yxyx}")

    def score(outputs: Any) -> Any:
        ops = load_keras().ops
        found, values = _output(outputs, boxes), _output(outputs, scores)
        if len(found.shape) != 3 or found.shape[-1] != 4 or len(values.shape) != 3:
            raise TargetError(f"expected boxes (n, k, 4) and scores (n, k, classes), got {tuple(found.shape)}")
        high = ops.maximum(ops.minimum(found[..., 2], bottom) - ops.maximum(found[..., 0], top), 0.0)
        wide = ops.maximum(ops.minimum(found[..., 3], right) - ops.maximum(found[..., 1], left), 0.0)
        area = (found[..., 2] - found[..., 0]) * (found[..., 3] - found[..., 1])
        union = area + (bottom - top) * (right - left) - high * wide
        overlap = ops.stop_gradient(high * wide / ops.maximum(union, 1e-6))
        return ops.sum(overlap * values[..., label], axis=1)

    return Target(function=score, words=f"class {label} near the box {tuple(round(v, 1) for v in box_yxyx)}")
