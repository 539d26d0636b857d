"""Detector: a network that finds boxes, and what others must know of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convscope.models.network import Network


@dataclass(frozen=True)
class DetectorOptions:
    """What a detector is made of; every field has a sensible value.

    Attributes:
        backbone: name in the catalogue of networks, or "csp-n", "csp-s", "csp-m", "csp-tiny"; "" for the detector's
            own ("efficientnet-lite0" for faster-rcnn).
        pyramid_channels: width of the neck's maps; a yolo on its own backbone has its own widths.
        head_units: width of the two dense layers of faster-rcnn.
        anchor_scale: faster-rcnn: side of the square anchor in cells of its map.
        anchor_ratios: faster-rcnn: height over width.
        proposals: faster-rcnn: how many boxes the second stage looks at in prediction.
        seed: of everything drawn at random.
    """

    backbone: str = ""
    pyramid_channels: int = 96
    head_units: int = 512
    anchor_scale: float = 4.0
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals: int = 300
    seed: int = 0


@dataclass(frozen=True)
class Wish:
    """A request to a builder of detectors; the fields of `build_detector`, checked."""

    name: str
    classes: int
    frame_hw: tuple[int, int]
    channels: int
    weights: str
    download: bool
    backbone: str
    options: DetectorOptions


@dataclass(frozen=True, eq=False)
class Trunk:
    """A backbone with the places where a neck takes its maps.

    Attributes:
        pixels: its input tensor.
        maps: tensors (n, h, w, c) at strides of about 8, 16 and 32.
        layers: names of the layers that the three maps were taken from.
        stages: its layers with weights, grouped from input to output.
        pretrained: where its weights came from, in words; "" when drawn at random.
        seeds: of what is built next.
    """

    pixels: Any
    maps: tuple[Any, Any, Any]
    layers: tuple[str, str, str]
    stages: tuple[tuple[str, ...], ...]
    pretrained: str
    seeds: Iterator[int]


@dataclass(frozen=True, eq=False)
class Detector(Network):
    """A built detector. `model` gives raw boxes; `training_model` shares its layers and knows the losses.

    `model` maps (n, h, w, channels) float32 pixels 0..255 to a dictionary: "boxes" (n, k, 4) or, for faster-rcnn,
    (n, k, classes, 4) xyxy in pixels of the frame; "scores" (n, k, classes) in 0..1; faster-rcnn also "proposals"
    (n, k, 4) and "proposal_scores" (n, k). `detector_outputs.decode_outputs` reads both kinds.

    Attributes:
        training_model: a registered keras.Model, trained by its own `fit` with x as above and y = {"boxes":
            (n, most, 4) xyxy in pixels of the frame, "labels": (n, most) int, -1 where empty}.
        kind: "yolo" or "faster-rcnn".
        classes: how many kinds of objects.
        backbone: name of the backbone.
        taps: layers of the backbone that the neck reads, strides 8, 16 and 32.
        neck: layers whose maps the heads read, fine to coarse.
        head: names of all layers that the backbone does not own: neck and heads. `pooled_layer` is "".
    """

    training_model: Any
    kind: str
    classes: int
    backbone: str
    taps: tuple[str, ...]
    neck: tuple[str, ...]
