"""Findings about marked boxes: what can't be used, how large they are, doubles, classes with few, background."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convscope.arrays.boxes import box_areas, iou_matrix
from convscope.data.audit_copies import MOST_SHOWN, named
from convscope.data.naming import look_alikes, shown, some
from convscope.records.audit import Finding, Urgency
from convscope.records.boxes import Boxes
from convscope.records.samples import Samples, SetAside

_FEW = 20
_UNEVEN = 3.0
_DOUBLE = 0.9
_TINY_PX = 8.0
_COUNTED = 100  # boxes of one class and picture that COCO's scores count
_SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))


def is_box(aside: SetAside) -> bool:
    """Whether what was set aside is one box and not a whole picture or file."""
    return aside.reason.startswith(("a box", "a swapped box", "an empty box", "a line "))


def without_boxes(samples: Samples) -> Samples:
    """The same samples, of what was set aside only whole pictures and files."""
    return replace(samples, set_aside=tuple(s for s in samples.set_aside if not is_box(s)))


def all_boxes(samples: Samples, among: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((k, 4) xyxy float64, (k,) labels, (k,) picture index) of all boxes that are no crowd."""
    truth = samples.truth if samples.truth is not None else np.zeros(0, object)
    indices = range(len(truth)) if among is None else among
    chosen: list[tuple[int, Boxes]] = [(int(i), truth[int(i)]) for i in indices]
    xyxy = [np.zeros((0, 4)), *(b.xyxy[~b.is_crowd].astype(np.float64) for _, b in chosen)]
    labels = [np.zeros(0, np.int64), *(b.labels[~b.is_crowd] for _, b in chosen)]
    pictures = [np.zeros(0, np.int64), *(np.full(int((~b.is_crowd).sum()), i) for i, b in chosen)]
    return np.concatenate(xyxy), np.concatenate(labels), np.concatenate(pictures)


def box_counts(samples: Samples, among: Sequence[int] | None = None) -> dict[str, int]:
    """Boxes per class among the pictures of the given indices, largest first."""
    _, labels, _ = all_boxes(samples, among)
    counts = np.bincount(labels, minlength=len(samples.classes)).tolist()
    return dict(sorted(zip(samples.classes, counts), key=lambda pair: -pair[1]))


def box_findings(
    samples: Samples, counts: dict[str, int], side: Sequence[str] | None, network_hw: tuple[int, int] | None
) -> list[Finding]:
    """All findings of this module.

    Args:
        samples: of task detect.
        counts: as `box_counts` gives them.
        side: the part of each picture, or None.
        network_hw: the network's frame in pixels; boxes that would be smaller than 8 px in it are counted.
    """
    xyxy, labels, pictures = all_boxes(samples)
    found = [
        _set_aside(samples),
        _none(counts),
        _few(counts),
        _uneven(counts),
        _names(samples),
        _sizes(xyxy),
        _tiny(samples, xyxy, pictures, network_hw),
        _over_border(samples),
        _doubles(samples),
        _crowded(samples, labels, pictures),
        _crowd(samples),
        _background(samples),
    ]
    if side is not None:
        found += [_lacking(samples, side, part) for part in ("train", "val", "test")]
    return [f for f in found if f is not None]


def _set_aside(samples: Samples) -> Finding | None:
    left = [s for s in samples.set_aside if is_box(s)]
    if not left:
        return None
    kinds = Counter(s.reason.split(" (")[0] for s in left)
    words = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(6))
    first = "; ".join(f"{s.key}: {s.reason}" for s in left[:3])
    more = f"; and {len(left) - 3} more" if len(left) > 3 else ""
    does = "leaves these boxes out and keeps the others of the picture"
    reasons = {s.key: s.reason for s in left[:MOST_SHOWN]}
    return Finding("unusable-boxes", "Boxes that can't be used", "look", len(left), f"{words}. {first}{more}.", does,
                   tuple((s.key,) for s in left[:MOST_SHOWN]), reasons)  # fmt: skip


def _none(counts: dict[str, int]) -> Finding | None:
    lone = [name for name, count in counts.items() if count < 2]
    if not lone:
        return None
    what = f"Fewer than two boxes of {some(lone)}: no split can hold it on both sides."
    return Finding("lone-class", "A class with at most one box", "look", len(lone), what, "trains the other classes")


