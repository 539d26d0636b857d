"""Chapters on masks: scores by class and case, the worst cases with both outlines, strips through volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.draw.bars import interval_figure
from convscope.draw.contours import mask_colours, mask_overlay
from convscope.draw.numbers import count, counted, percent, short
from convscope.draw.png import png_bytes, shrink
from convscope.draw.reliability import reliability_figure
from convscope.metrics.segment_cases import CaseNumbers
from convscope.records.masks import Segmentations
from convscope.records.prediction import Scores
from convscope.records.report import Section, Sheet, Table, Tile, Words
from convscope.reporting.words import interval_words, metric_words, value_words

NOT_A_DEVICE = (
    "Not a medical device.",
    "These numbers describe one data set. Nothing here is made or tested for diagnosis or treatment.",
)
OVERLAY_PX = 232
_TABLE_NOTE = (
    "means over the cases that hold the class; HD 95: Hausdorff distance, 95th percentile; "
    "ASD: mean distance of surfaces; false: cases in which it was marked though it is not there"
)
_RULE = (
    "A class that the truth of a case does not hold is left out of its means; one that is marked nowhere has Dice 0, "
    "counts as missed, and has no distance."
)
_SHORT = {
    "hausdorff_95_mm": "HD 95, mm", "hausdorff_95_px": "HD 95, px",
    "surface_distance_mm": "ASD, mm", "surface_distance_px": "ASD, px",
    "sensitivity": "Sens.", "specificity": "Spec.",
}  # fmt: skip
_BARS = ("dice", "iou", "sensitivity", "specificity")


def segment_scores_section(
    scores: Scores, cases: Sequence[CaseNumbers], *, is_medical: bool, which: str = "", name: str = "scores"
) -> Section:
    """Headline, intervals over cases, the table by class and the table by case.

    Args:
        scores: what `score_cases` gave.
        cases: what it was given.
        is_medical: adds the sentence that this is no medical device.
        which: which pictures these are ("that training never saw"); "" claims nothing.
        name: anchor of the section.
    """
    shares = [(metric_words(n), scores.values[n]) for n in _BARS if n in scores.values]
    caption = "Means over cases of the mean over classes without background. Bars: 95 % intervals, cases resampled."
    sure = "Over pixels. Bars: how many pixels are that sure; most lie far from any border, where all is easy."
    blocks = (
        interval_figure("Overlap", shares, caption=caption),
        *((reliability_figure(scores.reliability, caption=sure, unit="pixels"),) if scores.reliability else ()),
        _values_table(scores),
        _class_table(scores),
        case_table(cases, scores.classes),
    )
    words = (
        _headline(scores, len(cases), which),
        *_class_words(scores),
        *_sure_words(scores),
        ("How empty masks count.", _RULE),
    )
    return Section(name, "Scores", _extent(scores, len(cases)), (*words, *((NOT_A_DEVICE,) * is_medical)), blocks)


def _sure_words(scores: Scores) -> Words:
    """Whether probabilities of pixels mean what they say."""
    bins = scores.reliability
    if not bins:
        return ()
    share = np.asarray(bins["count"]) / np.sum(bins["count"])
    gaps = np.asarray(bins["confidence"]) - np.asarray(bins["accuracy"])
    error, lean = float(np.sum(share * np.abs(gaps))), float(np.sum(share * gaps))
    way = "too sure" if lean > 0 else "too modest"
    return (("How sure, how right.", f"Over all pixels it is off by {percent(error)}, on the whole {way}."),)


def _extent(scores: Scores, cases: int) -> str:
    return f"{counted(scores.n, 'picture')}, {counted(cases, 'case')}"


def _headline(scores: Scores, cases: int, which: str) -> tuple[str, str]:
    dice = scores.values["dice"]
    interval = f" 95 % interval {interval_words('dice', dice)}." if dice.low is not None else " One case: no interval."
    guess = "" if scores.majority is None else f" The best constant answer has {percent(scores.majority)}."
    detail = f"On {_extent(scores, cases)}{' ' * bool(which)}{which}.{interval}{guess}"
    return f"Dice {percent(dice.value)}.", detail


def _class_words(scores: Scores) -> Words:
    found = {c: row["dice"] for c, row in scores.per_class.items() if "dice" in row and c != scores.classes[0]}
    if len(found) < 2:
        return ()
    worst = min(found, key=lambda c: found[c])
    row = scores.per_class[worst]
    missed = f" Missed altogether in {count(int(row['missed']))} of {counted(int(row['support']), 'case')}."
    return ((f"Hardest class: {worst}.", f"Dice {percent(found[worst])}.{missed if row['missed'] else ''}"),)


def _values_table(scores: Scores) -> Table:
    rows = tuple(
        (metric_words(n), value_words(n, s.value), interval_words(n, s), counted(s.n, "case"))
        for n, s in scores.values.items()
    )
    return Table("All scores", ("Score", "Value", "95 % interval", "Over"), rows, numeric=(1, 2))


def _class_table(scores: Scores) -> Table:
    names = [n for n in scores.values if n != "missed_share"]
    counts = (("support", "Cases"), ("missed", "Missed"), ("false_alarms", "False"))
    rows = tuple(
        (
            c,
            *(value_words(n, row[n]) if n in row else "–" for n in names),
            *(count(int(row[n])) for n, _ in counts),
        )
        for c, row in scores.per_class.items()
    )
    header = ("Class", *(_SHORT.get(n) or metric_words(n) for n in names), *(title for _, title in counts))
    return Table("By class", header, rows, numeric=tuple(range(1, len(header))), note=_TABLE_NOTE)


def case_table(cases: Sequence[CaseNumbers], classes: tuple[str, ...], *, most: int = 50) -> Table:
    """Each case with the Dice of each class, worst first; at most `most` rows."""
    first = 1 if len(classes) > 1 else 0
    rows = []
    for case in cases:
        dice = case.ratio("dice")[first:]
        known = dice[np.isfinite(dice)]
        mean = float(known.mean()) if known.size else np.nan
        rows.append((mean, (short(case.name.rsplit("/", 1)[-1], 34), _cell(mean), *(_cell(d) for d in dice))))
    rows.sort(key=lambda r: (np.isnan(r[0]), r[0]))
    header = ("Case", "Dice", *classes[first:])
    shown = tuple(cells for _, cells in rows[:most])
    note = f"worst first, {len(shown)} of {len(rows)}" if len(rows) > most else "worst first"
    return Table("By case", header, shown, numeric=tuple(range(1, len(header))), note=note)


def _cell(value: float) -> str:
    return percent(float(value)) if np.isfinite(value) else "–"


def worst_masks(found: Segmentations, *, top: int = 8) -> list[int]:
    """Indices of the pictures with the lowest Dice over their classes, worst first; none without a marked truth."""
    scored = []
    for i, mask in enumerate(found.masks if found.truth is not None else ()):
        truth = found.truth[i].read() if found.truth is not None else mask
        dice = []
        for c in range(1, len(found.classes)):
            a, b = (mask == c) & (truth != 255), truth == c
            if b.any():
                dice.append(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
        if dice:
            scored.append((float(np.mean(dice)), i))
    return [i for _, i in sorted(scored)][:top]


def overlays_section(
    found: Segmentations, pictures: Mapping[str, np.ndarray], *, top: int = 8, indices: Sequence[int] | None = None
) -> Section:
    """The worst pictures: what was found, tinted and outlined, and the truth as a dashed line.

    Args:
        found: masks with truth.
        pictures: key -> (h, w, 1 or 3) in 0..255; those without a picture are passed over.
        top: how many.
        indices: these pictures instead of the worst.
    """
    chosen = worst_masks(found, top=top) if indices is None else list(indices)
    tiles = []
    for rank, i in enumerate(chosen, start=1):
        key = found.keys[i]
        if key not in pictures:
            continue
        truth = None if found.truth is None else found.truth[i].read()
        drawn = shrink(
            mask_overlay(pictures[key], found.masks[i], truth, classes=len(found.classes), longest_px=2 * OVERLAY_PX),
            2 * OVERLAY_PX,
        )
        scale = OVERLAY_PX / max(drawn.shape[:2])
        size = (max(1, round(drawn.shape[1] * scale)), max(1, round(drawn.shape[0] * scale)))
        alt = f"{key}: found regions outlined, true ones dashed"
        lines = _lines(found, i, truth)
        tiles.append(
            Tile(
                png_bytes(drawn), "png", *size, alt, short(key.rsplit("/", 1)[-1], 30), "", lines, "", False, str(rank)
            )
        )
    note = "solid colour: found; dashed white and black: true; hatched: void"
    sheet = Sheet("Worst first" if indices is None else "Masks", tuple(tiles), note=note, caption=_legend(found))
    words: Words = (("Where the outlines part.", "Look whether the truth or the network is wrong: both happen."),)
    return Section("masks", "Masks and contours", f"{len(tiles)} pictures", words, (sheet,) if tiles else ())


def _lines(found: Segmentations, index: int, truth: np.ndarray | None) -> tuple[str, ...]:
    if truth is None:
        return ()
    lines = []
    for c in range(1, len(found.classes)):
        a, b = (found.masks[index] == c) & (truth != 255), truth == c
        whole = np.count_nonzero(a) + np.count_nonzero(b)
        if whole:
            lines.append(f"{found.classes[c]} {percent(2 * np.count_nonzero(a & b) / whole)}")
    return tuple(lines[:4])


def _legend(found: Segmentations) -> str:
    names = {
        (0, 114, 178): "blue", (230, 159, 0): "orange", (0, 158, 115): "green", (204, 121, 167): "pink",
        (86, 180, 233): "sky blue", (213, 94, 0): "vermilion", (184, 169, 0): "yellow", (21, 24, 28): "black",
    }  # fmt: skip
    table = mask_colours(len(found.classes))
    parts = [f"{names.get(tuple(table[c].tolist()), 'grey')} {found.classes[c]}" for c in range(1, len(table))]
    return "Colours: " + ", ".join(parts[:8]) + ("; they repeat" if len(parts) > 8 else "") + ". Numbers: Dice."


def volume_section(strips: Mapping[str, Sequence[Sheet]], *, spacing: str = "") -> Section:
    """Strips through volumes, as `draw.volume.volume_strip` makes them.

    Args:
        strips: study id -> its three strips.
        spacing: voxel sizes in words.
    """
    blocks = tuple(
        Sheet(f"{name}, {sheet.title}", sheet.tiles, sheet.note, sheet.caption, sheet.scale, sheet.first, True)
        for name, sheets in strips.items()
        for sheet in sheets
    )
    words: Words = (
        ("Three ways through each volume.", f"Slices are shown in true proportions{spacing and ', ' + spacing}."),
        NOT_A_DEVICE,
    )
    return Section("volumes", "Volumes", "one volume" if len(strips) == 1 else f"{len(strips)} volumes", words, blocks)
