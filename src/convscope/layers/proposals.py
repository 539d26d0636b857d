"""Proposals of a region proposal network as a layer: anchors moved by the deltas, the surest kept, overlaps removed."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.layers.anchors import grid_anchors
from convscope.layers.boxes import clipped, decode, sides
from convscope.layers.nms import suppress

keras = load_keras()
ops = keras.ops
_Layer: Any = keras.layers.Layer

NO_SCORE = 0.0


def propose(
    logits: list[Any],
    deltas: list[Any],
    anchors: list[Any],
    *,
    frame_hw: tuple[int, int],
    before: int = 1000,
    after: int = 1000,
    iou_threshold: float = 0.7,
) -> tuple[Any, Any]:
    """The boxes that most look like objects; no gradient flows through them.

    Args:
        logits: for each map (n, a) how sure.
        deltas: for each map (n, a, 4).
        anchors: for each map (a, 4) xyxy.
        frame_hw: boxes are cut at its border.
        before: how many of each map go into suppression.
        after: how many places the result has.
        iou_threshold: boxes of one map that overlap more are one.

    Returns:
        (n, after, 4) xyxy and (n, after) scores in 0..1, the surest first; an empty place is a box of zeros, score 0.

    Source: Ren et al. 2015, section 3.3; per map as in Lin et al. 2017.
    """
    boxes, scores = [], []
    for logit, delta, anchor in zip(logits, deltas, anchors):
        kept_boxes, kept_scores = _of_map(
            ops.stop_gradient(logit), ops.stop_gradient(delta), anchor, frame_hw=frame_hw, before=before,
            after=after, iou_threshold=iou_threshold,
        )  # fmt: skip
        boxes.append(kept_boxes)
        scores.append(kept_scores)
    every_box, every_score = ops.concatenate(boxes, axis=1), ops.concatenate(scores, axis=1)
    short = after - every_score.shape[1]
    if short > 0:
        every_box = ops.pad(every_box, ((0, 0), (0, short), (0, 0)))
        every_score = ops.pad(every_score, ((0, 0), (0, short)))
    score, place = ops.top_k(every_score, after)
    return ops.take_along_axis(every_box, ops.expand_dims(place, -1), axis=1), score


def _of_map(
    logit: Any, delta: Any, anchor: Any, *, frame_hw: tuple[int, int], before: int, after: int, iou_threshold: float
) -> tuple[Any, Any]:
    anchor, count = ops.convert_to_tensor(anchor, dtype="float32"), min(before, logit.shape[1])
    top, place = ops.top_k(ops.cast(logit, "float32"), count)
    moved = ops.take_along_axis(ops.cast(delta, "float32"), ops.expand_dims(place, -1), axis=1)
    box = clipped(decode(moved, ops.take(anchor, place, axis=0)), frame_hw)
    width, height = sides(box)
    score = ops.where(ops.logical_and(width >= 1.0, height >= 1.0), ops.sigmoid(top), NO_SCORE)
    kept = suppress(box, score, most=min(after, count), iou_threshold=iou_threshold)
    chosen = ops.take_along_axis(box, ops.expand_dims(kept.index, -1), axis=1)
    return chosen * ops.cast(ops.expand_dims(kept.valid, -1), "float32"), ops.maximum(kept.score, NO_SCORE)


@keras.saving.register_keras_serializable("convscope")
class Proposals(_Layer):
    """`propose` as a layer: [logits of each map (n, h, w, k), deltas of each map (n, h, w, 4 k)] -> boxes, scores.

    Args:
        frame_hw: height and width of the frame in pixels.
        before: how many of each map go into suppression.
        after: how many boxes come out.
        iou_threshold: of suppression.
        anchor_scale: side of the square anchor in cells of its map.
        anchor_ratios: height over width of the anchors at each cell.
        name: of the layer.
        dtype: of the layer.
        trainable: it has no weights.
    """

    def __init__(
        self,
        frame_hw: tuple[int, int],
        *,
        before: int = 1000,
        after: int = 300,
        iou_threshold: float = 0.7,
        anchor_scale: float = 4.0,
        anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        """Hold the settings."""
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.frame_hw = (int(frame_hw[0]), int(frame_hw[1]))
        self.before, self.after, self.iou_threshold = before, after, iou_threshold
        self.anchor_scale, self.anchor_ratios = anchor_scale, tuple(anchor_ratios)

    def anchors_of(self, maps_hw: list[tuple[int, int]]) -> list[Any]:
        """For each map its anchors, (h * w * ratios, 4) float32."""
        return [grid_anchors(hw, self.frame_hw, scale=self.anchor_scale, ratios=self.anchor_ratios) for hw in maps_hw]

    def flat(self, inputs: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """The maps as lists: logits (n, a), deltas (n, a, 4), anchors (a, 4)."""
        half = len(inputs) // 2
        anchors = self.anchors_of([tuple(x.shape[1:3]) for x in inputs[:half]])
        logits = [ops.reshape(x, (-1, len(a))) for x, a in zip(inputs[:half], anchors)]
        return logits, [ops.reshape(x, (-1, len(a), 4)) for x, a in zip(inputs[half:], anchors)], anchors

    def call(self, inputs: list[Any]) -> tuple[Any, Any]:
        """Boxes and scores."""
        return self.proposed(inputs, self.after)

    def proposed(self, inputs: list[Any], after: int) -> tuple[Any, Any]:
        """As `call`, with another number of boxes."""
        logits, deltas, anchors = self.flat(inputs)
        return propose(logits, deltas, anchors, frame_hw=self.frame_hw, before=self.before, after=after,
                       iou_threshold=self.iou_threshold)  # fmt: skip

    def compute_output_spec(self, inputs: list[Any]) -> tuple[Any, Any]:
        """(n, after, 4) and (n, after)."""
        n = inputs[0].shape[0]
        boxes = keras.KerasTensor((n, self.after, 4), dtype="float32")
        return boxes, keras.KerasTensor((n, self.after), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        mine = {
            "frame_hw": list(self.frame_hw),
            "before": self.before,
            "after": self.after,
            "iou_threshold": self.iou_threshold,
            "anchor_scale": self.anchor_scale,
            "anchor_ratios": list(self.anchor_ratios),
        }
        return {**super().get_config(), **mine}
