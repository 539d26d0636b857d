"""How much a detector still says one box: what explanations of boxes are explanations of."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras

keras = load_keras()
ops = keras.ops

_Layer: Any = keras.layers.Layer


class BoxLikeness(_Layer):
    """Class scores of all raw boxes, weighed by their overlap with the box that is asked for.

    Call:
        boxes: (n, k, 4) xyxy in pixels of the frame, or (n, k, classes, 4) with a box for each class.
        scores: (n, k, classes) in 0..1.
        wanted: (n, 5) float32: xyxy and the class index of the box asked for in each picture.

    Returns:
        (n, 1): the sum over k of overlap x score of that class; the overlap has no gradient.

    Source: the similarity of D-RISE (Petsiuk et al. 2021, equation 3), summed instead of the largest, so that every raw
        box that says the object has a gradient.
    """

    def call(self, boxes: Any, scores: Any, wanted: Any) -> Any:
        """See the class."""
        label = ops.one_hot(ops.cast(ops.round(wanted[:, 4]), "int32"), scores.shape[-1], dtype="float32")
        found = ops.cast(boxes, "float32")
        if len(boxes.shape) == 4:
            found = ops.sum(found * label[:, None, :, None], axis=2)
        asked = wanted[:, None, :4]
        low = ops.maximum(found[..., :2], asked[..., :2])
        high = ops.minimum(found[..., 2:], asked[..., 2:])
        sides = ops.maximum(high - low, 0.0)
        both = sides[..., 0] * sides[..., 1]
        union = _area(found) + _area(asked) - both
        overlap = ops.stop_gradient(both / ops.maximum(union, 1e-6))
        score = ops.sum(ops.cast(scores, "float32") * label[:, None], axis=-1)
        return ops.sum(overlap * score, axis=1, keepdims=True)

    def compute_output_shape(self, boxes_shape: Any, scores_shape: Any, wanted_shape: Any) -> Any:
        """(n, 1)."""
        return (wanted_shape[0], 1)


def _area(boxes: Any) -> Any:
    sides = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]
