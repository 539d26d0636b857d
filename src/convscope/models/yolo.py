"""The one-stage detector: anchor-free, a two-way pyramid, and for each map one head for classes and one for boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from convscope.backend.selection import load_keras
from convscope.layers.found_boxes import PointBoxes
from convscope.models.csp import SIZES
from convscope.models.detector import Detector, Trunk, Wish
from convscope.models.pyramid import conv_bn_silu, two_way_pyramid
from convscope.models.trunk import build_trunk, layers_after
from convscope.models.yolo_training import YoloTraining
from convscope.records.geometry import Preprocess

keras = load_keras()

BINS = 16  # a box reaches at most 15 cells from its point
LEVELS = ("p3", "p4", "p5")


def build_yolo(wish: Wish) -> Detector:
    """A YOLO-style detector on the backbone that `wish` names.

    Source: Ge et al. 2021 (YOLOX: anchor-free, decoupled head), Li et al. 2020 (distributions of distances), Feng et
    al. 2021 (assignment); sizes as published for YOLOv8.
    """
    trunk = build_trunk(wish)
    maps, widths, repeats = _neck_inputs(wish, trunk)
    levels = two_way_pyramid(maps, widths, repeats=repeats, seeds=trunk.seeds)
    distances, logits = _heads(levels, wish, widths[0], seeds=trunk.seeds)
    maps_hw = tuple(tuple(x.shape[1:3]) for x in levels)
    boxes = PointBoxes(wish.frame_hw, maps_hw, name="boxes", dtype="float32")(distances)
    scores = keras.layers.Activation("sigmoid", name="scores", dtype="float32")(logits)
    model = keras.Model(
        trunk.pixels, {"boxes": boxes, "scores": scores}, name=wish.name.replace("-", "_").replace("+", "_")
    )
    return Detector(
        model=model,
        name=wish.name,
        feature_layer=f"neck_{LEVELS[-1]}_out_silu",
        pooled_layer="",
        stages=trunk.stages,
        preprocess=Preprocess(*wish.frame_hw, wish.channels),
        native_size_ok=False,
        pretrained=trunk.pretrained,
        head=layers_after(model, trunk),
        training_model=YoloTraining(model),
        kind="yolo",
        classes=wish.classes,
        backbone=wish.backbone,
        taps=trunk.layers,
        neck=tuple(f"neck_{level}_out_silu" for level in LEVELS),
    )


def _neck_inputs(wish: Wish, trunk: Trunk) -> tuple[list[Any], tuple[int, int, int], int]:
    """Maps, widths and repeats of the neck; a foreign backbone's maps are first brought to one width."""
    own = SIZES.get(wish.backbone)
    if own is not None:
        return list(trunk.maps), (own.filters(256), own.filters(512), own.filters(1024)), own.repeats(3)
    width = wish.options.pyramid_channels
    sides = [conv_bn_silu(x, width, f"neck_side{k}", seeds=trunk.seeds) for k, x in zip((3, 4, 5), trunk.maps)]
    return sides, (width, width, width), 1


def _heads(levels: list[Any], wish: Wish, first_width: int, *, seeds: Iterator[int]) -> tuple[Any, Any]:
    """(n, points, 4 * bins) and (n, points, classes) logits, joined over the maps."""
    box_width = max(16, first_width // 4, 4 * BINS)
    class_width = max(first_width, min(wish.classes, 100))
    distances, logits = [], []
    for name, x in zip(LEVELS, levels):
        box = class_ = x
        for k in range(2):
            box = conv_bn_silu(box, box_width, f"head_{name}_box{k}", seeds=seeds, kernel=3)
            class_ = conv_bn_silu(class_, class_width, f"head_{name}_class{k}", seeds=seeds, kernel=3)
        cells = x.shape[1] * x.shape[2]
        stride = math.sqrt(wish.frame_hw[0] * wish.frame_hw[1] / cells)
        # about five objects in a picture of 640 pixels: the first losses are then small (Lin et al. 2017, focal loss)
        prior = math.log(5 / wish.classes / (640 / stride) ** 2)
        distances.append(_last(box, 4 * BINS, f"head_{name}_distances", seeds=seeds, bias=1.0))
        logits.append(_last(class_, wish.classes, f"head_{name}_logits", seeds=seeds, bias=prior))
    join = keras.layers.Concatenate
    return (
        join(axis=1, name="distances", dtype="float32")(distances),
        join(axis=1, name="logits", dtype="float32")(logits),
    )


def _last(x: Any, filters: int, name: str, *, seeds: Iterator[int], bias: float) -> Any:
    x = keras.layers.Conv2D(
        filters,
        1,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        bias_initializer=keras.initializers.Constant(bias),
        name=name,
        dtype="float32",
    )(x)
    return keras.layers.Reshape((x.shape[1] * x.shape[2], filters), name=f"{name}_flat", dtype="float32")(x)
