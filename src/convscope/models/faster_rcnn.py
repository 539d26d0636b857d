"""The two-stage detector: a feature pyramid, a region proposal network, RoIAlign, and a head of two dense layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from convscope.backend.selection import load_keras
from convscope.layers.found_boxes import ClassBoxes
from convscope.layers.proposals import Proposals
from convscope.layers.roi_align import RoiAlign
from convscope.models.detector import Detector, Wish
from convscope.models.faster_rcnn_training import FasterRcnnTraining
from convscope.models.pyramid import feature_pyramid
from convscope.models.trunk import build_trunk, layers_after
from convscope.records.geometry import Preprocess

keras = load_keras()

POOL = 7  # bins on each side of a pooled box
PRIOR = 0.05  # share of anchors and proposals that hold an object, at first


def build_faster_rcnn(wish: Wish) -> Detector:
    """Faster R-CNN on the backbone that `wish` names.

    Source: Ren et al. 2015 (Faster R-CNN); Lin et al. 2017 (Feature Pyramid Networks); He et al. 2017 (RoIAlign).
    """
    trunk, options = build_trunk(wish), wish.options
    levels = feature_pyramid(trunk.maps, options.pyramid_channels, seeds=trunk.seeds)
    anchors = len(options.anchor_ratios)
    proposals, sureness = Proposals(
        wish.frame_hw,
        after=options.proposals,
        anchor_scale=options.anchor_scale,
        anchor_ratios=options.anchor_ratios,
        name="proposals",
        dtype="float32",
    )(_region_network(levels, anchors, seeds=trunk.seeds))
    pooled = RoiAlign(wish.frame_hw, POOL, name="roi_align", dtype="float32")([proposals, *levels[:3]])
    logits, deltas = _box_head(pooled, wish, seeds=trunk.seeds)
    boxes, scores = ClassBoxes(wish.frame_hw, name="class_boxes", dtype="float32")(
        [logits, deltas, proposals, sureness]
    )
    outputs = {"boxes": boxes, "scores": scores, "proposals": proposals, "proposal_scores": sureness}
    model = keras.Model(trunk.pixels, outputs, name=wish.name.replace("-", "_").replace("+", "_"))
    return Detector(
        model=model,
        name=wish.name,
        feature_layer="neck_p5",
        pooled_layer="",
        stages=trunk.stages,
        preprocess=Preprocess(*wish.frame_hw, wish.channels),
        native_size_ok=False,
        pretrained=trunk.pretrained,
        head=layers_after(model, trunk),
        training_model=FasterRcnnTraining(model),
        kind="faster-rcnn",
        classes=wish.classes,
        backbone=wish.backbone,
        taps=trunk.layers,
        neck=("neck_p3", "neck_p4", "neck_p5", "neck_p6"),
    )


def _region_network(levels: list[Any], anchors: int, *, seeds: Iterator[int]) -> list[Any]:
    """The same three convolutions on each map: [logits of each (n, h, w, k), deltas of each (n, h, w, 4 k)]."""

    def conv(filters: int, kernel: int, name: str, *, bias: float = 0.0, activation: str = "linear") -> Any:
        return keras.layers.Conv2D(
            filters,
            kernel,
            padding="same",
            activation=activation,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=next(seeds)),
            bias_initializer=keras.initializers.Constant(bias),
            name=name,
        )

    hidden = conv(levels[0].shape[-1], 3, "rpn_hidden", activation="relu")
    hidden.kernel_initializer = keras.initializers.HeNormal(seed=next(seeds))
    logits = conv(anchors, 1, "rpn_logits", bias=math.log(PRIOR / (1 - PRIOR)))
    deltas = conv(4 * anchors, 1, "rpn_deltas")
    seen = [hidden(x) for x in levels]
    return [*(logits(x) for x in seen), *(deltas(x) for x in seen)]


def _box_head(pooled: Any, wish: Wish, *, seeds: Iterator[int]) -> tuple[Any, Any]:
    """(n, r, 7, 7, c) -> (n, r, classes + 1) logits, the last one background, and (n, r, 4 * classes) deltas."""
    _, r, high, wide, channels = pooled.shape
    x = keras.layers.Reshape((r, high * wide * channels), name="box_flat", dtype="float32")(pooled)
    for k in range(2):
        start = keras.initializers.HeNormal(seed=next(seeds))
        x = keras.layers.Dense(wish.options.head_units, activation="relu", kernel_initializer=start,
                               name=f"box_dense{k}")(x)  # fmt: skip

    def dense(units: int, name: str, deviation: float) -> Any:
        start = keras.initializers.RandomNormal(stddev=deviation, seed=next(seeds))
        return keras.layers.Dense(units, kernel_initializer=start, name=name, dtype="float32")(x)

    return dense(wish.classes + 1, "box_logits", 0.01), dense(4 * wish.classes, "box_deltas", 0.001)
