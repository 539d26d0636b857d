"""Pictures as points in the plane, coloured by class."""

from __future__ import annotations

import numpy as np

from convscope.draw.colour import class_colour, class_shape
from convscope.draw.numbers import percent, short
from convscope.draw.spread import mark
from convscope.draw.svg import INK, INK2, INK3, LINE, LINE2, rect, svg_figure, tag, text
from convscope.records.embedding import Embedding
from convscope.records.figure import Figure

SIDE, MARGIN = 420, 12
LEGEND = 168
MOST_POINTS, MOST_NAMES = 3000, 20
METHODS = {"pca": "principal components", "tsne": "t-SNE"}


def embedding_figure(embedding: Embedding) -> Figure:
    """One mark per picture, shape and colour by class, the classes' names beside; at most 3,000 evenly chosen."""
    points = np.asarray(embedding.points, np.float64)
    n = len(points)
    chosen = np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(int))
    truth = None if embedding.truth is None else np.asarray(embedding.truth)
    # one scale for both directions: distances in the plane are what it shows
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    reach = float((points.max(axis=0) - points.min(axis=0)).max()) or 1.0
    places = (points - middle) / reach * (SIDE - 4 * MARGIN) * [1, -1] + SIDE / 2
    parts = [rect(0.5, 0.5, SIDE - 1.0, SIDE - 1.0, fill="none", stroke=LINE2)]
    parts += [_cross(float(x), float(y)) for x, y in ([SIDE / 2, SIDE / 2],)]
    for i in chosen.tolist():
        shape, colour = _look(None if truth is None else int(truth[i]))
        name = embedding.labels[i] if i < len(embedding.labels) else f"picture {i}"
        hint = name if truth is None else f"{name}: {_name(embedding, int(truth[i]))}"
        point = mark(shape, float(places[i, 0]), float(places[i, 1]), colour)
        parts.append(tag("g", None, tag("title", None, _escaped(hint)), point))
    parts += _legend(embedding, truth)
    how = METHODS.get(embedding.method, embedding.method)
    kept = "" if embedding.kept is None else f", which hold {percent(embedding.kept)} of the variance"
    few = f"{len(chosen)} of {n} pictures" if len(chosen) < n else f"{n} pictures"
    alt = f"{few} as {embedding.layer} sees them, laid out by {how}{kept}."
    caption = " · ".join(w for w in (f"{few}, {how}{kept}", embedding.provenance.line()) if w)
    words = (f"Pictures as {embedding.layer} sees them", alt, caption)
    return svg_figure(parts, width=SIDE + LEGEND, height=SIDE, words=words)


def _escaped(words: str) -> str:
    from html import escape

    from convscope.draw.numbers import visible

    return escape(visible(words))


def _cross(x: float, y: float) -> str:
    return tag("path", {"d": f"M{x - 6:.1f},{y:.1f}h12m-6,-6v12", "stroke": LINE, "fill": "none"})


def _look(index: int | None) -> tuple[str, str]:
    return ("ring", INK2) if index is None or index < 0 else (class_shape(index), class_colour(index)[0])


def _name(embedding: Embedding, index: int) -> str:
    return embedding.classes[index] if 0 <= index < len(embedding.classes) else f"class {index}"


def _legend(embedding: Embedding, truth: np.ndarray | None) -> list[str]:
    if truth is None:
        return [text(SIDE + 16, 20, "no classes known", fill=INK3)]
    parts = []
    present = np.unique(truth).tolist()
    for row, index in enumerate(present[:MOST_NAMES]):
        y = 20 + 18 * row
        shape, colour = _look(int(index))
        count = int((truth == index).sum())
        parts.append(mark(shape, SIDE + 18, y - 4, colour))
        parts.append(text(SIDE + 30, y, short(_name(embedding, int(index)), 15), fill=INK))
        parts.append(text(SIDE + LEGEND - 2, y, str(count), text_anchor="end", fill=INK3))
    if len(present) > MOST_NAMES:
        parts.append(text(SIDE + 16, 20 + 18 * MOST_NAMES, f"and {len(present) - MOST_NAMES} more", fill=INK3))
    return parts