def _few(counts: dict[str, int]) -> Finding | None:
    few = {name: count for name, count in counts.items() if 2 <= count < _FEW}
    if not few:
        return None
    words = ", ".join(f"{shown(name)} {count}" for name, count in list(few.items())[-5:])
    what = f"Fewer than {_FEW} boxes of a class: {words}. Scores of such classes have wide intervals."
    return Finding("few-boxes", "Classes with few boxes", "look", sum(few.values()), what, "trains all the same")


def _uneven(counts: dict[str, int]) -> Finding | None:
    if len(counts) < 2 or min(counts.values()) < 1 or max(counts.values()) < _UNEVEN * min(counts.values()):
        return None
    (most, high), (least, low) = next(iter(counts.items())), list(counts.items())[-1]
    what = f"{high / low:.1f} to 1: {shown(most)} {high}, {shown(least)} {low}."
    does = "reports the average precision of each class, and their mean counts each class alike"
    return Finding("imbalance", "Uneven classes", "look", sum(counts.values()), what, does, (), {"ratio": high / low})


def _names(samples: Samples) -> Finding | None:
    groups = look_alikes(samples.classes)
    if not groups:
        return None
    what = "; ".join(" and ".join(repr(shown(n)) for n in group) for group in groups[:5])
    what = f"{what}: names that differ only in case, blanks or look-alike letters. Probably one class."
    count = sum(len(g) for g in groups)
    return Finding("class-names", "Class names that look alike", "look", count, what, "keeps them apart; rename one")


def _sizes(xyxy: np.ndarray) -> Finding | None:
    if not len(xyxy):
        return None
    sides, areas = xyxy[:, 2:] - xyxy[:, :2], box_areas(xyxy)
    counts = {name: int(((areas >= low) & (areas < high)).sum()) for name, low, high in _SIZES}
    wide, tall = np.median(sides, axis=0)
    least, largest = sides[areas.argmin()], sides[areas.argmax()]
    what = (
        f"{len(xyxy)} boxes, half of them smaller than {wide:.0f} × {tall:.0f} px; "
        f"from {least[0]:.0f} × {least[1]:.0f} to {largest[0]:.0f} × {largest[1]:.0f} px. "
        f"By COCO's sizes {counts['small']} small (below 32² px), {counts['medium']} medium, "
        f"{counts['large']} large (above 96² px)."
    )
    return Finding("box-sizes", "Sizes of the boxes", "note", len(xyxy), what, "scores each size apart", (), counts)


def _tiny(
    samples: Samples, xyxy: np.ndarray, pictures: np.ndarray, network_hw: tuple[int, int] | None
) -> Finding | None:
    if network_hw is None or not len(xyxy) or samples.truth is None:
        return None
    factor = np.array([min(network_hw[0] / b.picture_hw[0], network_hw[1] / b.picture_hw[1]) for b in samples.truth])
    shortest = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1) * factor[pictures]
    tiny = shortest < _TINY_PX
    if not tiny.any():
        return None
    frame = f"{network_hw[0]}×{network_hw[1]}"
    what = (
        f"{int(tiny.sum())} boxes are narrower than {_TINY_PX:.0f} px in the network's {frame} px, "
        f"the narrowest {shortest.min():.1f} px: one cell of the finest level is 8 px."
    )
    groups = named(samples, [[int(i)] for i in np.unique(pictures[tiny])])
    return Finding("tiny-boxes", "Tiny boxes", "look", int(tiny.sum()), what,
                   "trains on them; a larger input helps", groups)  # fmt: skip


def _over_border(samples: Samples) -> Finding | None:
    hits, worst = [], 0.0
    for i, boxes in enumerate(samples.truth if samples.truth is not None else ()):
        high, wide = boxes.picture_hw
        over = np.maximum(-boxes.xyxy[:, :2], boxes.xyxy[:, 2:] - np.array([wide, high])).max(axis=1, initial=0)
        if (over > 0.01).any():
            hits.append((i, int((over > 0.01).sum())))
            worst = max(worst, float(over.max()))
    if not hits:
        return None
    count = sum(n for _, n in hits)
    keys = [samples.pictures.keys[i] for i, _ in hits]
    what = f"{count} boxes reach over the border of their picture, by up to {worst:.1f} px: {some(keys)}."
    return Finding("over-border", "Boxes over the border", "note", count, what,
                   "cuts them at the border for training", named(samples, [[i] for i, _ in hits]))  # fmt: skip


