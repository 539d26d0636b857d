"""From a plan to a network that finds boxes or masks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convscope.actions.network import OWN, Prepared, take_own
from convscope.draw.numbers import count
from convscope.errors import ModelError
from convscope.models.catalogue import MODELS
from convscope.models.detectors import DETECTORS, build_detector
from convscope.models.segmenters import SEGMENTERS, build_segmenter
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples
from convscope.training.plan import Plan

GREY = 114.0  # what fills the frame of a detector, as YOLO does it: no object has this even colour


def prepare_boxes(plan: Plan, samples: Samples, own: Any) -> Prepared:
    """The plan's detector for the classes of these samples.

    Raises:
        ModelError: a user's own model. UnknownNameError, PlanError, WeightsNotFoundError: what can't be built.
    """
    from convscope.models.detector import DetectorOptions

    if own is not None:
        raise ModelError("expected model as a name for task detect, got a keras.Model; name one, e.g. model='yolo-n'")
    name, notes = full_name(plan.model, DETECTORS, "yolo")
    detector = build_detector(
        name,
        len(samples.classes),
        frame_hw=plan.size_hw,
        channels=plan.channels or 3,
        weights=plan.weights,
        download=plan.download,
        options=DetectorOptions(pyramid_channels=plan.pyramid_channels, seed=plan.seed),
    )
    preprocess = replace(detector.preprocess, fit=plan.fit, fill=GREY)
    return _prepared(detector, preprocess, "boxes", notes)


def prepare_masks(plan: Plan, samples: Samples, own: Any) -> Prepared:
    """The plan's segmenter for the classes of these samples, or the user's own model.

    Raises:
        UnknownNameError, PlanError, WeightsNotFoundError, ModelError: what can't be built.
    """
    from convscope.models.segmenter import SegmenterOptions

    if own is not None:
        return replace(take_own(own, plan, samples), name=OWN, output_kind="masks")
    name, notes = full_name(plan.model, SEGMENTERS, "unet")
    options = SegmenterOptions(
        depth=plan.unet_depth,
        width=plan.unet_width,
        pyramid_channels=plan.pyramid_channels,
        norm=plan.decoder_norm,
        dropout=plan.dropout,
        slices=plan.unet_slices,
        seed=plan.seed,
    )
    segmenter = build_segmenter(
        name,
        len(samples.classes),
        frame_hw=plan.size_hw,
        channels=plan.channels or 3,
        weights=plan.weights,
        download=plan.download,
        options=options,
    )
    if name == "unet-3d":
        notes = (*notes, f"it sees blocks of {plan.unet_slices} neighbouring slices; blocks overlap by half")
    return _prepared(segmenter, replace(segmenter.preprocess, fit=plan.fit), "masks", notes)


def full_name(model: str, known: dict[str, Any], usual: str) -> tuple[str, tuple[str, ...]]:
    """The name of the whole network, and a note where a backbone alone was named.

    Example:
        >>> full_name("resnet50", SEGMENTERS, "unet")[0]
        'unet+resnet50'
    """
    first = model.lower().replace("_", "-").partition("+")[0]
    if first in known or first not in MODELS.names():
        return model, ()
    return f"{usual}+{model}", (f"{model} is a backbone; {usual}+{model} is trained",)


def _prepared(network: Any, preprocess: Preprocess, kind: Any, notes: tuple[str, ...]) -> Prepared:
    words = f"{network.name}, {count(network.parameters)} parameters, {network.pretrained or 'random weights'}"
    return Prepared(network, preprocess, network.name, (*notes, words), output_kind=kind)
