"""Sheets of small pictures with their words: feature maps, filters, photographs, overlays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from convscope.arrays.resize import reduce_mean
from convscope.draw.colour import diverging, viridis
from convscope.draw.numbers import NO_BREAK, signed, three
from convscope.draw.png import jpeg_bytes, png_bytes, shrink
from convscope.draw.sheet import sheet_figure
from convscope.errors import DataError
from convscope.records.features import FeatureMaps, Filters
from convscope.records.figure import Figure
from convscope.records.report import ScaleBar, Sheet, Tile, Tone

TILE_PX = 112
RANKED = {
    "relevance": "ranked by relevance, sum of gradient × activation",
    "activation": "ranked by mean absolute activation",
    "variance": "ranked by variance",
    "index": "in channel order",
}
MapScale = Literal["each map", "layer"]


def map_factor(height: int, width: int, *, tile_px: int = TILE_PX) -> int:
    """Whole factor from map values to screen pixels: positive enlarges, negative reduces (−2 = means of 2×2)."""
    largest = max(height, width)
    return tile_px // largest if largest <= tile_px else (-largest) // tile_px


def _pixels(values: np.ndarray, limits: tuple[float, float], is_signed: bool, factor: int) -> np.ndarray:
    """(h, w) -> (h, w, 3) uint8 at one value per pixel, or fewer when reduced."""
    if factor < 0:
        values = reduce_mean(values, -factor)
    return diverging(values, limits[1]) if is_signed else viridis(values, *limits)


def _tile(image: np.ndarray, factor: int, rank: int, alt: str, words: tuple[str, str, tuple[str, ...], Tone]) -> Tile:
    height, width = image.shape[:2]
    times = max(factor, 1)
    head, note, lines, tone = words
    return Tile(png_bytes(image), "png", width * times, height * times, alt, head, note, lines, tone, True, str(rank))


def _range_words(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{three(low)} {'to' if low < 0 else '–'} {three(high)}"


def _limits(values: np.ndarray, is_signed: bool) -> tuple[float, float]:
    if is_signed:
        limit = float(np.abs(values).max())
        return -limit, limit
    return float(values.min()), float(values.max())


def _check(features: FeatureMaps, picture_index: int, scale: str) -> np.ndarray:
    if not 0 <= picture_index < len(features.maps):
        raise DataError(f"expected a picture number 0 to {len(features.maps) - 1}, got {picture_index}")
    if scale not in ("each map", "layer"):
        raise DataError(f"expected scale 'each map' or 'layer', got {scale!r}")
    maps = features.maps[picture_index]
    if not np.isfinite(maps).all():
        raise DataError(
            f"expected finite feature maps, got NaN or infinity in {features.layer}; the network has diverged"
        )
    return maps


def map_tiles(features: FeatureMaps, picture_index: int, *, top: int = 24, scale: MapScale = "each map") -> Sheet:
    """The `top` first channels of one picture's ranking as tiles; maps that are 0 everywhere are counted, not drawn.

    Args:
        features: ranked maps.
        picture_index: which of its pictures.
        top: how many tiles at most.
        scale: "each map" from its own smallest to largest value, "layer" all alike. Layers with negative values
            are drawn blue-white-red about 0.

    Raises:
        DataError: no such picture or scale, or maps that are not finite.
    """
    maps = _check(features, picture_index, scale)
    height, width, channels = maps.shape
    alive = np.any(maps != 0, axis=(0, 1))
    ranked = [int(c) for c in features.order[picture_index] if alive[c]]
    is_signed = bool(maps.min() < 0)
    whole = _limits(maps, is_signed)
    factor = map_factor(height, width)
    by_relevance = features.rank_by == "relevance"
    label = features.labels[picture_index]
    tiles = []
    for rank, channel in enumerate(ranked[:top], start=1):
        values = maps[:, :, channel]
        limits = whole if scale == "layer" else _limits(values, is_signed)
        importance = float(features.importance[picture_index, channel])
        note = signed(importance) if by_relevance else three(importance)
        tone: Tone = ("for" if importance > 0 else "against") if by_relevance and importance else ""
        alt = f"{features.layer} channel {channel} for {label}: rank {rank}, {_range_words(values)}"
        words = (f"ch{NO_BREAK}{channel}", note, (_range_words(values),), tone)
        tiles.append(_tile(_pixels(values, limits, is_signed, factor), factor, rank, alt, words))
    return Sheet(
        title=features.layer,
        tiles=tuple(tiles),
        note=_map_note(features, picture_index, (height, width, channels), len(ranked)),
        caption=_map_caption(features, factor, len(tiles), len(ranked)),
        scale=_map_bar(whole, is_signed, scale),
    )


def _map_note(features: FeatureMaps, index: int, shape: tuple[int, int, int], alive: int) -> str:
    height, width, channels = shape
    parts = [features.labels[index], f"{channels} maps of {height}×{width} ({features.kind})"]
    if alive < channels:
        dead = channels - alive
        parts.append(f"{dead} {'map is' if dead == 1 else 'maps are'} 0 everywhere")
    if features.rank_by == "relevance" and features.targets:
        parts.append(f"+ for, − against {features.targets[index].label}")
    return " · ".join(parts)


def _map_caption(features: FeatureMaps, factor: int, shown: int, ranked: int) -> str:
    size = f"one value = {factor}×{factor} px" if factor > 0 else f"means of {-factor}×{-factor} values"
    rule = RANKED.get(features.rank_by, f"ranked by {features.rank_by}")
    few = f"{shown} of {ranked} maps" if shown < ranked else f"all {ranked} maps"
    return " · ".join(p for p in (f"{few}, {rule}; {size}", features.provenance.line()) if p)


def _map_bar(whole: tuple[float, float], is_signed: bool, scale: str) -> ScaleBar:
    kind = "diverging" if is_signed else "viridis"
    if scale == "layer":
        return ScaleBar(kind, three(whole[0]), three(whole[1]), "activation, all maps alike")
    return ScaleBar(kind, "−max" if is_signed else "min", "max", "of each map")


def map_sheet(
    features: FeatureMaps, picture_index: int, *, top: int = 24, columns: int = 6, scale: MapScale = "each map"
) -> Figure:
    """`map_tiles` as one drawing for a notebook or a file."""
    return sheet_figure(map_tiles(features, picture_index, top=top, scale=scale), columns=columns)


def filter_tiles(filters: Filters, *, top: int = 24) -> Sheet:
    """Kernels as tiles, largest norm first.

    Kernels over three channels are shown in colour (the middle grey is 0, one scale for the whole layer); others as
    their mean over the input channels, blue-white-red about 0, one scale for the layer.
    """
    kernels = np.asarray(filters.kernels, np.float64)
    n, height, width, inputs = kernels.shape
    if not np.isfinite(kernels).all():
        raise DataError(f"expected finite kernels, got NaN or infinity in {filters.layer}; the network has diverged")
    in_colour = inputs == 3
    shown = kernels if in_colour else kernels.mean(axis=3)
    limit = float(np.abs(shown).max()) or 1.0
    factor = max(1, (TILE_PX // 2) // max(height, width))
    tiles = []
    for rank, f in enumerate(np.argsort(-filters.norms, kind="stable")[:top].tolist(), start=1):
        image = np.round(127.5 + 127.5 * shown[f] / limit).astype(np.uint8) if in_colour else diverging(shown[f], limit)
        words = f"norm {three(float(filters.norms[f]))}"
        bias = () if filters.bias is None else (f"bias {signed(float(filters.bias[f]))}",)
        alt = f"{filters.layer} filter {f}, rank {rank} by norm, {words}"
        tiles.append(_tile(image, factor, rank, alt, (f"f{NO_BREAK}{f}", "", (words, *bias), "")))
    how = "in colour, grey is 0" if in_colour else f"mean over {inputs} input channels"
    bar = ScaleBar("grey" if in_colour else "diverging", three(-limit), three(limit), "weight, all filters alike")
    few = f"{len(tiles)} of {n}" if len(tiles) < n else f"all {n}"
    caption = f"{few} filters, ranked by L2 norm; one weight = {factor}×{factor} px"
    note = f"{n} kernels of {height}×{width}×{inputs} ({filters.kind}), {how}"
    return Sheet(
        filters.layer, tuple(tiles), note, " · ".join(p for p in (caption, filters.provenance.line()) if p), bar
    )


def filter_sheet(filters: Filters, *, top: int = 24, columns: int = 6) -> Figure:
    """`filter_tiles` as one drawing for a notebook or a file."""
    return sheet_figure(filter_tiles(filters, top=top), columns=columns)


def picture_tile(
    picture: np.ndarray,
    alt: str,
    *,
    head: str = "",
    lines: Sequence[str] = (),
    tone: Tone = "",
    longest_px: int = TILE_PX,
) -> Tile:
    """A photograph (h, w, 1 or 3) in 0..255 as a small JPEG with twice the pixels shown, for fine screens."""
    small = shrink(picture, 2 * longest_px)
    height, width = small.shape[:2]
    factor = longest_px / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Tile(jpeg_bytes(small), "jpeg", *size, alt, head, "", tuple(lines), tone)
