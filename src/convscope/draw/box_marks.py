"""Which boxes are drawn on a picture, in which colour and with which words; where labels find room.

Found boxes are solid, true ones dashed. A false alarm begins with × and says what is wrong, a missed object with
"missed": never colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.draw.colour import CLASS_COLOURS
from convscope.draw.numbers import short
from convscope.records.boxes import Boxes, Found

INK_ON_PICTURES = "#101418"  # pictures do not turn dark with the page, so the eighth colour is fixed here
LETTER_PX, LABEL_PX = 5.9, 14
_MANY = 24


@dataclass(frozen=True)
class Mark:
    """One box to draw.

    Attributes:
        xyxy: pixels of the drawing.
        colour: "#rrggbb".
        words: its label; "" for none.
        is_dashed: a true box.
        is_strong: a false alarm or a missed object, drawn thicker.
    """

    xyxy: tuple[float, float, float, float]
    colour: str
    words: str = ""
    is_dashed: bool = False
    is_strong: bool = False


@dataclass(frozen=True, eq=False)
class Shown:
    """What is known of one picture.

    Attributes:
        found: what the detector found, or None.
        truth: what is there, or None.
        kinds: for each found box "right" or the kind of its mistake (metrics/detect_errors), or () for unknown.
        missed: (k,) bool of each true box, or None for unknown.
        score_threshold: found boxes below it are not drawn.
    """

    found: Found | None = None
    truth: Boxes | None = None
    kinds: tuple[str, ...] = ()
    missed: np.ndarray | None = None
    score_threshold: float = 0.25


def box_colour(label: int) -> str:
    """The colour of a class on pictures; colours repeat after eight, labels tell classes apart."""
    colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
    return colour if colour.startswith("#") else INK_ON_PICTURES


def marks_of(shown: Shown, classes: Sequence[str], *, scale: float = 1.0) -> list[Mark]:
    """Boxes to draw, true ones first so that found ones lie above them.

    Args:
        shown: the boxes, in pixels of the whole picture.
        classes: names by index.
        scale: pixels of the drawing per pixel of the picture.
    """
    return [*_true_marks(shown, classes, scale), *_found_marks(shown, classes, scale)]


def _corners(xyxy: np.ndarray, scale: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(v) * scale for v in xyxy)
    return left, top, right, bottom


def _true_marks(shown: Shown, classes: Sequence[str], scale: float) -> list[Mark]:
    truth = shown.truth
    if truth is None:
        return []
    marks = []
    for i, label in enumerate(truth.labels.tolist()):
        is_missed = shown.missed is not None and bool(shown.missed[i])
        alone = shown.found is None
        words = f"missed {short(classes[label], 18)}" if is_missed else short(classes[label], 18) if alone else ""
        if bool(truth.is_crowd[i]):
            words = f"crowd of {short(classes[label], 18)}"
        marks.append(Mark(_corners(truth.xyxy[i], scale), box_colour(label), words, True, is_missed))
    return marks


def _found_marks(shown: Shown, classes: Sequence[str], scale: float) -> list[Mark]:
    found = shown.found
    if found is None:
        return []
    chosen = [i for i in np.argsort(found.scores, kind="stable").tolist() if found.scores[i] >= shown.score_threshold]
    marks = []
    for i in chosen:
        label, score = int(found.labels[i]), float(found.scores[i])
        kind = shown.kinds[i] if shown.kinds else ""
        is_wrong = kind not in ("", "right", "ignored")
        name = short(classes[label], 18 if len(chosen) <= _MANY else 8)
        words = f"× {name} {score:.2f} {kind}" if is_wrong else f"{name} {score:.2f}".strip()
        marks.append(Mark(_corners(found.xyxy[i], scale), box_colour(label), words, False, is_wrong))
    return marks


def label_width(mark: Mark) -> float:
    """Pixels that a label needs; the words of a mistake are bold."""
    return LETTER_PX * len(mark.words) * (1.08 if mark.is_strong else 1.0) + 6


def label_places(marks: Sequence[Mark], width: float, height: float) -> list[tuple[float, float] | None]:
    """Top left corner of each label, or None where it would cover another one: above its box, else inside or below.

    Mistakes are placed first, then the surest; a box without a label keeps its colour, and the legend says the rest.
    """
    places: list[tuple[float, float] | None] = [None] * len(marks)
    taken: list[tuple[float, float, float, float]] = []
    order = sorted(range(len(marks)), key=lambda i: (not marks[i].is_strong, -i))
    for i in order:
        if not marks[i].words:
            continue
        left, top, _, bottom = marks[i].xyxy
        wide = label_width(marks[i])
        x = min(max(left, 0.0), max(width - wide, 0.0))
        for y in (top - LABEL_PX, top + 1, bottom - LABEL_PX - 1, bottom):
            box = (x, y, x + wide, y + LABEL_PX)
            if y >= 0 and box[3] <= height and not any(_overlap(box, other) for other in taken):
                places[i] = (x, y)
                taken.append(box)
                break
    return places


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def told(shown: Shown, classes: Sequence[str]) -> str:
    """The boxes in words, for alternative text and captions ("found 3 RBC, 1 WBC; 2 missed")."""
    parts = []
    if shown.found is not None:
        labels = shown.found.labels[shown.found.scores >= shown.score_threshold]
        parts.append("found " + _counted(labels, classes))
    if shown.truth is not None:
        parts.append("there " + _counted(shown.truth.labels, classes))
    if shown.missed is not None:
        parts.append(f"{int(np.sum(shown.missed))} missed")
    return "; ".join(parts)


def _counted(labels: np.ndarray, classes: Sequence[str]) -> str:
    counts = [(int(np.sum(labels == c)), name) for c, name in enumerate(classes)]
    return ", ".join(f"{n} {name}" for n, name in counts if n) or "nothing"
