"""The detectors that can be trained, by name; looking a name up imports no Keras."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convscope.errors import PlanError, UnknownNameError
from convscope.models.catalogue import MODELS
from convscope.registry import nearest

if TYPE_CHECKING:
    from convscope.models.detector import Detector, DetectorOptions


@dataclass(frozen=True)
class DetectorEntry:
    """One detector of the catalogue.

    Attributes:
        name: lower case with dashes.
        backbone: its usual backbone.
        kind: "yolo" or "faster-rcnn".
        builder: "module:function" of a function (Wish) -> Detector.
        default_hw: height and width of the frame in pixels; sides are multiples of 32.
    """

    name: str
    backbone: str
    kind: str
    builder: str
    default_hw: tuple[int, int] = (416, 416)

    def load_builder(self) -> Callable[[Any], Any]:
        """Import the function that builds it."""
        module, _, attribute = self.builder.partition(":")
        return getattr(importlib.import_module(module), attribute)


_YOLO, _RCNN = "convscope.models.yolo:build_yolo", "convscope.models.faster_rcnn:build_faster_rcnn"
OWN_BACKBONES = ("csp-tiny", "csp-n", "csp-s", "csp-m")
LITE0 = "efficientnet-lite0"

DETECTORS: dict[str, DetectorEntry] = {
    "yolo-n": DetectorEntry("yolo-n", "csp-n", "yolo", _YOLO),
    "yolo-s": DetectorEntry("yolo-s", "csp-s", "yolo", _YOLO),
    "yolo-m": DetectorEntry("yolo-m", "csp-m", "yolo", _YOLO),
    "yolo": DetectorEntry("yolo", LITE0, "yolo", _YOLO),
    "faster-rcnn": DetectorEntry("faster-rcnn", LITE0, "faster-rcnn", _RCNN),
}


def find_detector(name: str) -> tuple[DetectorEntry, str]:
    """The entry and the backbone of "yolo-n", "faster-rcnn", "yolo+resnet50", "faster-rcnn+csp-n" and the like.

    Raises:
        UnknownNameError: naming the nearest known one.
    """
    first, _, backbone = name.lower().replace("_", "-").partition("+")
    if first not in DETECTORS:
        raise UnknownNameError(f"unknown detector {first!r}; {nearest(first, DETECTORS)}")
    entry = DETECTORS[first]
    return entry, known_backbone(backbone) if backbone else entry.backbone


def known_backbone(name: str) -> str:
    """The catalogue's own spelling of a backbone.

    Raises:
        UnknownNameError: naming the nearest known one.
    """
    return name if name in OWN_BACKBONES else MODELS.get(name).name


def build_detector(
    name: str,
    classes: int,
    *,
    frame_hw: tuple[int, int] | None = None,
    channels: int = 3,
    weights: str = "imagenet",
    download: bool = False,
    options: DetectorOptions | None = None,
) -> Detector:
    """Build a detector of the catalogue.

    Args:
        name: "yolo-n", "yolo-s", "yolo-m", "yolo", "faster-rcnn", each with "+backbone" where another one is wanted.
        classes: kinds of objects, at least 1.
        frame_hw: height and width of the frame in pixels, multiples of 32; None for 416 x 416.
        channels: 3 for RGB, 1 for grey.
        weights: of the backbone: "imagenet", "none", or the path of a file. The detectors' own backbones have no
            "imagenet": random instead.
        download: fetch missing weights from Keras' own addresses.
        options: None for the usual ones.

    Raises:
        UnknownNameError: no such detector or backbone.
        WeightsNotFoundError: weights that are not on this machine.
        PlanError: options that can't work.
        ModelError: a backbone without a map at stride 8.
    """
    from convscope.models.detector import DetectorOptions, Wish

    entry, backbone = find_detector(name)
    chosen = options or DetectorOptions()
    if chosen.backbone:
        backbone = known_backbone(chosen.backbone)
    hw = frame_hw or entry.default_hw
    _check(classes, hw, channels, chosen)
    if backbone in OWN_BACKBONES and weights not in ("imagenet", "none"):
        raise PlanError(f"expected weights 'none' for the backbone {backbone}, got {weights!r}; it has no files")
    full = entry.name if backbone == entry.backbone else f"{entry.name}+{backbone}"
    wish = Wish(full, classes, (int(hw[0]), int(hw[1])), channels, str(weights), download, backbone, chosen)
    return entry.load_builder()(wish)


def _check(classes: int, hw: tuple[int, int], channels: int, options: DetectorOptions) -> None:
    if classes < 1:
        raise PlanError(f"expected at least 1 class, got {classes}")
    if any(side < 64 or side % 32 for side in hw):
        raise PlanError(f"expected a frame with sides that are multiples of 32, at least 64, got {hw[0]}x{hw[1]}")
    if channels not in (1, 3):
        raise PlanError(f"expected 1 (grey) or 3 (RGB) channels, got {channels}")
    if options.pyramid_channels < 8 or options.pyramid_channels % 2:
        raise PlanError(f"expected an even pyramid_channels of at least 8, got {options.pyramid_channels}")
    if min(options.head_units, options.proposals) < 1:
        raise PlanError(
            f"expected head_units and proposals of at least 1, got {options.head_units}, {options.proposals}"
        )
    if options.anchor_scale <= 0 or not options.anchor_ratios or min(options.anchor_ratios) <= 0:
        raise PlanError(f"expected anchors larger than 0, got {options.anchor_scale}, {options.anchor_ratios}")
