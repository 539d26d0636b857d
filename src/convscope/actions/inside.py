"""The chapters that look inside: first filters, the maps that mattered most, Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.actions.network import as_model_input
from convscope.draw.overlay import overlay
from convscope.errors import ModelError, TapUnreachableError
from convscope.explaining.cam import grad_cam
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.features import FeatureMaps
from convscope.records.progress import Progress, silent
from convscope.records.report import Section
from convscope.reporting.looking import attribution_section, filters_section, maps_section
from convscope.scope.filters import filters
from convscope.scope.front import Scope
from convscope.scope.maps import feature_maps

MAP_LAYERS = 4


def spatial_layers(scope: Scope, images: np.ndarray) -> list[str]:
    """Layers whose maps are worth a look, in order: after an activation where there are some, else convolutions."""
    active, plain = [], []
    for call in scope.probe.calls(images):
        shape = call.output_shapes[0] if len(call.output_shapes) == 1 else ()
        if len(shape) != 3:
            continue
        fused = getattr(getattr(call.layer, "activation", None), "__name__", "linear") != "linear"
        if "ReLU" in call.kind or call.kind == "Activation" or ("Conv" in call.kind and fused):
            active.append(call.name)
        elif "Conv" in call.kind:
            plain.append(call.name)
    return active or plain


def spread(names: Sequence[str], most: int = MAP_LAYERS) -> list[str]:
    """The first, the last, and evenly spaced ones between."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def first_filters(opened: Opened, scope: Scope, images: np.ndarray) -> Section | None:
    """The kernels of the first convolution that is trained or carries weights; None when there is none."""
    for call in scope.probe.calls(images):
        if call.kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D") and call.name != "rgb_to_bgr":
            return filters_section(filters(opened.model, call.name, provenance=scope.provenance()))
    return None


def strongest_maps(
    scope: Scope, images: np.ndarray, labels: Sequence[str], *, layers: Sequence[str] = ()
) -> tuple[FeatureMaps, ...]:
    """Maps ranked by gradient x activation, from chosen layers or from four between first and last."""
    chosen = list(layers) or spread(spatial_layers(scope, images))
    if not chosen:
        return ()
    return feature_maps(scope.probe, images, chosen, labels=labels, provenance=scope.provenance())


def heat(
    opened: Opened, images: np.ndarray, labels: Sequence[str], *, progress: Progress = silent
) -> Attribution | None:
    """Grad-CAM of what the network says; None where it has no layer with spatial extent."""
    try:
        return grad_cam(opened, images, labels=labels)
    except (ModelError, TapUnreachableError) as error:
        progress(f"no Grad-CAM: {error}", 1, 1)
        return None


def overlays(attribution: Attribution, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each picture with its heat laid over, uint8 (h, w, 3)."""
    return [overlay(picture, one) for picture, one in zip(pictures, attribution.heat, strict=True)]


def inside_sections(
    opened: Opened,
    images: np.ndarray,
    pictures: Sequence[np.ndarray],
    *,
    labels: Sequence[str],
    says: Sequence[str] = (),
    layers: Sequence[str] = (),
    progress: Progress = silent,
) -> list[Section]:
    """All chapters that look inside.

    Args:
        opened: the model.
        images: (n, h, w, c) pixels, before the card's scale and offset.
        pictures: the same for the eye, uint8 (h, w, 1 or 3).
        labels: their names.
        says: what the network says of each.
        layers: whose maps to show; empty for four between first and last.
        progress: told about each chapter.
    """
    preprocess = opened.card.preprocess if opened.card else None
    inputs = as_model_input(images, preprocess) if preprocess else np.asarray(images, np.float32)
    scope = Scope(opened)
    sections = []
    progress("chapters on the inside", 0, 3)
    found = heat(opened, inputs, labels, progress=progress)
    if found is not None:
        sections.append(attribution_section(found, pictures, says=says))
    progress("chapters on the inside", 1, 3)
    maps = strongest_maps(scope, inputs, labels, layers=layers)
    if maps:
        sections.append(maps_section(maps, pictures))
    progress("chapters on the inside", 2, 3)
    kernels = first_filters(opened, scope, inputs)
    if kernels is not None:
        sections.append(kernels)
    progress("chapters on the inside", 3, 3)
    return sections
