"""The chapters of a surveyed data set: right for the wrong reason first, then group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.draw.colour import viridis
from convscope.draw.numbers import count, percent
from convscope.draw.overlay import overlay
from convscope.draw.png import png_bytes
from convscope.draw.tiles import picture_tile
from convscope.records.report import ScaleBar, Section, Sheet, Table, Tile, Tone, Words
from convscope.records.survey import Case, Group, Survey

TILE_PX = 144
MEAN_FACTOR = 8
MOST_ROWS = 200


def survey_sections(
    survey: Survey, shown: Mapping[str, tuple[np.ndarray, np.ndarray]], classes: Sequence[str]
) -> list[Section]:
    """Suspicious pictures, groups, and every picture in a table.

    Args:
        survey: what was found.
        shown: label -> (picture (h, w, 1 or 3) in 0..255, heat) of the pictures that are drawn.
        classes: names in index order.
    """
    marked = any(c.energy is not None for c in survey.cases)
    right = [c for c in survey.cases if c.is_right and c.label in shown]
    wrong = [c for c in survey.cases if not c.is_right and c.label in shown]
    words: Words = tuple((sentence, "") for sentence in survey.words)
    by = "probability × share of the heat off the object" if marked else "probability × share of the heat at the border"
    sections = []
    if right:
        sheet = _sheet("Right, most suspicious first", right, shown, classes, f"ranked by {by}")
        sections.append(Section("suspicious", "Right for the wrong reason?", survey.method, words, (sheet,)))
    if wrong:
        sheet = _sheet("Wrong, surest first", wrong, shown, classes, "where it looked when it was wrong")
        sections.append(Section("wrong", "Wrong answers", survey.method, () if right else words, (sheet,)))
    sections.append(_groups(survey, classes, marked))
    sections.append(_table(survey, classes, marked))
    return sections


def _class(index: int, classes: Sequence[str]) -> str:
    return classes[index] if index < len(classes) else f"class {index}"


def _sheet(
    title: str,
    cases: Sequence[Case],
    shown: Mapping[str, tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    note: str,
) -> Sheet:
    tiles = []
    for rank, case in enumerate(cases, start=1):
        picture, heat = shown[case.label]
        name = case.label.rsplit("/", 1)[-1]
        off = f"heat at the border {percent(case.border)}"
        if case.energy is not None:
            off = f"heat on the object {percent(case.energy)}"
        says = f"says {_class(case.says, classes)}, p {case.confidence:.2f}"
        truth = () if case.is_right else (f"truth {_class(case.truth, classes)}",)
        alt = f"{name}: {says}, {off}, rank {rank}"
        tiles.append(
            picture_tile(
                overlay(picture, heat), alt, head=name, lines=(says, *truth, off),
                tone="" if case.is_right else "wrong", longest_px=TILE_PX,
            )
        )  # fmt: skip
    return Sheet(
        title, tuple(tiles), note, "heat at 50 % over grey", ScaleBar("viridis", "0", "max", "of each picture")
    )


def _groups(survey: Survey, classes: Sequence[str], marked: bool) -> Section:
    tiles = [_mean_tile(group, classes) for group in survey.groups]
    bar = ScaleBar("viridis", "0", "1", "share of each picture's largest")
    where = "mean heat on a grid of 14 × 14, each picture scaled to 1 before"
    sheet = Sheet("Where it looks, on average", tuple(tiles), where, scale=bar)
    rows = tuple(
        (
            _class(g.truth, classes),
            "right" if g.is_right else "wrong",
            count(g.n),
            *((percent(g.energy) if g.energy is not None else "–",) if marked else ()),
        )
        for g in survey.groups
    )
    head = ("class", "answer", "pictures", *(("heat on the object",) if marked else ()))
    table = Table("By class and answer", head, rows, tuple(range(2, len(head))))
    told: Words = (
        ("A bright corner is a warning.", "Objects move about, prints and frames don't: heat that always lies in one "
         "place may follow the latter."),
    )  # fmt: skip
    return Section("groups", "Right and wrong, class by class", "", told, (sheet, table))


def _mean_tile(group: Group, classes: Sequence[str]) -> Tile:
    side = group.heat.shape[0] * MEAN_FACTOR
    name = _class(group.truth, classes)
    answer = "right" if group.is_right else "wrong"
    image = png_bytes(viridis(group.heat, 0.0, 1.0))
    alt = f"mean heat of {group.n} pictures of {name} that were {answer}"
    tone: Tone = "" if group.is_right else "wrong"
    lines = (f"{count(group.n)} {answer}",)
    return Tile(image, "png", side, side, alt, head=name, lines=lines, tone=tone, is_pixelated=True)


def _table(survey: Survey, classes: Sequence[str], marked: bool) -> Section:
    rows = tuple(
        (
            c.label,
            _class(c.truth, classes),
            _class(c.says, classes),
            percent(c.confidence),
            percent(c.border),
            *((percent(c.energy or 0.0), "yes" if c.hit else "no") if marked else ()),
        )
        for c in survey.cases[:MOST_ROWS]
    )
    head = ("picture", "truth", "says", "probability", "heat at the border")
    head = (*head, *(("heat on the object", "warmest place on it") if marked else ()))
    left = len(survey.cases) - len(rows)
    note = f"the first {count(len(rows))} of {count(len(survey.cases))}; all of them in survey.json" if left else ""
    table = Table("Every picture, in the order of the survey", head, rows, (3, 4, 5), note=note)
    return Section("pictures", "All pictures", "", (), (table,))
