"""Mean IoU over all pixels seen; Keras' own asks JAX for 64-bit integers, which it does not have."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.records.masks import VOID

keras = load_keras()
ops = keras.ops

_Metric: Any = keras.metrics.Metric


@keras.saving.register_keras_serializable("convscope")
class MaskIoU(_Metric):
    """Intersection over union of each class over all pixels so far, mean over the classes that truth or answer hold.

    Args:
        classes: how many, background included.
        name: as logged.

    Call:
        y_true (n, h, w) class index, VOID where nothing is said; y_pred (n, h, w, classes) probabilities.

    Source: Everingham et al. 2015, "The PASCAL Visual Object Classes Challenge", section 4.4.
    """

    def __init__(self, classes: int, name: str = "mean_iou") -> None:
        """Nothing is counted yet."""
        super().__init__(name=name, dtype="float32")
        self.classes = classes
        self.both = self.add_variable((classes,), initializer="zeros", name="both")
        self.either = self.add_variable((classes,), initializer="zeros", name="either")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count one batch."""
        index = ops.cast(y_true, "int32")
        valid = ops.cast(ops.not_equal(index, VOID), "float32")[..., None]
        truth = ops.one_hot(ops.where(ops.equal(index, VOID), 0, index), self.classes, dtype="float32") * valid
        said = ops.one_hot(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), self.classes, dtype="float32") * valid
        axes = tuple(range(len(truth.shape) - 1))
        both = ops.sum(truth * said, axis=axes)
        self.both.assign(self.both + both)
        self.either.assign(self.either + ops.sum(truth, axis=axes) + ops.sum(said, axis=axes) - both)

    def result(self) -> Any:
        """The mean so far; 0 before anything was seen."""
        seen = ops.cast(self.either > 0, "float32")
        ratio = self.both / ops.maximum(self.either, 1.0)
        return ops.sum(ratio * seen) / ops.maximum(ops.sum(seen), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {"classes": self.classes, "name": self.name}
