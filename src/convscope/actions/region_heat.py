"""Heat of one region in each picture, or in each block of slices; and where a segmenter is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from convscope.actions.asking import provenance_of
from convscope.actions.predict import known_card
from convscope.actions.regions import Regions
from convscope.errors import PlanError
from convscope.explaining import engine
from convscope.explaining.doubt import DOUBTS, PASSES
from convscope.explaining.engine import Wish
from convscope.explaining.layers import spatial_size
from convscope.explaining.method import method as registered
from convscope.explaining.region import SOURCE, region_model
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.features import TargetName
from convscope.records.progress import Progress
from convscope.scope.tap import Probe
from convscope.scope.target import Target

WORDS = "how strongly the network says this class inside this region"


def heat_of(
    opened: Opened,
    name: str,
    inputs: np.ndarray,
    asked: Regions,
    *,
    layer: str | Sequence[str] | None,
    options: dict[str, Any],
    seed: int,
    progress: Progress,
) -> Attribution:
    """Heat of each region by a method of `METHODS`, or doubt in its picture by one of `DOUBTS`.

    Args:
        opened: a segmenter with its card.
        name: of the method.
        inputs: the pictures or blocks as the network takes them.
        asked: their regions.
        layer: for a method that reads one; None for the coarsest map, as Seg-Grad-CAM has it.
        options: name -> value; those that the method does not have are left out.
        seed: of everything drawn at random.
        progress: told how far it is.
    """
    if name in DOUBTS:
        return _doubt(opened, name, inputs, asked, int(options.get("passes", PASSES)), seed)
    how, card = registered(name), known_card(opened)
    model, kind = region_model(opened.model)
    probe = Probe(model, batch_size=8)
    regions = np.zeros((*asked.masks.shape, len(card.classes)), np.float32)
    for row, (mask, label) in enumerate(zip(asked.masks, asked.labels, strict=True)):
        regions[row, ..., label] = mask
    layers = layer if how.needs_layer else None
    if layers is None and how.needs_layer:
        layers = coarsest(probe, [inputs, regions], axes=asked.masks.ndim - 1)
    wish = Wish(layer=layers, options={k: v for k, v in options.items() if k in how.options}, seed=seed)
    target = Target(function=_only_column, words=WORDS)
    made = engine.explain(
        probe, [inputs, regions], name, target, wish=wish, labels=asked.names,
        provenance=provenance_of(opened, probe, seed), progress=progress,
    )  # fmt: skip
    names = tuple(TargetName("mask", int(c), card.classes[c], kind) for c in asked.labels)
    if asked.masks.ndim > 3 and how.needs_layer:
        made = replace(made, values=_deep(made, probe, [inputs, regions]))
    facts = made.facts | {"region": SOURCE}
    if how.needs_layer and layer is None:
        made = replace(made, layer_reason="the coarsest map of the network, as Seg-Grad-CAM reads it")
    return replace(made, targets=names, facts=facts)


def _deep(made: Attribution, probe: Probe, inputs: Any) -> np.ndarray:
    """Heat read from a map of three axes, (n, h, w, depth); the engine holds it with the first two axes as one.

    Raises:
        PlanError: several layers were read, whose maps are of different depths.
    """
    if len(made.layers) > 1:
        raise PlanError(f"expected one layer to read in blocks of slices, got {len(made.layers)}; name one")
    return made.heat.reshape(len(made.heat), *spatial_size(probe.call(made.layers[0], inputs)))


def coarsest(probe: Probe, inputs: Any, axes: int) -> list[str]:
    """The last layer of the smallest height and width (and depth) above one: the bottom of a U-Net."""
    known = [(prod(spatial_size(c)), c.name) for c in probe.calls(inputs) if len(spatial_size(c)) == axes]
    areas = [(size, name) for size, name in known if size > 1]
    least = min(area for area, _ in areas)
    return [next(name for area, name in reversed(areas) if area == least)]


def _only_column(outputs: Any) -> Any:
    return outputs[:, 0] if len(outputs.shape) == 2 else outputs


def _doubt(opened: Opened, name: str, inputs: np.ndarray, asked: Regions, passes: int, seed: int) -> Attribution:
    """Doubt at each place of the frame."""
    how = DOUBTS[name]
    heat = how.function(opened.model, inputs, passes, seed)
    return Attribution(
        method=name,
        heat=heat if heat.ndim == 3 else heat.sum(axis=-1),
        signed=False,
        targets=tuple(TargetName("mask", None, "all classes", "mean doubt") for _ in asked.names),
        scores=heat.reshape(len(heat), -1).mean(axis=1),
        layers=(),
        layer_reason="",
        labels=asked.names,
        provenance=provenance_of(opened, Probe(opened.model), seed),
        facts={"source": how.source, "words": how.words},
        values=heat if heat.ndim == 4 else None,
    )
