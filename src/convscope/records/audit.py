"""What `scan` found in a data set, by urgency."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Urgency = Literal["must fix", "look", "note"]

COUNTED_IN_BOXES = frozenset(
    {"unusable-boxes", "few-boxes", "imbalance", "box-sizes", "tiny-boxes", "over-border", "crowd-boxes"}
)  # kinds of findings of detection data whose `count` is of boxes


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: stable name ("identical-files", "near-duplicates", "shortcut-brightness", "unreadable", ...).
        title: a few words ("Identical files").
        urgency: "must fix", "look" or "note".
        count: how many pictures it touches (boxes for the kinds in `COUNTED_IN_BOXES` of detection data).
        what: one or two sentences: what was found.
        does: what convscope does about it ("keeps them on one side of the split").
        pictures: keys, or groups of keys, that show it; the first ones only, at most 200.
        facts: the numbers it rests on.
    """

    kind: str
    title: str
    urgency: Urgency
    count: int
    what: str
    does: str
    pictures: tuple[tuple[str, ...], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """A whole scan.

    Attributes:
        data: what was scanned, in words; `source` how it was read.
        n: readable pictures; bytes: their size on disk.
        classes: class name -> count, largest first (empty for regress).
        kinds: "JPEG, colour" -> count; extensions: ".jpg" -> count.
        sizes: per picture (height, width), in sample order; brightness: mean 0..255 per picture.
        truth: class index per picture where the task has classes, for coloured charts.
        findings: by urgency, then count.
        summary: plain words, each a (bold sentence, detail) pair.
        box_sizes: (height, width) in pixels of each marked box, and box_truth its class index; detect only, where
            `classes` counts boxes.
        unreadable: (index in sample order, reason) of each picture that can't be read.
    """

    data: str
    source: str
    task: str
    n: int
    bytes: int
    classes: dict[str, int]
    kinds: dict[str, int]
    extensions: dict[str, int]
    sizes: tuple[tuple[int, int], ...]
    brightness: tuple[float, ...]
    truth: tuple[int, ...]
    findings: tuple[Finding, ...]
    summary: tuple[tuple[str, str], ...]
    box_sizes: tuple[tuple[float, float], ...] = ()
    box_truth: tuple[int, ...] = ()
    unreadable: tuple[tuple[int, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)