def _doubles(samples: Samples) -> Finding | None:
    hits, count, crossed = [], 0, 0
    for i, boxes in enumerate(samples.truth if samples.truth is not None else ()):
        pairs = np.triu(iou_matrix(boxes.xyxy, boxes.xyxy) >= _DOUBLE, k=1)
        pairs &= ~(boxes.is_crowd[:, None] | boxes.is_crowd[None])
        if pairs.any():
            a, b = np.nonzero(pairs)
            hits.append(i)
            count += len(a)
            crossed += int((boxes.labels[a] != boxes.labels[b]).sum())
    if not hits:
        return None
    keys = [samples.pictures.keys[i] for i in hits]
    other = f", {crossed} of them under two classes" if crossed else ""
    what = f"{count} pairs of boxes lie on one another (overlap of {_DOUBLE:g} or more){other}: {some(keys)}."
    return Finding("double-boxes", "Boxes marked twice", "look", count, what,
                   "keeps both; a detector can match only one", named(samples, [[i] for i in hits]))  # fmt: skip


def _crowded(samples: Samples, labels: np.ndarray, pictures: np.ndarray) -> Finding | None:
    pairs = Counter(zip(pictures.tolist(), labels.tolist()))
    full = sorted({picture for (picture, _), n in pairs.items() if n > _COUNTED})
    if not full:
        return None
    what = f"More than {_COUNTED} boxes of one class in a picture; COCO's scores count at most {_COUNTED} found ones."
    return Finding("crowded", "Very full pictures", "look", len(full), what,
                   "scores them as COCO does", named(samples, [[i] for i in full]))  # fmt: skip


def _crowd(samples: Samples) -> Finding | None:
    truth = samples.truth if samples.truth is not None else ()
    count = sum(int(b.is_crowd.sum()) for b in truth)
    if not count:
        return None
    what = f"{count} boxes are marked as crowd or difficult."
    return Finding("crowd-boxes", "Crowds", "note", count, what, "neither trains on them nor counts them in scores")


def _background(samples: Samples) -> Finding | None:
    truth = samples.truth if samples.truth is not None else ()
    bare = [i for i, b in enumerate(truth) if not len(b)]
    if not bare:
        return None
    what = f"{len(bare)} pictures have no box: {some([samples.pictures.keys[i] for i in bare])}."
    groups = named(samples, [[i] for i in bare])
    return Finding("background", "Pictures without boxes", "note", len(bare), what, "keeps them as background", groups)


def _lacking(samples: Samples, side: Sequence[str], part: str) -> Finding | None:
    inside = [i for i, s in enumerate(side) if s == part]
    lacking = [name for name, count in box_counts(samples, inside).items() if count == 0] if inside else []
    if not lacking:
        return None
    does = "can't learn it" if part == "train" else "can't score it"
    urgency: Urgency = "must fix" if part == "train" else "look"
    what = f"No {some(lacking)} in {part}."
    return Finding(f"lacking-{part}", f"A class missing from {part}", urgency, len(lacking), what, does)


def box_summary(n: int, counts: dict[str, int], findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """Pairs of a bold sentence and its detail, as `audit_words.summarise` gives for other tasks."""
    if n == 0:
        return (("Not usable.", "No picture could be read."),)
    urgent = [f for f in findings if f.urgency == "must fix"]
    total = sum(counts.values())
    each = total / n
    first = ("Usable.", "Nothing has to be fixed before training.")
    if urgent:
        number = "one fix" if len(urgent) == 1 else f"{len(urgent)} fixes"
        first = (f"Usable after {number}.", " ".join(f"{f.title}: {f.what}" for f in urgent))
    classes = f"{len(counts)} classes" if len(counts) != 1 else "one class"
    detail = f"{each:.1f} boxes per picture on average; " + ", ".join(
        f"{shown(c)} {k}" for c, k in list(counts.items())[:8]
    )
    words = [first, (f"{n} pictures, {total} boxes, {classes}.", detail + ".")]
    bad = next((f for f in findings if f.kind == "unusable-boxes"), None)
    if bad is not None:
        words.append(("One box is left out." if bad.count == 1 else f"{bad.count} boxes are left out.", bad.what))
    return tuple(words)
