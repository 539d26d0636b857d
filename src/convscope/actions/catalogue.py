"""`convscope models`: the networks that can be trained, and where their weights are."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.models.catalogue import MODELS, Entry
from convscope.models.detectors import DETECTORS
from convscope.models.segmenters import DEFAULT_HW, SEGMENTERS
from convscope.models.weights import weights_here


@dataclass(frozen=True)
class ModelRow:
    """One network: its name, its family, the input in pixels, and what is known of its ImageNet weights."""

    name: str
    family: str
    height: int
    width: int
    weights: str


def list_models() -> list[ModelRow]:
    """All networks of the catalogue by name, then what finds boxes and what finds masks."""
    marked = [
        ModelRow(entry.name, "boxes", *entry.default_hw, _of_backbone(entry.backbone)) for entry in DETECTORS.values()
    ]
    marked += [
        ModelRow(entry.name, "masks", *DEFAULT_HW, _of_backbone(entry.backbone)) for entry in SEGMENTERS.values()
    ]
    return [_row(entry) for entry in MODELS.entries()] + marked


def _of_backbone(name: str) -> str:
    """Where the weights of a usual backbone are."""
    if name not in MODELS.names():
        return "none: trained from scratch"
    return f"{_row(MODELS.get(name)).weights.partition(' (')[0]} (of {name})"


def _row(entry: Entry) -> ModelRow:
    height, width = entry.default_hw
    family = entry.name.split("-")[0].rstrip("0123456789")
    if not entry.weights:
        words = "none: trained from scratch"
    else:
        words = "here" if weights_here(entry.name) else f"absent ({entry.weights})"
    return ModelRow(entry.name, family, height, width, words)
