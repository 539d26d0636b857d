"""Chapters that compare and watch: two models layer by layer, filters over epochs, pictures as a layer sees them."""

from __future__ import annotations

from collections.abc import Sequence

from convscope.draw.comparison import comparison_figure
from convscope.draw.field import field_figure
from convscope.draw.film import film_tiles
from convscope.draw.numbers import three
from convscope.draw.scatter import embedding_figure
from convscope.records.embedding import Embedding, FilterFilm
from convscope.records.field import EffectiveField
from convscope.records.report import Section, Table


def comparison_section(
    rows: Sequence[tuple[str, float | None, float]],
    table: Table,
    *,
    title: str = "Layer by layer",
    name: str = "layers",
) -> Section:
    """Chart and table of two models on the same pictures.

    Args:
        rows: (layer, largest difference / largest value or None, CKA or NaN).
        table: the numbers.
        title: heading.
        name: anchor, unique in the page.
    """
    known = [(gap, layer) for layer, gap, _ in rows if gap is not None]
    worst = max(known, default=None)
    first = "No two layers have the same shape." if worst is None else f"The largest difference lies at {worst[1]}."
    detail = "" if worst is None else f"It is {three(worst[0])} of the largest value there."
    words = (
        (first, detail),
        ("CKA says how alike two layers are.", "1: the same up to rotation and size; it does not need equal shapes."),
    )
    same = sum(gap == 0 for _, gap, _ in rows)
    note = f"{len(rows)} layers" + (f", {same} of them the same" if same else "")
    return Section(name, title, note, words, (comparison_figure(rows), table))


def filters_film_section(films: Sequence[FilterFilm]) -> Section:
    """Filters from initialisation to the last epoch, one strip each."""
    words = (
        ("Only the filter changes.", "One scale for the whole strip; below each frame how far it came since the last."),
        ("Filters that stay noise have learnt nothing.", "First layers that learn show edges, colours and spots."),
    )
    note = f"{len(films)} filters"
    return Section("filters-film", "Filters while they learn", note, words, tuple(film_tiles(f) for f in films))


def embedding_section(embedding: Embedding) -> Section:
    """Every picture as a point, as one layer sees it."""
    words = (
        ("Points that lie together look alike to this layer.", "Classes that form islands can be told apart here."),
        ("Only nearness counts.", "Axes have no unit; with t-SNE the distance between islands says nothing."),
    )
    note = f"{embedding.layer}, {len(embedding.points)} pictures"
    return Section("embedding", "Pictures as a layer sees them", note, words, (embedding_figure(embedding),))


def field_section(field: EffectiveField) -> Section:
    """How much each pixel really moves one value."""
    words = (("Most of a field hardly counts.", "The box holds 95 % of the effect; the exact field is larger."),)
    return Section("field", "Effective receptive field", field.layer, words, (field_figure(field),))
