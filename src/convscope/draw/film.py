"""The film strip of one filter: its kernel at each epoch, all on one scale."""

from __future__ import annotations

import numpy as np

from convscope.draw.colour import diverging
from convscope.draw.numbers import three
from convscope.draw.png import png_bytes
from convscope.draw.sheet import sheet_figure
from convscope.records.embedding import FilterFilm
from convscope.records.figure import Figure
from convscope.records.report import ScaleBar, Sheet, Tile

TILE_PX = 72
MOST_FRAMES = 24


def film_tiles(film: FilterFilm) -> Sheet:
    """One tile per epoch, at most 24 evenly spaced ones; kernels over three channels in colour, others as their mean.

    Below each tile stands how far the kernel has come since the frame before, as a share of its size.
    """
    kernels = np.asarray(film.kernels, np.float64)
    count, height, width, inputs = kernels.shape
    chosen = sorted({round(i) for i in np.linspace(0, count - 1, min(MOST_FRAMES, count))})
    in_colour = inputs == 3
    shown = kernels if in_colour else kernels.mean(axis=3)
    limit = float(np.abs(shown).max()) or 1.0
    factor = max(1, TILE_PX // max(height, width))
    tiles = []
    for place, i in enumerate(chosen):
        image = np.round(127.5 + 127.5 * shown[i] / limit).astype(np.uint8) if in_colour else diverging(shown[i], limit)
        epoch = film.epochs[i]
        head = "start" if epoch == 0 else f"epoch {epoch}"
        lines: tuple[str, ...] = (f"norm {three(float(np.linalg.norm(kernels[i])))}",)
        if place:
            before = kernels[chosen[place - 1]]
            size = float(np.linalg.norm(before)) or 1.0
            lines += (f"moved {three(float(np.linalg.norm(kernels[i] - before)) / size)}",)
        alt = f"{film.layer} filter {film.channel}, {head}: {', '.join(lines)}"
        tiles.append(Tile(png_bytes(image), "png", width * factor, height * factor, alt, head, "", lines, "", True))
    how = "in colour, grey is 0" if in_colour else f"mean over {inputs} input channels"
    bar = ScaleBar("grey" if in_colour else "diverging", three(-limit), three(limit), "weight, all epochs alike")
    note = f"filter {film.channel}, {height}×{width}×{inputs}, {how}"
    few = f"{len(tiles)} of {count} moments; " if len(tiles) < count else ""
    caption = f"{few}moved: change since the frame before / its size"
    return Sheet(film.layer, tuple(tiles), note, caption, bar, is_strip=True)


def film_figure(film: FilterFilm, *, columns: int = 8) -> Figure:
    """`film_tiles` as one drawing for a notebook or a file."""
    return sheet_figure(film_tiles(film), columns=columns)
