"""The chapter on how boxes come about: targets, anchors, suspected objects, and what suppression removed and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convscope.draw.box_looks import (
    anchors_picture,
    proposals_picture,
    reached,
    suppression_picture,
    targets_picture,
)
from convscope.draw.numbers import count, short, three
from convscope.draw.tiles import picture_tile
from convscope.records.box_looks import BoxLook
from convscope.records.report import Section, Sheet, Table, Tile, Words

PICTURE_PX, MOST_ROWS = 360, 15


def box_looks_section(looks: Sequence[BoxLook], classes: Sequence[str], *, score_threshold: float) -> Section:
    """How the boxes of some pictures come about.

    Args:
        looks: one for each picture.
        classes: names by index.
        score_threshold: of the boxes that were looked at.
    """
    two = any(look.proposals is not None for look in looks)
    sheets = [sheet for sheet in (
        _sheet("Assigned targets", looks, targets_picture, _target_lines, _TARGETS[two])
        if any(look.targets is not None for look in looks) else None,
        _sheet("Anchors", looks[:1], anchors_picture, _anchor_lines, _ANCHORS) if two else None,
        _sheet("Suspected objects", looks, proposals_picture, _proposal_lines, _PROPOSALS) if two else None,
        _sheet("What suppression left and removed", looks, lambda one: suppression_picture(one, classes),
               _removed_lines, _REMOVED),
    ) if sheet is not None]  # fmt: skip
    kept, gone = sum(len(one.kept) for one in looks), sum(len(one.removed.by) for one in looks)
    words: Words = (
        (f"{count(kept)} boxes stay, {count(gone)} go.",
         f"Of {count(kept + gone)} boxes from score {three(score_threshold)} on; one goes when it overlaps a surer box "
         "of its class by more than half."),
        *_reach_words(looks),
    )  # fmt: skip
    note = f"{len(looks)} pictures, as the network sees them"
    table = _table(looks, classes)
    return Section("box-looks", "How boxes come about", note, words, (*sheets, *([table] if table.rows else [])))


_TARGETS = {
    False: "Dashed: truth. Dots: the places that must say this box in training, in its class's colour; the larger, the "
    "higher their target score. They follow what the network says now (task-aligned assignment).",
    True: "Dashed: truth. Thin boxes: the anchors that must move onto it, in its class's colour (IoU of 0.7 or "
    "more, or the best for it).",
}
_ANCHORS = "The anchors of the cell in the middle of each map, a colour for each map; every cell has the same ones."
_PROPOSALS = "The surest 100 of the first stage: coloured where they overlap a true box by half or more, else grey."
_REMOVED = "Coloured: kept, with score. Thin and dark: removed because a surer box of the class overlaps it."


def _sheet(
    title: str,
    looks: Sequence[BoxLook],
    painted: Callable[[BoxLook], np.ndarray],
    lines: Callable[[BoxLook], tuple[str, ...]],
    caption: str,
) -> Sheet:
    tiles: list[Tile] = []
    for look in looks:
        said = lines(look)
        name = short(look.key.rsplit("/", 1)[-1], 40)
        alt = f"{title} on {name}: {'; '.join(said)}"
        tiles.append(picture_tile(painted(look), alt, head=name, lines=said, longest_px=PICTURE_PX))
    return Sheet(title, tuple(tiles), caption=caption, first=4)


def _target_lines(look: BoxLook) -> tuple[str, ...]:
    if look.truth is None or look.targets is None:
        return ("nothing is known of it",)
    owned = look.targets.index[look.targets.index >= 0]
    per_object = np.bincount(owned, minlength=len(look.truth))[: len(look.truth)]
    levels = np.bincount(look.targets.level[look.targets.index >= 0], minlength=int(look.targets.level.max()) + 1)
    what = "anchors" if look.targets.places.shape[1] == 4 else "points"
    none = f"; {int((per_object == 0).sum())} objects have none" if (per_object == 0).any() else ""
    return (
        f"{len(look.truth)} objects, {len(owned)} {what}{none}",
        f"by map, fine to coarse: {', '.join(str(n) for n in levels.tolist())}",
    )


def _anchor_lines(look: BoxLook) -> tuple[str, ...]:
    anchors = np.zeros((0, 4)) if look.anchors is None else look.anchors
    sizes = np.unique(np.round(np.sqrt(np.prod(anchors[:, 2:] - anchors[:, :2], axis=1)), 1))
    return (f"{len(anchors)} of them, about {', '.join(f'{s:.0f}' for s in sizes)} px in a square",)


def _proposal_lines(look: BoxLook) -> tuple[str, ...]:
    found = look.proposals
    if found is None or not len(found):
        return ("none",)
    sure = f"{len(found)} shown, sureness {found.scores[0]:.2f} to {found.scores[-1]:.2f}"
    if look.truth is None:
        return (sure,)
    return sure, f"reach {int(reached(look).sum())} of {len(look.truth)} objects"


def _reach_words(looks: Sequence[BoxLook]) -> Words:
    known = [reached(look) for look in looks if look.proposals is not None and look.truth is not None]
    total = sum(len(one) for one in known)
    if not total:
        return ()
    hit = int(sum(one.sum() for one in known))
    return (
        (f"The first stage suspects {hit} of {total} objects.",
         "With an overlap of half or more among its 100 surest boxes; what it misses, the second stage never sees."),
    )  # fmt: skip


def _removed_lines(look: BoxLook) -> tuple[str, ...]:
    return (f"{len(look.kept)} kept, {len(look.removed.by)} removed",)


def _table(looks: Sequence[BoxLook], classes: Sequence[str]) -> Table:
    rows = []
    for look in looks:
        removed, name = look.removed, short(look.key.rsplit("/", 1)[-1], 30)
        for i, (by, iou) in enumerate(zip(removed.by.tolist(), removed.iou.tolist(), strict=True)):
            label = short(classes[int(removed.found.labels[i])], 18)
            score, surer = float(removed.found.scores[i]), float(look.kept.scores[by])
            rows.append((name, f"{label} {score:.2f}", f"{label} {surer:.2f}", f"{iou:.2f}", score))
    surest = sorted(rows, key=lambda row: -row[-1])[:MOST_ROWS]
    note = f"the {len(surest)} surest of {count(len(rows))}"
    header = ("Picture", "Removed", "For the surer box", "IoU")
    return Table("Removed by suppression, and why", header, tuple(row[:4] for row in surest), numeric=(3,), note=note)
