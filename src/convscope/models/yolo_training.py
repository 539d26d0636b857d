"""How a YOLO-style detector learns: assignment, class loss, CIoU and distribution focal loss, of fixed shapes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from convscope.backend.selection import load_keras
from convscope.layers.assign import Aligned, task_aligned
from convscope.layers.detection_losses import binary_cross_entropy, ciou, distribution_focal
from convscope.models.loss_parts import LossParts

keras = load_keras()
ops = keras.ops


@dataclass(frozen=True)
class YoloLoss:
    """Weights of the losses and settings of the assignment; the published values of the three papers' followers.

    Attributes:
        box: weight of CIoU.
        classes: weight of the class loss.
        distances: weight of the distribution focal loss.
        best: points for each object.
        alpha: weight of the score in the assignment.
        beta: weight of the overlap in the assignment.
    """

    box: float = 7.5
    classes: float = 0.5
    distances: float = 1.5
    best: int = 10
    alpha: float = 0.5
    beta: float = 6.0


@keras.saving.register_keras_serializable("convscope")
class YoloTraining(LossParts):
    """A detector and its losses; trained by plain `fit` on padded truth.

    Args:
        detector: the functional model of `build_yolo`; its layers are shared, not copied.
        loss: settings; None for the usual ones.
        name: of the model.
    """

    PARTS = ("box", "class", "distance")

    def __init__(self, detector: Any, loss: YoloLoss | None = None, *, name: str = "yolo_training") -> None:
        """Wire the detector's raw outputs; metrics are named after the parts of the loss."""
        super().__init__(detector, self.PARTS, name=name)
        self.loss_settings = loss or YoloLoss()
        boxes = detector.get_layer("boxes")
        raw = {"distances": boxes.input, "boxes": boxes.output, "logits": detector.get_layer("scores").input}
        self.raw = keras.Model(detector.input, raw, name="raw")
        self.points, self.cells = boxes.grid()

    def call(self, x: Any, training: bool | None = None) -> dict[str, Any]:
        """Raw outputs: "distances" and "logits" before their activation, "boxes" xyxy."""
        return self.raw(x, training=training)

    def assigned(self, y: dict[str, Any], y_pred: dict[str, Any]) -> Aligned:
        """Which object each point answers for now."""
        setting = self.loss_settings
        return task_aligned(
            ops.stop_gradient(ops.sigmoid(y_pred["logits"])),
            ops.stop_gradient(y_pred["boxes"]),
            ops.cast(y["boxes"], "float32"),
            ops.cast(y["labels"], "int32"),
            points=ops.convert_to_tensor(self.points),
            cell=float(self.cells.min()),
            best=setting.best,
            alpha=setting.alpha,
            beta=setting.beta,
        )

    def parts(self, y: dict[str, Any], y_pred: dict[str, Any], training: bool) -> dict[str, Any]:
        """The three losses, weighted."""
        setting, found = self.loss_settings, self.assigned(y, y_pred)
        place = ops.maximum(found.index, 0)
        labels = ops.take_along_axis(ops.cast(y["labels"], "int32"), place, axis=1)
        truth = ops.take_along_axis(ops.cast(y["boxes"], "float32"), ops.expand_dims(place, -1), axis=1)
        weight = ops.expand_dims(found.weight, -1)
        wanted = ops.one_hot(ops.maximum(labels, 0), y_pred["logits"].shape[-1], dtype="float32") * weight
        total = ops.maximum(ops.sum(found.weight), 1.0)
        classes = ops.sum(binary_cross_entropy(y_pred["logits"], wanted)) / total
        box = ops.sum((1.0 - ciou(y_pred["boxes"], truth)) * found.weight) / total
        distance = ops.sum(self._distance_loss(y_pred["distances"], truth) * found.weight) / total
        return {"box": setting.box * box, "class": setting.classes * classes, "distance": setting.distances * distance}

    def _distance_loss(self, logits: Any, truth: Any) -> Any:
        """(n, points): mean over the four sides."""
        points, cells = ops.convert_to_tensor(self.points), ops.convert_to_tensor(self.cells)
        wanted = ops.concatenate([(points - truth[..., :2]) / cells, (truth[..., 2:] - points) / cells], axis=-1)
        bins = logits.shape[-1] // 4
        split = ops.reshape(logits, (-1, logits.shape[1], 4, bins))
        return ops.mean(distribution_focal(split, ops.clip(wanted, 0.0, bins - 1.01)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The detector and the settings."""
        detector = keras.saving.serialize_keras_object(self.detector)
        return {"detector": detector, "loss": asdict(self.loss_settings), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> YoloTraining:
        """Rebuild from `get_config`."""
        detector = keras.saving.deserialize_keras_object(config["detector"], custom_objects=custom_objects)
        return cls(detector, YoloLoss(**config["loss"]), name=config["name"])
