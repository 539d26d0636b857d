"""The last layers of the detectors: from distributions or deltas to boxes in pixels of the frame."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.layers.anchors import grid_points
from convscope.layers.boxes import Deviations, clipped, decode

keras = load_keras()
ops = keras.ops
_Layer: Any = keras.layers.Layer


def expected_distances(logits: Any) -> Any:
    """(..., 4 * bins) logits over whole cells -> (..., 4) mean distances in cells.

    Source: Li et al. 2020 (Generalized Focal Loss), equation 5.
    """
    bins = logits.shape[-1] // 4
    shares = ops.softmax(ops.reshape(logits, (-1, logits.shape[1], 4, bins)), axis=-1)
    return ops.sum(shares * ops.arange(bins, dtype="float32"), axis=-1)


def boxes_around(points: Any, distances: Any, strides: Any) -> Any:
    """(a, 2) points, (n, a, 4) left, top, right, bottom in cells, (a, 2) cells in pixels -> (n, a, 4) xyxy."""
    low = points - distances[..., :2] * strides
    return ops.concatenate([low, points + distances[..., 2:] * strides], axis=-1)


@keras.saving.register_keras_serializable("convscope")
class PointBoxes(_Layer):
    """(n, points, 4 * bins) logits of the distances from each point to its box's sides -> (n, points, 4) xyxy.

    Args:
        frame_hw: height and width of the frame in pixels.
        maps_hw: height and width of each map, in the order of the points.
        name: of the layer.
        dtype: of the layer.
        trainable: it has no weights.
    """

    def __init__(
        self,
        frame_hw: tuple[int, int],
        maps_hw: Any,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        """Hold the settings."""
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.frame_hw = (int(frame_hw[0]), int(frame_hw[1]))
        self.maps_hw = tuple((int(h), int(w)) for h, w in maps_hw)

    def grid(self) -> tuple[Any, Any]:
        """Points (a, 2) and cells (a, 2) in pixels."""
        points, strides = grid_points(self.maps_hw, self.frame_hw)
        return points, strides

    def call(self, inputs: Any) -> Any:
        """Boxes."""
        points, strides = (ops.convert_to_tensor(x) for x in self.grid())
        return boxes_around(points, expected_distances(ops.cast(inputs, "float32")), strides)

    def compute_output_spec(self, inputs: Any) -> Any:
        """(n, points, 4)."""
        return keras.KerasTensor((inputs.shape[0], inputs.shape[1], 4), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        mine = {"frame_hw": list(self.frame_hw), "maps_hw": [list(hw) for hw in self.maps_hw]}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable("convscope")
class ClassBoxes(_Layer):
    """[logits (n, r, classes + 1), deltas (n, r, 4 * classes), boxes (n, r, 4), sureness (n, r)] -> boxes, scores.

    The last class is background. Boxes come as (n, r, classes, 4) xyxy, scores as (n, r, classes) in 0..1; an empty
    proposal (sureness 0) has scores of 0.

    Args:
        frame_hw: height and width of the frame in pixels.
        deviations: of the deltas.
        name: of the layer.
        dtype: of the layer.
        trainable: it has no weights.
    """

    def __init__(
        self,
        frame_hw: tuple[int, int],
        deviations: Deviations = (0.1, 0.1, 0.2, 0.2),
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        """Hold the settings."""
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.frame_hw = (int(frame_hw[0]), int(frame_hw[1]))
        self.deviations: Deviations = (deviations[0], deviations[1], deviations[2], deviations[3])

    def call(self, inputs: list[Any]) -> tuple[Any, Any]:
        """Boxes and scores."""
        logits, deltas, proposals, sureness = inputs
        r, classes = logits.shape[1], logits.shape[2] - 1
        moves = ops.reshape(ops.cast(deltas, "float32"), (-1, r, classes, 4))
        boxes = clipped(decode(moves, ops.expand_dims(proposals, 2), self.deviations), self.frame_hw)
        scores = ops.softmax(ops.cast(logits, "float32"), axis=-1)[..., :-1]
        return boxes, scores * ops.cast(ops.expand_dims(sureness > 0, -1), "float32")

    def compute_output_spec(self, inputs: list[Any]) -> tuple[Any, Any]:
        """(n, r, classes, 4) and (n, r, classes)."""
        n, r, outputs = inputs[0].shape
        boxes = keras.KerasTensor((n, r, outputs - 1, 4), dtype="float32")
        return boxes, keras.KerasTensor((n, r, outputs - 1), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "frame_hw": list(self.frame_hw), "deviations": list(self.deviations)}
