"""The segmenters that can be trained, by name; looking a name up imports no Keras."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convscope.errors import PlanError, UnknownNameError
from convscope.models.catalogue import MODELS
from convscope.registry import nearest

if TYPE_CHECKING:
    from convscope.models.segmenter import Segmenter, SegmenterOptions


@dataclass(frozen=True)
class SegmenterEntry:
    """One segmenter of the catalogue.

    Attributes:
        name: lower case.
        backbone: its usual backbone, "" for none.
        builder: "module:function" of a function (MaskWish) -> Segmenter.
    """

    name: str
    backbone: str
    builder: str


LITE0 = "efficientnet-lite0"
DEFAULT_HW = (256, 256)

SEGMENTERS: dict[str, SegmenterEntry] = {
    "unet": SegmenterEntry("unet", "", "convscope.models.unet:build_unet"),
    "unet-3d": SegmenterEntry("unet-3d", "", "convscope.models.unet_3d:build_unet_3d"),
    "fpn": SegmenterEntry("fpn", LITE0, "convscope.models.mask_pyramid:build_fpn"),
    "deeplab": SegmenterEntry("deeplab", LITE0, "convscope.models.deeplab:build_deeplab"),
}


def find_segmenter(name: str) -> tuple[SegmenterEntry, str]:
    """The entry and the backbone of "unet", "unet+resnet50", "fpn", "deeplab+mobilenetv2" and the like.

    Raises:
        UnknownNameError: naming the nearest known one.
    """
    first, _, backbone = name.lower().replace("_", "-").partition("+")
    if first not in SEGMENTERS:
        raise UnknownNameError(f"unknown segmenter {first!r}; {nearest(first, SEGMENTERS)}")
    entry = SEGMENTERS[first]
    return entry, MODELS.get(backbone).name if backbone else entry.backbone


def build_segmenter(
    name: str,
    classes: int,
    *,
    frame_hw: tuple[int, int] | None = None,
    channels: int = 3,
    weights: str = "imagenet",
    download: bool = False,
    options: SegmenterOptions | None = None,
) -> Segmenter:
    """Build a segmenter of the catalogue.

    Args:
        name: "unet", "fpn" or "deeplab", each with "+backbone" where another encoder is wanted; "unet-3d".
        classes: how many, background included, at least 2.
        frame_hw: height and width of the frame in pixels; None for 256 x 256.
        channels: 3 for RGB, 1 for grey; unet-3d sees grey slices.
        weights: of the backbone: "imagenet", "none", or the path of a file; unet alone has none.
        download: fetch missing weights from Keras' own addresses.
        options: None for the usual ones.

    Raises:
        UnknownNameError: no such segmenter or backbone.
        WeightsNotFoundError: weights that are not on this machine.
        PlanError: options that can't work.
        ModelError: a backbone whose maps a decoder can't use.
    """
    from convscope.models.segmenter import MaskWish, SegmenterOptions

    entry, backbone = find_segmenter(name)
    chosen = options or SegmenterOptions()
    height, width = frame_hw or DEFAULT_HW
    _check(classes, (height, width), channels, chosen)
    if not backbone and weights not in ("imagenet", "none"):
        raise PlanError(f"expected weights 'none' for {entry.name} without a backbone, got {weights!r}")
    if not backbone and min(height, width) < 2**chosen.depth:
        raise PlanError(
            f"expected pictures of at least {2**chosen.depth} pixels for depth {chosen.depth}, got {height}x{width}"
        )
    full = entry.name if backbone == entry.backbone else f"{entry.name}+{backbone}"
    wish = MaskWish(full, classes, (height, width), channels, str(weights), download, backbone, chosen)
    module, _, attribute = entry.builder.partition(":")
    built: Segmenter = getattr(importlib.import_module(module), attribute)(wish)
    return built


def _check(classes: int, hw: tuple[int, int], channels: int, options: SegmenterOptions) -> None:
    if classes < 2:
        raise PlanError(f"expected at least 2 classes, background included, got {classes}")
    if min(hw) < 8:
        raise PlanError(f"expected pictures of at least 8 pixels, got {hw[0]}x{hw[1]}")
    if channels not in (1, 3):
        raise PlanError(f"expected 1 (grey) or 3 (RGB) channels, got {channels}")
    if not 1 <= options.depth <= 8 or options.width < 4 or options.width % 4:
        raise PlanError(
            f"expected a depth of 1 to 8 and a width that is a multiple of 4, got {options.depth} and {options.width}"
        )
    if options.norm not in ("batch", "group", "none"):
        raise PlanError(f"expected norm 'batch', 'group' or 'none', got {options.norm!r}")
    if not 0 <= options.dropout < 1:
        raise PlanError(f"expected dropout in 0..1, below 1, got {options.dropout}")
