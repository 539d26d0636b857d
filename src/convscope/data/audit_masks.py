"""Findings about masks: unreadable ones, classes that are rare or absent, empty masks, void; and groups torn apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from convscope.data.audit_copies import MOST_SHOWN
from convscope.data.dicom_frames import FramesSource
from convscope.data.naming import shown, some
from convscope.data.slices import SlicesSource
from convscope.errors import DataError
from convscope.records.audit import Finding
from convscope.records.masks import VOID
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples

_RARE = 0.01  # of all pixels


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """What a pass over the masks found.

    Attributes:
        pixels: (n, k + 1) int64 pixels of each class, and of void, in each mask; zeros for an unreadable one.
        reasons: index -> why a mask can't be read.
    """

    pixels: np.ndarray
    reasons: dict[int, str]


def collect_masks(samples: Samples, *, progress: Progress = silent, workers: int | None = None) -> MaskFacts:
    """Read every mask once, in threads; none is kept."""
    k, n = len(samples.classes), len(samples)
    pixels, reasons = np.zeros((n, k + 1), np.int64), {}
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for i, found in enumerate(pool.map(lambda i: _counted(samples, i), range(n))):
            if isinstance(found, str):
                reasons[i] = found
            else:
                pixels[i] = found
            progress("scan masks", i + 1, n)
    return MaskFacts(pixels, reasons)


def _counted(samples: Samples, index: int) -> np.ndarray | str:
    k = len(samples.classes)
    try:
        mask = samples.truth[index].read() if samples.truth is not None else np.zeros((0, 0), np.uint8)
    except DataError as error:
        return str(error)
    counts = np.bincount(mask.ravel(), minlength=256)
    return np.append(counts[:k], counts[VOID])


def mask_counts(samples: Samples, facts: MaskFacts) -> dict[str, int]:
    """Pictures that hold each class, largest first."""
    held = (facts.pixels[:, :-1] > 0).sum(axis=0)
    return dict(sorted(zip(samples.classes, held.astype(int).tolist()), key=lambda pair: -pair[1]))


def mask_findings(samples: Samples, facts: MaskFacts) -> list[Finding]:
    """All findings about masks."""
    found = [_unreadable(samples, facts), _absent(samples, facts), _rare(samples, facts), _empty(samples, facts)]
    return [f for f in (*found, _void(samples, facts)) if f is not None]


def _keys(samples: Samples, indices: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    return tuple((samples.pictures.keys[i],) for i in indices[:MOST_SHOWN])


def _unreadable(samples: Samples, facts: MaskFacts) -> Finding | None:
    if not facts.reasons:
        return None
    first = "; ".join(shown(reason) for reason in list(facts.reasons.values())[:3])
    keys = _keys(samples, list(facts.reasons))
    what = f"{len(facts.reasons)} masks can't be read. {first}."
    return Finding("unreadable-masks", "Unreadable masks", "must fix", len(facts.reasons), what, "stops there", keys)


def _absent(samples: Samples, facts: MaskFacts) -> Finding | None:
    empty = [c for c, n in zip(samples.classes, facts.pixels[:, :-1].sum(axis=0)) if n == 0]
    if not empty:
        return None
    what = f"No pixel of {some(empty)} in any mask: it can be neither learnt nor scored."
    return Finding("absent-class", "Classes without a pixel", "look", len(empty), what, "keeps the class all the same")


def _rare(samples: Samples, facts: MaskFacts) -> Finding | None:
    total = facts.pixels[:, :-1].sum(axis=0)
    share = total / max(1, total.sum())
    rare = [(name, s) for name, s in zip(samples.classes, share) if 0 < s < _RARE]
    if not rare:
        return None
    words = ", ".join(f"{shown(name)} {100 * s:.2g} %" for name, s in sorted(rare, key=lambda p: p[1])[:5])
    what = f"Less than {100 * _RARE:g} % of all pixels: {words}. Pixel accuracy means nothing here; look at Dice."
    does = "reports Dice; Dice and Tversky losses are options of the plan"
    return Finding("rare-class", "Classes of few pixels", "look", len(rare), what, does, (), dict(rare))


def _empty(samples: Samples, facts: MaskFacts) -> Finding | None:
    only_background = (facts.pixels[:, 1:-1].sum(axis=1) == 0) & (facts.pixels.sum(axis=1) > 0)
    places = np.flatnonzero(only_background).tolist()
    if not places or len(samples.classes) < 2:
        return None
    what = f"{len(places)} of {len(samples)} masks hold nothing but {shown(samples.classes[0])}."
    does = "trains on them; such pictures have no Dice and are left out of its mean"
    return Finding("empty-masks", "Empty masks", "note", len(places), what, does, _keys(samples, places))


def _void(samples: Samples, facts: MaskFacts) -> Finding | None:
    void, whole = int(facts.pixels[:, -1].sum()), int(facts.pixels.sum())
    if not void:
        return None
    pictures = int((facts.pixels[:, -1] > 0).sum())
    what = f"{100 * void / whole:.2g} % of all pixels are void, in {pictures} masks."
    return Finding("void", "Void pixels", "note", pictures, what, "counts them in no loss and in no score")


def group_findings(samples: Samples, side: Sequence[str] | None) -> list[Finding]:
    """Patients, studies or other groups that stand on two sides of a split."""
    if samples.groups is None or side is None:
        return []
    sides: dict[str, set[str]] = {}
    for name, part in zip(samples.groups, side):
        sides.setdefault(name, set()).add(part)
    torn = [name for name, parts in sides.items() if len(parts) > 1]
    if not torn:
        return []
    word = "patient" if is_medical(samples) else "group"
    touched = [i for i, name in enumerate(samples.groups) if name in set(torn)]
    what = (
        f"{len(torn)} of {len(sides)} {word}s stand on two sides of the split ({some(torn)}): "
        "the score would be of pictures that were nearly learnt by heart."
    )
    does = "keeps the split as the data says; move each one to one side, or let convscope split"
    keys = tuple(tuple(samples.pictures.keys[i] for i in touched if samples.groups[i] == name)[:8] for name in torn)
    return [Finding("group-leak", f"A {word} on both sides", "must fix", len(touched), what, does, keys[:MOST_SHOWN])]


def is_medical(samples: Samples) -> bool:
    """Whether pictures come from DICOM, NIfTI or NRRD and are shown as study ids."""
    return isinstance(samples.pictures, FramesSource | SlicesSource)


def mask_summary(n: int, counts: dict[str, int], findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """The scan in plain words."""
    if n == 0:
        return (("Not usable.", "No picture could be read."),)
    urgent = [f for f in findings if f.urgency == "must fix"]
    held = ", ".join(f"{shown(name)} in {count}" for name, count in list(counts.items())[:6])
    usable = (
        ("Usable.", "Nothing has to be fixed before training.")
        if not urgent
        else (f"Usable after {len(urgent)} fixes.", " ".join(f"{f.title}: {f.what}" for f in urgent))
    )
    return (usable, (f"{n} pictures with masks, {len(counts)} classes.", f"{held}."))
