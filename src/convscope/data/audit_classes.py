"""Findings about the classes: balance, too few pictures, names that look alike, classes that a part lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.data.naming import look_alikes, shown, some
from convscope.records.audit import Finding, Urgency
from convscope.records.samples import Samples

_UNEVEN = 3.0
_FEW = 20


def class_counts(samples: Samples, among: Sequence[int]) -> dict[str, int]:
    """Pictures per class among the given indices, largest first; empty for numbers and without truth."""
    if samples.truth is None or samples.task == "regress":
        return {}
    rows = samples.truth[np.asarray(among, np.int64)]
    counts = np.bincount(rows, minlength=len(samples.classes)) if rows.ndim == 1 else rows.sum(axis=0)
    pairs = sorted(zip(samples.classes, counts.astype(int).tolist()), key=lambda pair: -pair[1])
    return dict(pairs)


def class_findings(samples: Samples, counts: dict[str, int], side: Sequence[str] | None) -> list[Finding]:
    """All findings of this module; `counts` as `class_counts` gives them."""
    if not counts:
        return []
    found = [_lone(counts), _few(counts), _uneven(samples, counts), _names(samples)]
    if side is not None:
        found += [_lacking(samples, side, part) for part in ("train", "val", "test")]
    return [f for f in found if f is not None]


def _lone(counts: dict[str, int]) -> Finding | None:
    lone = [name for name, count in counts.items() if count < 2]
    if not lone:
        return None
    what = f"Fewer than two readable pictures of {some(lone)}: no split can hold it on both sides."
    return Finding(
        "lone-class", "A class with one picture", "must fix", len(lone), what, "does not train; add pictures"
    )


def _few(counts: dict[str, int]) -> Finding | None:
    few = {name: count for name, count in counts.items() if 2 <= count < _FEW}
    if not few:
        return None
    words = ", ".join(f"{shown(name)} {count}" for name, count in list(few.items())[-5:])
    what = f"Fewer than {_FEW} pictures of a class: {words}. Scores of such classes have wide intervals."
    return Finding("few-pictures", "Classes with few pictures", "look", sum(few.values()), what, "trains all the same")


def _uneven(samples: Samples, counts: dict[str, int]) -> Finding | None:
    if samples.task != "classify" or min(counts.values()) < 1:
        return None
    ratio = max(counts.values()) / min(counts.values())
    if ratio < _UNEVEN:
        return None
    most, least = next(iter(counts)), list(counts)[-1]
    total = sum(counts.values())
    what = (
        f"{ratio:.1f} to 1: {shown(most)} {counts[most]}, {shown(least)} {counts[least]}. "
        f"Always saying {shown(most)} is right {100 * counts[most] / total:.1f} % of the time."
    )
    does = "reports balanced accuracy; class weights are an option of the plan"
    return Finding("imbalance", "Uneven classes", "look", total, what, does, (), {"ratio": ratio})


def _names(samples: Samples) -> Finding | None:
    groups = look_alikes(samples.classes)
    if not groups:
        return None
    what = "; ".join(" and ".join(repr(shown(n)) for n in group) for group in groups[:5])
    what = f"{what}: names that differ only in case, blanks or look-alike letters. Probably one class."
    count = sum(len(g) for g in groups)
    return Finding("class-names", "Class names that look alike", "look", count, what, "keeps them apart; rename one")


def _lacking(samples: Samples, side: Sequence[str], part: str) -> Finding | None:
    inside = [i for i, s in enumerate(side) if s == part]
    if not inside:
        return None
    lacking = [name for name, count in class_counts(samples, inside).items() if count == 0]
    if not lacking:
        return None
    what = f"No {some(lacking)} in {part}."
    does = "can't learn it" if part == "train" else "can't score it"
    urgency: Urgency = "must fix" if part == "train" else "look"
    return Finding(f"lacking-{part}", f"A class missing from {part}", urgency, len(lacking), what, does)
