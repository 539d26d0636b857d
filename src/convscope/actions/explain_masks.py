"""Why a segmenter marks a region: one heat map for each picture's region, and maps of where it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from convscope.actions.asking import provenance_of
from convscope.actions.mask_blocks import block_depth
from convscope.actions.mask_pictures import pictures_to_mark
from convscope.actions.network import as_model_input
from convscope.actions.predict import BATCH, known_card
from convscope.actions.sizes import picture_sizes
from convscope.arrays.orientation import Plane
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.places import mask_in_frame, place_of
from convscope.draw.contours import mask_overlay
from convscope.errors import DataError, PlanError
from convscope.explaining import engine
from convscope.explaining.doubt import DOUBTS, PASSES
from convscope.explaining.engine import Wish
from convscope.explaining.faithful import inside
from convscope.explaining.layers import spatial_size
from convscope.explaining.method import method as registered
from convscope.explaining.region import SOURCE, region_model
from convscope.explaining.shown import Explanation, for_the_eye, shown
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.features import TargetName
from convscope.records.geometry import Letterbox
from convscope.records.progress import Progress
from convscope.records.samples import Samples
from convscope.registry import nearest
from convscope.scope.tap import Probe
from convscope.scope.target import Target

WORDS = "how strongly the network says this class inside this region"


@dataclass(frozen=True)
class RegionAim:
    """Which region is explained: a class index or None for the largest found; with a point, the piece that holds it.

    `point_yx` is in pixels of the picture, row first.
    """

    label: int | None = None
    point_yx: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions that are explained, one row for each picture that has one.

    Attributes:
        images: (n, h, w, c) in the frame, before scale and offset.
        masks: (n, h, w) bool in the frame.
        labels: (n,) class index.
        names: the pictures' names.
        places: picture <-> frame.
        indices: which picture each row is.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    places: tuple[Letterbox, ...]
    indices: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ExplainedMasks:
    """Explanations with the pictures they are of; `indices` says which picture each row explains."""

    found: tuple[Explanation, ...]
    samples: Samples
    indices: tuple[int, ...]


def read_aim(target: str | int | None, classes: Sequence[str]) -> RegionAim:
    """A target of the command line: "predicted", a class name or index, or CLASS@ROW,COLUMN.

    Raises:
        PlanError: an unknown class, or a point that is none.

    Example:
        >>> read_aim("nucleus@120,64", ("background", "nucleus"))
        RegionAim(label=1, point_yx=(120.0, 64.0))
    """
    if target is None or target == "predicted":
        return RegionAim()
    name, mark, place = str(target).rpartition("@") if "@" in str(target) else (str(target), "", "")
    point = None
    if mark:
        try:
            row, column = (float(v) for v in place.split(","))
        except ValueError:
            raise PlanError(f"expected a region as CLASS@ROW,COLUMN in pixels, got {target!r}") from None
        point = (row, column)
    if name in classes:
        return RegionAim(list(classes).index(name), point)
    if name.isdigit() and int(name) < len(classes):
        return RegionAim(int(name), point)
    raise PlanError(f"unknown class {name!r}; {nearest(name, classes)}")


def explain_masks(
    opened: Opened,
    files: Sequence[str | Path],
    methods: Sequence[str],
    *,
    target: str | int | None = None,
    layer: str | Sequence[str] | None = None,
    options: dict[str, Any] | None = None,
    plane: Plane | None = None,
    seed: int = 0,
    progress: Progress,
) -> ExplainedMasks:
    """Explain a region of each picture by methods of `METHODS`, and show doubt by those of `DOUBTS`.

    Args:
        opened: a segmenter with its card.
        files: pictures or volumes, or folders of them.
        methods: names.
        target: see `read_aim`.
        layer: for the methods that read one; None for the coarsest map, as Seg-Grad-CAM has it.
        options: name -> value, for the methods that have an option of that name; `passes` of dropout-uncertainty.
        plane: how volumes are cut; None: as for training.
        seed: of everything drawn at random.
        progress: told how far it is.

    Raises:
        DataError: the class is found in no picture. PlanError: an unknown class or method, or a network
            that sees blocks of slices.
    """
    card = known_card(opened)
    if block_depth(opened.model):
        raise PlanError("expected a network of single slices to explain its masks, this one sees blocks of them")
    samples = pictures_to_mark(files, card, plane)
    asked = find_regions(opened, samples, read_aim(target, card.classes), progress=progress)
    inputs = as_model_input(asked.images, card.preprocess)
    found = []
    for name in methods:
        if name in DOUBTS:
            found.append(_doubt(opened, name, inputs, asked, int((options or {}).get("passes", PASSES)), seed))
        else:
            found.append(
                _why(opened, name, inputs, asked, layer=layer, options=options or {}, seed=seed, progress=progress)
            )
    return ExplainedMasks(tuple(found), samples, asked.indices)


def find_regions(opened: Opened, samples: Samples, aim: RegionAim, *, progress: Progress) -> Regions:
    """Segment the pictures and take from each the region that was asked for.

    Raises:
        DataError: it is in none of them.
    """
    card = known_card(opened)
    size = max(1, min(BATCH // 2, len(samples)))
    loader = Loader(samples, card.preprocess, batch_size=size, cache=NO_CACHE, unreadable="drop")
    sizes = picture_sizes(samples)
    rows: list[tuple[np.ndarray, np.ndarray, int, int]] = []
    why = "no picture can be read"
    done = 0
    for batch in loader.batches(0):
        if not len(batch.images):
            continue
        images = as_model_input(batch.images, card.preprocess)
        filled = np.concatenate([images, np.repeat(images[-1:], size - len(images), axis=0)])
        said = np.asarray(opened.model.predict_on_batch(filled)).argmax(axis=-1)[: len(images)]
        for index, picture, mask in zip(batch.indices.tolist(), batch.images, said, strict=True):
            place = place_of(sizes[index], card.preprocess)
            is_picture = mask_in_frame(np.zeros(sizes[index], np.uint8), place) == 0
            chosen = _region(np.where(is_picture, mask, 0), aim, place, card.classes)
            if isinstance(chosen, str):
                why = chosen
            else:
                rows.append((picture, chosen[0], chosen[1], index))
        done += len(images)
        progress("pictures segmented", done, len(samples))
    if not rows:
        raise DataError(f"expected a region to explain in one of {len(samples)} pictures, found none: {why}")
    indices = tuple(index for *_, index in rows)
    return Regions(
        np.stack([r[0] for r in rows]).astype(np.float32),
        np.stack([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        tuple(samples.pictures.keys[i] for i in indices),
        tuple(place_of(sizes[i], card.preprocess) for i in indices),
        indices,
    )


def _region(mask: np.ndarray, aim: RegionAim, place: Letterbox, classes: Sequence[str]) -> tuple[np.ndarray, int] | str:
    """The region in the frame and its class; or why there is none."""
    label = aim.label
    if label is None:
        counts = np.bincount(mask.reshape(-1), minlength=len(classes))[1:]
        if not counts.any():
            return f"the network marks nothing but {classes[0]}"
        label = int(counts.argmax()) + 1
    region = mask == label
    if aim.point_yx is None:
        return (region, label) if region.any() else f"the network marks no {classes[label]}"
    row, column = (int(v) for v in place.to_network(np.array(aim.point_yx) + 0.5))
    if not (0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]) or not region[row, column]:
        at = f"row {aim.point_yx[0]:g}, column {aim.point_yx[1]:g}"
        return f"the network does not say {classes[label]} at {at}"
    pieces, _ = ndimage.label(region)
    return pieces == pieces[row, column], label


def _why(
    opened: Opened,
    name: str,
    inputs: np.ndarray,
    asked: Regions,
    *,
    layer: str | Sequence[str] | None,
    options: dict[str, Any],
    seed: int,
    progress: Progress,
) -> Explanation:
    """One heat map for each region."""
    how, card = registered(name), known_card(opened)
    model, kind = region_model(opened.model)
    probe = Probe(model, batch_size=8)
    regions = np.zeros((*asked.masks.shape, len(card.classes)), np.float32)
    for row, (mask, label) in enumerate(zip(asked.masks, asked.labels, strict=True)):
        regions[row, ..., label] = mask
    layers = layer if layer is not None or not how.needs_layer else coarsest(probe, [inputs, regions])
    wish = Wish(layer=layers, options={k: v for k, v in options.items() if k in how.options}, seed=seed)
    target = Target(function=_only_column, words=WORDS)
    made = engine.explain(
        probe, [inputs, regions], name, target, wish=wish, labels=asked.names,
        provenance=provenance_of(opened, probe, seed), progress=progress,
    )  # fmt: skip
    energy, hit = inside(made.heat, asked.masks)
    names = tuple(TargetName("mask", int(c), card.classes[c], kind) for c in asked.labels)
    facts = made.facts | {"energy inside": energy, "pointing game": hit, "region": SOURCE}
    if how.needs_layer and layer is None:
        made = replace(made, layer_reason="the coarsest map of the network, as Seg-Grad-CAM reads it")
    return shown(replace(made, targets=names, facts=facts), outlined(asked), asked.places)


def coarsest(probe: Probe, inputs: Any) -> list[str]:
    """The last layer of the smallest height and width above one: the bottom of a U-Net."""
    known = [(c.name, spatial_size(c)) for c in probe.calls(inputs) if len(spatial_size(c)) == 2]
    areas = [(rows * columns, name) for name, (rows, columns) in known if rows * columns > 1]
    least = min(area for area, _ in areas)
    return [next(name for area, name in reversed(areas) if area == least)]


def _only_column(outputs: Any) -> Any:
    return outputs[:, 0] if len(outputs.shape) == 2 else outputs


def _doubt(opened: Opened, name: str, inputs: np.ndarray, asked: Regions, passes: int, seed: int) -> Explanation:
    """Doubt at each place of the frame."""
    how = DOUBTS[name]
    heat = how.function(opened.model, inputs, passes, seed)
    energy, hit = inside(heat, asked.masks)
    found = Attribution(
        method=name,
        heat=heat,
        signed=False,
        targets=tuple(TargetName("mask", None, "all classes", "mean doubt") for _ in asked.names),
        scores=heat.mean(axis=(1, 2)),
        layers=(),
        layer_reason="",
        labels=asked.names,
        provenance=provenance_of(opened, Probe(opened.model), seed),
        facts={"energy inside": energy, "pointing game": hit, "source": how.source, "words": how.words},
    )
    return shown(found, outlined(asked), asked.places)


def outlined(asked: Regions) -> np.ndarray:
    """The pictures for the eye with the outline of each region, (n, h, w, 3) uint8."""
    pictures = for_the_eye(asked.images, 1.0)
    return np.stack(
        [
            mask_overlay(picture, mask.astype(np.uint8) * label, classes=label + 1, longest_px=1, fill=False)
            for picture, mask, label in zip(pictures, asked.masks, asked.labels.tolist(), strict=True)
        ]
    )
