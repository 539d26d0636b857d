"""Chapters that look inside: feature maps, filters, heat maps, and the same pictures epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convscope.draw.numbers import percent, signed, three
from convscope.draw.overlay import overlay
from convscope.draw.tiles import filter_tiles, map_tiles, picture_tile
from convscope.errors import DataError
from convscope.records.attribution import Attribution
from convscope.records.card import Card
from convscope.records.features import FeatureMaps, Filters
from convscope.records.report import Facts, Report, ScaleBar, Section, Sheet, Tile, Words

OVERLAY_PX = 168


def _check(pictures: Sequence[np.ndarray], n: int, what: str) -> None:
    if len(pictures) != n:
        raise DataError(f"expected one picture for each of the {n} {what}, got {len(pictures)}")


def look_report(card: Card, words: Words, sections: Sequence[Section]) -> Report:
    """The page of `convscope look`: what network it is, and the chapters on the inside."""
    listed = ", ".join(card.classes) if len(card.classes) <= 12 else str(len(card.classes))
    facts = (Facts("Network", (("network", card.network), ("classes", listed))),)
    return Report(
        title="look inside", subtitle=card.network, words=words, facts=facts, sections=tuple(sections),
        provenance=card.provenance,
    )  # fmt: skip


def maps_section(
    features: Sequence[FeatureMaps], pictures: Sequence[np.ndarray], *, top: int = 11, words: Words = ()
) -> Section:
    """The maps that mattered most, picture by picture, from the first layer to the last.

    Args:
        features: one per layer, all of the same pictures in the same order.
        pictures: these pictures in the network frame, (h, w, 1 or 3) in 0..255.
        top: maps per picture and layer.
        words: what stands above them; () for those on maps ranked by relevance.
    """
    sheets: list[Sheet] = []
    for f in features:
        _check(pictures, len(f.maps), "pictures of the maps")
    for i, picture in enumerate(pictures if features else ()):
        label = features[0].labels[i]
        seen = picture_tile(picture, f"{label} as the network sees it", head="the picture", lines=("as it goes in",))
        sheets += [replace(s, tiles=(seen, *s.tiles)) for s in (map_tiles(f, i, top=top) for f in features)]
    words = words or (
        ("Each map is one channel.", "Bright means: here this channel found what it looks for."),
        (
            "Signs are for and against.",
            "The number is the sum of gradient × activation: how much the channel moved the score of the class named.",
        ),
        ("A picture, not a proof.", "Maps show where a channel answers, not what it means; check several pictures."),
    )
    note = f"{len(pictures)} pictures, {len(features)} layers, {top} maps each"
    return Section("maps", "Feature maps", note, words, tuple(sheets))


def filters_section(filters: Filters, *, top: int = 32) -> Section:
    """The kernels of one layer, usually the first."""
    dead = int(np.sum(filters.norms < 1e-6 * max(float(filters.norms.max()), 1e-30)))
    detail = f"{dead} of {len(filters.norms)} have no weight left." if dead else "None of them is empty."
    words: Words = (
        ("What the first look consists of.", "Edges, colour contrasts and spots are what trained first layers show."),
        (detail, "Noise without any pattern means: not trained, or trained too little."),
    )
    sheet = filter_tiles(filters, top=top)
    return Section("filters", "Filters", filters.layer, words, (sheet,))


def attribution_section(
    attribution: Attribution, pictures: Sequence[np.ndarray], *, says: Sequence[str] = ()
) -> Section:
    """Heat maps over their pictures, each beside the picture itself.

    Args:
        attribution: heat maps in the network frame.
        pictures: the same pictures in the network frame, (h, w, 1 or 3) in 0..255.
        says: small words per picture ("says crack, truth crack").
    """
    _check(pictures, len(attribution.heat), "heat maps")
    tiles: list[Tile] = []
    for i, picture in enumerate(pictures):
        tiles += _picture_and_heat(attribution, i, picture, says[i] if i < len(says) else "")
    rows, columns = attribution.heat.shape[1:]
    kind, low = ("diverging", "−max") if attribution.signed else ("viridis", "0")
    where = f"layer {', '.join(attribution.layers)} ({rows}×{columns})" if attribution.layers else f"{rows}×{columns}"
    told = (attribution.method, where, attribution.layer_reason, attribution.provenance.line())
    sheet = Sheet(
        "Picture and heat",
        tuple(tiles),
        "heat at 50 % over grey",
        " · ".join(t for t in told if t),
        ScaleBar(kind, low, "max", "of each picture"),
        together=2,
    )
    words: Words = (
        (
            "Yellow is where the evidence lies." if not attribution.signed else "Red is for, blue is against.",
            "Heat says which places moved the score of the class named. Compare places, not strengths: "
            "each picture has its own scale.",
        ),
        ("Check the border.", "Heat on frames, print or background means that it learnt the wrong thing."),
    )
    return Section("attribution", "Where it looks", attribution.method, words, (sheet,))


def _picture_and_heat(attribution: Attribution, i: int, picture: np.ndarray, says: str) -> list[Tile]:
    heat, target, label = attribution.heat[i], attribution.targets[i], attribution.labels[i]
    name = label.rsplit("/", 1)[-1]
    row, column = divmod(int(np.argmax(heat)), heat.shape[1])
    least = signed(float(heat.min())) if attribution.signed else "0"
    lines = (f"{target.kind} {three(float(attribution.scores[i]))}", f"heat {least} to {three(float(heat.max()))}")
    place = f"row {row + 1} of {heat.shape[0]}, column {column + 1} of {heat.shape[1]}"
    alt = f"{attribution.method} for {target.label} on {name}: strongest in {place}"
    over = overlay(picture, heat, signed=attribution.signed)
    own = (says,) if says else ()
    return [
        picture_tile(picture, f"{label} as the network sees it", head=name, lines=own, longest_px=OVERLAY_PX),
        picture_tile(over, alt, head=f"for {target.label}", lines=lines, longest_px=OVERLAY_PX),
    ]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture at one epoch: `picture` uint8 (h, w, 3), usually with heat over it; what the network says of it."""

    epoch: int
    picture: np.ndarray
    says: str
    is_right: bool
    probability: float


@dataclass(frozen=True, eq=False)
class Film:
    """A fixed picture over the epochs: `label` its truth, `picture` itself, `frames` in order."""

    label: str
    picture: np.ndarray
    frames: tuple[Frame, ...]


def film_section(films: Sequence[Film], *, how: str = "") -> Section:
    """What the network looks at, epoch by epoch, on fixed pictures, so that only the network changes.

    Args:
        films: one strip each.
        how: small words: method, layer, rule ("Grad-CAM of the true class, layer relu4").
    """
    sheets = []
    for film in films:
        tiles = [picture_tile(film.picture, f"{film.label}, the picture itself", head="the picture", longest_px=96)]
        for f in film.frames:
            alt = f"{film.label} at epoch {f.epoch}: says {f.says}, {'right' if f.is_right else 'wrong'}"
            lines = (f"epoch {f.epoch}", f"p(truth) {percent(f.probability)}")
            head = f"says {f.says}" if f.is_right else f"✕ says {f.says}"
            tiles.append(
                picture_tile(f.picture, alt, head=head, lines=lines, tone="" if f.is_right else "wrong", longest_px=96)
            )
        sheets.append(Sheet(film.label, tuple(tiles), is_strip=True))
    caption: Words = (
        ("Only the network changes.", "Same pictures, same scale rule; the probability is that of the true class."),
    )
    return Section("film", "What it looks at, epoch by epoch", how, caption, tuple(sheets))
