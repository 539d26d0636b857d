"""Fields, embeddings and filter films that show themselves: a drawing in a notebook, words in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from convscope.draw.field import field_figure
from convscope.draw.film import film_figure
from convscope.draw.notebook import notebook_html
from convscope.draw.numbers import percent, three
from convscope.draw.scatter import embedding_figure
from convscope.records.embedding import Embedding, FilterFilm
from convscope.records.field import EffectiveField
from convscope.scope.learning import filter_strip


@dataclass(frozen=True, eq=False)
class ShownField(EffectiveField):
    """An effective field that draws itself."""

    def __str__(self) -> str:
        """The value and its box in words."""
        box = " x ".join(f"{low}..{high}" for low, high in self.box)
        sizes = " x ".join(str(high - low + 1) for low, high in self.box)
        which = "all channels" if self.channel is None else f"channel {self.channel}"
        return f"{self.layer} at {self.at}, {which}: {percent(self.share)} of the effect within {box} ({sizes} px)"

    def _repr_html_(self) -> str:
        """The heat map with its box."""
        return notebook_html(field_figure(self))


@dataclass(frozen=True, eq=False)
class ShownEmbedding(Embedding):
    """An embedding that draws itself."""

    def __str__(self) -> str:
        """What was laid out, and how much of it the plane holds."""
        kept = "" if self.kept is None else f"; the plane holds {percent(self.kept)} of the variance"
        return f"{self.layer}: {len(self.points)} pictures by {self.method}{kept}"

    def _repr_html_(self) -> str:
        """One mark per picture."""
        return notebook_html(embedding_figure(self))


@dataclass(frozen=True, eq=False)
class ShownFilm(FilterFilm):
    """A film strip that draws itself."""

    def __str__(self) -> str:
        """How far the filter has moved in all."""
        start = float(np.linalg.norm(self.kernels[0])) or 1.0
        moved = float(np.linalg.norm(self.kernels[-1] - self.kernels[0])) / start
        return (
            f"{self.layer} filter {self.channel}: {len(self.epochs)} moments from epoch {self.epochs[0]} to "
            f"{self.epochs[-1]}, moved by {three(moved)} of its size"
        )

    def _repr_html_(self) -> str:
        """One tile per epoch."""
        return notebook_html(film_figure(self))


def shown_field(field: EffectiveField) -> ShownField:
    """The same record, able to show itself."""
    return ShownField(**{f.name: getattr(field, f.name) for f in fields(EffectiveField)})


def shown_embedding(embedding: Embedding) -> ShownEmbedding:
    """The same record, able to show itself."""
    return ShownEmbedding(**{f.name: getattr(embedding, f.name) for f in fields(Embedding)})


def filter_film(
    snapshots: Sequence[Mapping[str, list[np.ndarray]]], layer: str, channel: int, *, epochs: Sequence[int] = ()
) -> ShownFilm:
    """One filter over time, from what the `Learning` callback kept (`learning.snapshots`).

    Args:
        snapshots: weights by layer, one per moment.
        layer: path of a 2-D convolution.
        channel: which filter.
        epochs: the moments; counted from 0 where not given.

    Raises:
        PlanError: no such layer or filter in the snapshots.
    """
    kernels = filter_strip(snapshots, layer, channel)
    return ShownFilm(layer, channel, tuple(epochs) or tuple(range(len(kernels))), kernels)
