"""A sheet of tiles as one SVG drawing with its pictures inside, for notebooks and files."""

from __future__ import annotations

import base64
from html import escape

from convscope.draw.colour import css_gradient
from convscope.draw.numbers import short, visible
from convscope.draw.svg import FINE, INK, INK2, INK3, LINE2, MUST, rect, svg_figure, tag, text
from convscope.records.figure import Figure
from convscope.records.report import ScaleBar, Sheet, Tile

GAP, LINE_PX, TOP = 12, 14, 44
LEAST_PX = 96  # a range such as "−0.935 to 1.43" below a tile is this wide
TONES = {
    "for": "var(--for,#b2182b)",
    "against": "var(--against,#2166ac)",
    "fine": FINE,
    "look": "var(--look,#8a5300)",
    "must fix": MUST,
    "wrong": MUST,
    "": INK2,
}


def data_address(image: bytes, media: str) -> str:
    """The bytes as an address that needs no file and no network."""
    return f"data:image/{media};base64,{base64.b64encode(image).decode()}"


def _draw_tile(tile: Tile, x: float, y: float, wide: float) -> list[str]:
    look = {
        "x": x,
        "y": y,
        "width": tile.width_px,
        "height": tile.height_px,
        "href": data_address(tile.image, tile.media),
        "style": "image-rendering:pixelated" if tile.is_pixelated else None,
        "preserveAspectRatio": "none" if tile.is_pixelated else None,
    }
    letters = int(wide / 5.8)
    below = y + tile.height_px + 13
    parts = [tag("image", look, tag("title", None, escape(visible(tile.alt))))]
    is_crowded = 6.5 * (len(tile.rank) + len(tile.head)) + 6.2 * len(tile.note) + 10 > wide
    indent = 6.5 * len(tile.rank) + 5 if tile.rank and not is_crowded else 0
    if indent:
        parts.append(text(x, below, tile.rank, fill=INK3))
    parts.append(text(x + indent, below, short(tile.head, letters), fill=INK, font_weight=600))
    if tile.note:
        parts.append(text(x + wide, below, tile.note, text_anchor="end", fill=TONES[tile.tone]))
    for i, words in enumerate(tile.lines, start=1):
        parts.append(text(x, below + i * LINE_PX, short(words, letters), fill=INK3))
    return parts


def _draw_bar(bar: ScaleBar, width: float) -> list[str]:
    stops = css_gradient(bar.kind).split(", ")
    step = 96 / len(stops)
    left = width - 150
    parts = [text(left - 6, 14, bar.low, text_anchor="end", fill=INK3)]
    parts += [rect(left + i * step, 6, step + 0.3, 9, fill=colour) for i, colour in enumerate(stops)]
    return [*parts, text(left + 102, 14, bar.high, fill=INK3), text(width, 32, bar.unit, text_anchor="end", fill=INK3)]


def sheet_figure(sheet: Sheet, *, columns: int = 6) -> Figure:
    """All tiles of a sheet in rows of `columns`, with title, note and colour bar above."""
    wide = max([t.width_px for t in sheet.tiles], default=0)
    cell = max(wide, LEAST_PX)
    high = max([t.height_px + LINE_PX * (1 + len(t.lines)) for t in sheet.tiles], default=0)
    columns = max(1, min(columns, len(sheet.tiles)))
    width = max(460, columns * (cell + GAP) + GAP)
    rows = -(-len(sheet.tiles) // columns)
    parts = [text(GAP, 16, short(sheet.title, 40), font_size=13, font_weight=600, fill=INK)]
    parts.append(text(GAP, 32, short(sheet.note, width // 6 - 26), fill=INK3))
    if sheet.scale is not None:
        parts += _draw_bar(sheet.scale, width - GAP)
    for i, tile in enumerate(sheet.tiles):
        row, column = divmod(i, columns)
        parts += _draw_tile(tile, GAP + column * (cell + GAP), TOP + row * (high + GAP), cell)
    if not sheet.tiles:
        parts.append(text(GAP, TOP + 14, "nothing to draw: all maps are 0 everywhere", fill=INK3))
    height = TOP + max(1, rows) * (high + GAP) + 20
    parts.append(rect(0.5, 0.5, width - 1.0, height - 1.0, fill="none", stroke=LINE2))
    alt = f"{sheet.title}: {len(sheet.tiles)} tiles. {sheet.note}. " + "; ".join(t.alt for t in sheet.tiles[:6])
    return svg_figure(parts, width=width, height=height, words=(sheet.title, alt, sheet.caption))
