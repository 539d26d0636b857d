"""Why a segmenter marks a region: one heat map for each picture's region, and maps of where it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convscope.actions.explain_blocks import check_methods, find_blocks, on_slices
from convscope.actions.mask_blocks import block_depth
from convscope.actions.mask_pictures import pictures_to_mark
from convscope.actions.network import as_model_input
from convscope.actions.predict import known_card
from convscope.actions.region_heat import heat_of
from convscope.actions.regions import Regions, find_regions, outlined, read_aim
from convscope.arrays.orientation import Plane
from convscope.explaining.faithful import inside
from convscope.explaining.shown import Explanation, shown
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.progress import Progress
from convscope.records.samples import Samples


@dataclass(frozen=True, eq=False)
class ExplainedMasks:
    """Explanations with the pictures they are of; `indices` says which picture each row explains."""

    found: tuple[Explanation, ...]
    samples: Samples
    indices: tuple[int, ...]


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
        DataError: the class is found in no picture. PlanError: an unknown class or method; of a network that sees
            blocks of slices, a method that does not tell them apart.
    """
    card = known_card(opened)
    samples = pictures_to_mark(files, card, plane)
    aim, depth = read_aim(target, card.classes), block_depth(opened.model)
    if depth:
        check_methods(methods)
    blocks = find_blocks(opened, samples, aim, depth, progress=progress) if depth else None
    asked = blocks.asked if blocks else find_regions(opened, samples, aim, progress=progress)
    inputs = as_model_input(asked.images, card.preprocess)
    heats = [
        heat_of(opened, name, inputs, asked, layer=layer, options=options or {}, seed=seed, progress=progress)
        for name in methods
    ]
    if blocks:
        heats, asked = [on_slices(one, blocks) for one in heats], blocks.slices
    return ExplainedMasks(tuple(_shown(one, asked) for one in heats), samples, asked.indices)


def _shown(made: Attribution, asked: Regions) -> Explanation:
    """The heat on its pictures, and how much of it lies inside the region."""
    energy, hit = inside(made.heat, asked.masks)
    facts = made.facts | {"energy inside": energy, "pointing game": hit}
    return shown(replace(made, facts=facts), outlined(asked), asked.places)
