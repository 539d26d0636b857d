"""Chapters on explanations as such: what the judge says of them, a surveyed data set, grown pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.draw.numbers import percent, three
from convscope.draw.overlay import overlay
from convscope.draw.removal import removal_figure
from convscope.draw.tiles import picture_tile
from convscope.records.figure import Figure
from convscope.records.judgement import ALIKE, MEASURES, RANDOM, Judgement, Measured, Sanity
from convscope.records.provenance import Provenance
from convscope.records.report import Block, Section, Sheet, Table, Tile, Tone, Words

TILE_PX = 128
SHARES = ("confidence drop", "confidence gain", "energy inside", "pointing game")


def judgement_section(judgement: Judgement, *, note: str = "") -> Section:
    """The judge's table, its two curves, the sanity checks and the agreement of methods.

    Args:
        judgement: what the judge found.
        note: small words: how many pictures, of what.
    """
    blocks: list[Block] = [_measures_table(judgement)]
    if judgement.sanity or judgement.labels:
        blocks.append(_sanity_table(judgement))
    blocks += _curves(judgement)
    if len(judgement.methods) > 2:
        blocks.append(_agreement_table(judgement))
    return Section("judge", "Can the explanations be believed?", note, judged_words(judgement), tuple(blocks))


def judged_words(judgement: Judgement) -> Words:
    """What the judge says in all, then method by method, and how to read the table."""
    first = [s for s in judgement.words if not _about(s, judgement.methods)]
    pairs = [(sentence, "") for sentence in first]
    for name in judgement.methods:
        said = [s.removeprefix(f"{name} ") for s in judgement.words if _about(s, (name,))]
        if said:
            pairs.append((name, " ".join(f"{s[0].upper()}{s[1:]}" for s in said)))
    how = "Each number is a mean over the pictures with its 95 % interval; a random map is judged beside the methods."
    if "energy inside" not in judgement.measures:
        how += (
            " Whether the heat lies on the object is not measured: that takes masks or boxes "
            "(convscope judge RUN PICTURES --masks FOLDER)."
        )
    return (*pairs, ("How to read the table.", how))


def _about(sentence: str, methods: Sequence[str]) -> bool:
    return any(sentence.startswith(f"{name} ") for name in methods)


def _cell(name: str, found: Measured | None) -> str:
    if found is None:
        return "–"
    say = percent if name in SHARES else three
    return f"{say(found.value)} ({say(found.low)} to {say(found.high)})"


def _measures_table(judgement: Judgement) -> Table:
    heads = tuple(f"{m} {'↑' if MEASURES[m][0] else '↓'}" for m in judgement.measures)
    rows = tuple((m, *(_cell(k, judgement.table[m].get(k)) for k in judgement.measures)) for m in judgement.methods)
    said = "; ".join(f"{m}: {MEASURES[m][1]}" for m in judgement.measures)
    note = f"best first; ↑ more is better, ↓ less is better. {said}"
    return Table("Methods, judged", ("method", *heads), rows, tuple(range(1, len(heads) + 1)), note=note)


def _verdict(check: Sanity | None) -> str:
    if check is None:
        return "not checked"
    return f"{'passed' if check.passed else 'failed'}, mean likeness {_likeness(check.mean)}"


def _likeness(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _sanity_table(judgement: Judgement) -> Table:
    names = [m for m in judgement.methods if m in judgement.sanity or m in judgement.labels]
    rows, tones = [], []
    for name in names:
        weights, labels = judgement.sanity.get(name), judgement.labels.get(name)
        steps = " → ".join(_likeness(v) for v in weights.likeness) if weights else "–"
        checks = [c for c in (weights, labels) if c is not None]
        good = all(c.passed for c in checks)
        rows.append((name, steps, _verdict(weights), _verdict(labels), "believable" if good else "not believable"))
        tone: Tone = "fine" if good else "must fix"
        tones.append(tone)
    note = (
        "rank correlation with the heat of the trained network after more and more layers are drawn anew, from the "
        f"last to the first; its mean and its last value must be below {ALIKE:g}"
    )
    head = ("method", "likeness, layer by layer", "random weights", "shuffled labels", "its heat is")
    return Table("Does the heat depend on what was learned?", head, tuple(rows), tones=tuple(tones), note=note)


def _curves(judgement: Judgement) -> list[Figure]:
    names = [m for m in judgement.methods if m in judgement.curves]
    if not names:
        return []
    told = {
        "insertion": "Warmest pixels are shown first over a blurred picture; a steep rise is good.",
        "deletion": "Warmest pixels are blacked out first; a steep fall is good.",
    }
    return [
        removal_figure(kind.capitalize(), {m: judgement.curves[m][kind] for m in names}, grey=RANDOM, caption=caption)
        for kind, caption in told.items()
    ]


def _agreement_table(judgement: Judgement) -> Table:
    rows = tuple((name, *(three(float(v)) for v in judgement.alike[i])) for i, name in enumerate(judgement.methods))
    note = "mean rank correlation of the heat of two methods on the same pictures, −1 to 1"
    head = ("method", *judgement.methods)
    return Table("Do the methods agree?", head, rows, tuple(range(1, len(head))), note=note)


def methods_section(
    heats: Mapping[str, np.ndarray],
    pictures: Sequence[np.ndarray],
    labels: Sequence[str],
    *,
    signed: Mapping[str, bool],
    most: int = 6,
    provenance: Provenance | None = None,
) -> Section:
    """The heat of every method over the same pictures, one strip per picture.

    Args:
        heats: method -> (n, h, w).
        pictures: in the network frame, (h, w, 1 or 3) in 0..255.
        labels: their names.
        signed: method -> whether its heat has a sign.
        most: pictures shown.
        provenance: said below.
    """
    sheets = []
    for i, picture in enumerate(pictures[:most]):
        name = labels[i].rsplit("/", 1)[-1]
        tiles = [picture_tile(picture, f"{name} as the network sees it", head="the picture", longest_px=TILE_PX)]
        for method, heat in heats.items():
            has_sign = signed.get(method, False)
            over = overlay(picture, heat[i], signed=has_sign, limit=_limit(heat[i]))
            alt = f"{method} on {name}"
            lines = ("red for, blue against",) if has_sign else ("yellow is warm",)
            tiles.append(picture_tile(over, alt, head=method, lines=lines, longest_px=TILE_PX))
        is_last = i == min(most, len(pictures)) - 1
        caption = provenance.line() if provenance and is_last else ""
        sheets.append(Sheet(name, tuple(tiles), caption=caption, is_strip=True))
    note = f"{min(most, len(pictures))} of {len(pictures)} pictures, heat at 50 % over grey"
    return Section("methods", "The same pictures, method by method", note, (), tuple(sheets))


def _limit(heat: np.ndarray) -> float | None:
    """A value per pixel ends its colours at 99 % of the pixels, since a few of them outshine all others."""
    return float(np.quantile(np.abs(heat), 0.99)) or None if heat.size > 2500 else None


def grown_section(
    pictures: Sequence[np.ndarray], words: Sequence[str], *, history: np.ndarray, how: str, title: str = ""
) -> Section:
    """Pictures that were grown for a unit, a channel or a class.

    Args:
        pictures: (h, w, 1 or 3) in 0..255.
        words: what each is for.
        history: (steps, n) objective at each step.
        how: small words: steps, holding, changes.
        title: heading; empty for the usual one.
    """
    tiles: list[Tile] = []
    for i, (picture, said) in enumerate(zip(pictures, words)):
        start, end = three(float(history[0, i])), three(float(history[-1, i]))
        alt = f"picture grown for {said}: objective from {start} to {end}"
        tiles.append(picture_tile(picture, alt, head=said, lines=(f"{start} → {end}",), longest_px=TILE_PX))
    told: Words = (
        ("What it would like to see.", "Each picture was changed step by step so that the objective named rises."),
        ("A picture, not a proof.", "It is one of many pictures that fire the unit; look at real ones beside it."),
    )
    sheet = Sheet("Grown pictures", tuple(tiles), "objective from the first to the last step", how)
    return Section("grown", title or "What does it want to see?", f"{len(tiles)} pictures", told, (sheet,))
