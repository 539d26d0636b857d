"""Segmenter: a network that gives each pixel a class, and what others must know of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from convscope.models.network import Network


@dataclass(frozen=True)
class SegmenterOptions:
    """What a segmenter is made of; every field has a sensible value.

    Attributes:
        depth: unet without a backbone: how often the picture is halved.
        width: unet: feature maps of the finest level, doubled at each halving; with a backbone those of the finest
            decoder level.
        pyramid_channels: fpn and deeplab: width of the maps that are put together.
        norm: after each convolution of the decoder.
        dropout: share of whole maps dropped before the last layer and, in unet, at the coarsest level.
        slices: unet-3d: neighbouring slices of a block.
        seed: of everything drawn at random.
    """

    depth: int = 4
    width: int = 16
    pyramid_channels: int = 96
    norm: Literal["batch", "group", "none"] = "batch"
    dropout: float = 0.1
    slices: int = 16
    seed: int = 0


@dataclass(frozen=True)
class MaskWish:
    """A request to a builder of segmenters; the fields of `build_segmenter`, checked."""

    name: str
    classes: int
    frame_hw: tuple[int, int]
    channels: int
    weights: str
    download: bool
    backbone: str
    options: SegmenterOptions


@dataclass(frozen=True, eq=False)
class Encoder:
    """A backbone with the places where a decoder takes its maps.

    Attributes:
        pixels: input tensor of the whole graph.
        maps: stride -> tensor (n, h, w, c), fine to coarse.
        layers: stride -> name of the layer it was taken from.
        stages: as in Network.
        pretrained: as in Network.
        seeds: of what is built next.
    """

    pixels: Any
    maps: dict[int, Any]
    layers: dict[int, str]
    stages: tuple[tuple[str, ...], ...]
    pretrained: str
    seeds: Iterator[int]


@dataclass(frozen=True, eq=False)
class Segmenter(Network):
    """A built segmenter: (n, h, w, channels) float32 pixels 0..255 -> (n, h, w, classes) probabilities.

    unet-3d takes slices in the place of channels and answers (n, h, w, slices, classes).

    Attributes:
        kind: "unet", "unet-3d", "fpn" or "deeplab".
        classes: how many, background included.
        backbone: name of the backbone, "" for none.
        skips: layers of the encoder that the decoder reads, fine to coarse.
        head: names of all layers that the backbone does not own: the decoder. `pooled_layer` is "".
    """

    kind: str
    classes: int
    backbone: str
    skips: tuple[str, ...]
