"""How Faster R-CNN learns: matching, sampling and four losses, all of fixed shapes, so that it compiles once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from convscope.backend.selection import load_keras
from convscope.layers.assign import Sample, draw_sample, match_by_overlap
from convscope.layers.boxes import encode
from convscope.layers.detection_losses import binary_cross_entropy, smooth_l1
from convscope.layers.roi_align import pyramid_roi_align
from convscope.models.loss_parts import LossParts

keras = load_keras()
ops = keras.ops


@dataclass(frozen=True)
class RcnnLoss:
    """Settings of matching and sampling; the values of the two papers.

    Attributes:
        proposals: boxes that the first stage hands over in training.
        rois: of these and the truth, how many the second stage learns from, per picture.
        roi_positives: at most this many of them on objects.
        anchors: how many anchors the first stage learns from, per picture.
        anchor_positives: at most this many of them on objects.
        box_weight: of the second stage's box loss.
        seed: of the sampling.
    """

    proposals: int = 1000
    rois: int = 128
    roi_positives: int = 32
    anchors: int = 256
    anchor_positives: int = 128
    box_weight: float = 1.0
    seed: int = 0


class Drawn(NamedTuple):
    """The second stage's sample: (n, rois, 4) boxes, their draw, and the place of each one's object in the truth."""

    boxes: Any
    sample: Sample
    owner: Any


@keras.saving.register_keras_serializable("convscope")
class FasterRcnnTraining(LossParts):
    """A detector and its four losses; trained by plain `fit` on padded truth.

    Args:
        detector: the functional model of `build_faster_rcnn`; its layers are shared, not copied.
        loss: settings; None for the usual ones.
        name: of the model.
    """

    PARTS = ("rpn_class", "rpn_box", "roi_class", "roi_box")

    def __init__(self, detector: Any, loss: RcnnLoss | None = None, *, name: str = "faster_rcnn_training") -> None:
        """Wire the first stage; the second one runs in the loss, on boxes that are drawn there."""
        super().__init__(detector, self.PARTS, name=name)
        self.loss_settings = loss or RcnnLoss()
        self.proposals = detector.get_layer("proposals")
        self.align = detector.get_layer("roi_align")
        self.class_boxes = detector.get_layer("class_boxes")
        self.dense = [detector.get_layer(f"box_dense{k}") for k in range(2)]
        self.ends = [detector.get_layer(name) for name in ("box_logits", "box_deltas")]
        first = {"regions": list(self.proposals.input), "maps": list(self.align.input[1:])}
        self.first = keras.Model(detector.input, first, name="first_stage")
        self.noise = keras.random.SeedGenerator(self.loss_settings.seed)

    def call(self, x: Any, training: bool | None = None) -> dict[str, Any]:
        """The first stage: "regions", logits and deltas of each map, and "maps" of the pyramid."""
        return self.first(x, training=training)

    def parts(self, y: dict[str, Any], y_pred: dict[str, Any], training: bool) -> dict[str, Any]:
        """The four losses; truth is cast once."""
        truth, labels = ops.cast(y["boxes"], "float32"), ops.cast(y["labels"], "int32")
        rpn_class, rpn_box = self._first_losses(truth, labels, y_pred["regions"])
        roi_class, roi_box = self._second_losses(truth, labels, y_pred)
        return {"rpn_class": rpn_class, "rpn_box": rpn_box, "roi_class": roi_class, "roi_box": roi_box}

    def _first_losses(self, truth: Any, labels: Any, regions: list[Any]) -> tuple[Any, Any]:
        setting = self.loss_settings
        logits, deltas, levels = self.proposals.flat(regions)
        anchors = ops.concatenate([ops.convert_to_tensor(a) for a in levels], axis=0)
        logit = ops.cast(ops.concatenate(logits, axis=1), "float32")
        delta = ops.cast(ops.concatenate(deltas, axis=1), "float32")
        matched = match_by_overlap(
            ops.expand_dims(anchors, 0), truth, labels, positive=0.7, negative=0.3, each_object=True
        )
        noise = keras.random.uniform((anchors.shape[0],), seed=self.noise)
        drawn = draw_sample(matched, noise, count=setting.anchors, positives=setting.anchor_positives)
        positive, count = _float(drawn.positive), ops.maximum(ops.sum(_float(drawn.valid)), 1.0)
        classes = binary_cross_entropy(ops.take_along_axis(logit, drawn.index, axis=1), positive)
        owner = ops.maximum(ops.take_along_axis(matched, drawn.index, axis=1), 0)
        wanted = encode(_rows(truth, owner), ops.take(anchors, drawn.index, axis=0))
        moves = smooth_l1(_rows(delta, drawn.index) - wanted, beta=1 / 9)
        class_loss = ops.sum(classes * _float(drawn.valid)) / count
        return class_loss, ops.sum(ops.sum(moves, axis=-1) * positive) / count

    def drawn(self, truth: Any, labels: Any, regions: list[Any]) -> Drawn:
        """Proposals and the truth itself, matched and sampled; no gradient flows through the boxes."""
        setting = self.loss_settings
        boxes, scores = self.proposals.proposed(regions, setting.proposals)
        boxes = ops.stop_gradient(ops.concatenate([boxes, truth], axis=1))
        allowed = ops.concatenate([scores > 0, labels >= 0], axis=1)
        matched = match_by_overlap(boxes, truth, labels, positive=0.5, negative=0.5, each_object=False)
        noise = keras.random.uniform((boxes.shape[1],), seed=self.noise)
        sample = draw_sample(matched, noise, count=setting.rois, positives=setting.roi_positives, allowed=allowed)
        owner = ops.maximum(ops.take_along_axis(matched, sample.index, axis=1), 0)
        return Drawn(_rows(boxes, sample.index), sample, owner)

    def _second_losses(self, truth: Any, labels: Any, y_pred: dict[str, Any]) -> tuple[Any, Any]:
        drawn = self.drawn(truth, labels, y_pred["regions"])
        align = self.align
        pooled = pyramid_roi_align(
            y_pred["maps"], drawn.boxes, frame_hw=align.frame_hw, size=align.size, sampling=align.sampling
        )
        logits, deltas = self.second_stage(pooled)
        background = logits.shape[-1] - 1
        label = ops.take_along_axis(labels, drawn.owner, axis=1)
        label = ops.where(drawn.sample.positive, label, background)
        valid, positive = _float(drawn.sample.valid), _float(drawn.sample.positive)
        count = ops.maximum(ops.sum(valid), 1.0)
        classes = keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True)
        of_label = ops.one_hot(ops.minimum(label, background - 1), background, dtype="float32")
        moves = ops.reshape(deltas, (-1, deltas.shape[1], background, 4))
        moves = ops.sum(moves * ops.expand_dims(of_label, -1), axis=2)
        wanted = encode(_rows(truth, drawn.owner), drawn.boxes, self.class_boxes.deviations)
        wrong = ops.sum(smooth_l1(moves - wanted, beta=1.0), axis=-1)
        box_loss = ops.sum(wrong * positive) / count
        return ops.sum(classes * valid) / count, self.loss_settings.box_weight * box_loss

    def second_stage(self, pooled: Any) -> tuple[Any, Any]:
        """(n, r, 7, 7, c) -> logits (n, r, classes + 1) and deltas (n, r, 4 * classes), float32."""
        r = pooled.shape[1]
        x = ops.reshape(pooled, (-1, r, pooled.shape[2] * pooled.shape[3] * pooled.shape[4]))
        for layer in self.dense:
            x = layer(x)
        return self.ends[0](x), self.ends[1](x)

    def get_config(self) -> dict[str, Any]:
        """The detector and the settings."""
        detector = keras.saving.serialize_keras_object(self.detector)
        return {"detector": detector, "loss": asdict(self.loss_settings), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FasterRcnnTraining:
        """Rebuild from `get_config`."""
        detector = keras.saving.deserialize_keras_object(config["detector"], custom_objects=custom_objects)
        return cls(detector, RcnnLoss(**config["loss"]), name=config["name"])


def _float(mask: Any) -> Any:
    return ops.cast(mask, "float32")


def _rows(values: Any, index: Any) -> Any:
    """(n, a, 4) and (n, k) -> (n, k, 4)."""
    return ops.take_along_axis(values, ops.expand_dims(index, -1), axis=1)
