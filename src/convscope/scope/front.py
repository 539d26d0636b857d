"""Scope: one object through which a person looks into a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from convscope.errors import ModelError
from convscope.records.arithmetic import Arithmetic
from convscope.records.card import Card, Opened
from convscope.records.field import ReceptiveField
from convscope.records.geometry import Preprocess
from convscope.records.progress import Progress, silent
from convscope.records.provenance import Provenance
from convscope.records.samples import Samples
from convscope.scope.batches import model_input_shapes
from convscope.scope.compare import Comparison, compare
from convscope.scope.drawn import ShownEmbedding, ShownField, shown_embedding, shown_field
from convscope.scope.embedding import embed
from convscope.scope.feed import Feed, as_feed
from convscope.scope.filters import filters
from convscope.scope.layers import layer_table
from convscope.scope.maps import Baseline, RankBy, feature_maps
from convscope.scope.measuring import effective_receptive_field, receptive_field, value_by_hand
from convscope.scope.paths import Names
from convscope.scope.pictures import Pictures, Prepare, network_pictures
from convscope.scope.shown import FilterReport, MapSet, ShownFilters, Table, shown_filters
from convscope.scope.silencing import accuracy_without_each_filter
from convscope.scope.store import Keeping, store_maps
from convscope.scope.store_reading import MapStore
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike
from convscope.scope.top_activations import TopActivations, top_activations
from convscope.scope.units import measure_units
from convscope.scope.wiring import Side


class Scope:
    """Every layer, every feature map, every filter of one Keras 3 model; the model is never changed.

    Args:
        model: a keras.Model, or an Opened (a saved thing with its preprocessing and classes).
        preprocess: for file paths and PIL pictures where the model brings no preprocessing: a function from a path or
            PIL picture to one array as the model takes it.
        precision: "float32" or "as-trained"; see Probe.
        batch_size: pictures per run.

    Raises:
        ModelError: not a Keras model.
    """

    def __init__(
        self,
        model: Any,
        preprocess: Prepare | Preprocess | None = None,
        *,
        precision: Literal["float32", "as-trained"] = "float32",
        batch_size: int = 32,
    ) -> None:
        """Remember the model; nothing is run yet."""
        self.card: Card | None = model.card if isinstance(model, Opened) else None
        self.probe = Probe(model, precision=precision, batch_size=batch_size)
        self.model = self.probe.model
        self._preprocess = preprocess or (self.card.preprocess if self.card else None)

    def pictures(self, images: Any, labels: Sequence[str] = ()) -> Pictures:
        """Network input from arrays, file paths or PIL pictures."""
        return network_pictures(images, self._preprocess, labels)

    def provenance(self, data: str = "") -> Provenance:
        """Where results come from."""
        known = self.card.provenance if self.card else Provenance(model=self.model.name)
        return Provenance(**{**vars(known), "data": data or known.data})

    def layers(self, images: Any = None) -> Table:
        """Every call: path, kind, output shape, kernel, stride, receptive field, parameters, MACs, memory."""
        arrays = None if images is None else self.pictures(images).arrays
        return layer_table(self.probe, arrays)

    def feature_maps(
        self,
        images: Any,
        layers: Names,
        *,
        rank_by: RankBy = "relevance",
        target: TargetLike = None,
        side: Side = "output",
        baseline: Baseline | np.ndarray = "zero",
    ) -> MapSet:
        """The maps of the chosen layers, ranked and labelled; see `maps.feature_maps`."""
        given = self.pictures(images)
        found = feature_maps(
            self.probe,
            given.arrays,
            layers,
            rank_by=rank_by,
            target=target,
            side=side,
            baseline=baseline,
            labels=given.labels,
            provenance=self.provenance(),
        )
        return MapSet(found)

    def filters(self, layer: str, data: Any = None, *, truth: np.ndarray | None = None) -> ShownFilters | FilterReport:
        """The kernels of a layer as pictures, with norms; with data also dead, saturated and twin filters.

        Args:
            layer: path.
            data: an array, Samples or a Feed to measure the filters on.
            truth: class index of each picture of an array; then also what silencing each filter costs in accuracy.
        """
        if not self.model.built:
            raise ModelError("this model has no weights yet; look at pictures first or call model.build(input_shape)")
        kernels = shown_filters(filters(self.model, layer, provenance=self.provenance()))
        if data is None:
            return kernels
        feed = self._feed(data, truth)
        known = feed.truth is not None
        silenced = accuracy_without_each_filter(self.probe, feed, layer) if known else None
        return FilterReport(kernels, measure_units(self.probe, feed, layer), silenced)

    def arithmetic(self, image: Any, layer: str, *, at: Sequence[int] = (), channel: int | None = None) -> Arithmetic:
        """One value of one layer for one picture, factor by factor; see `measuring.value_by_hand`."""
        arrays = self._one(image)
        return value_by_hand(self.probe, arrays, layer, at=at, channel=channel, provenance=self.provenance())

    def receptive_field(
        self, layer: str, *, at: Sequence[int] | None = None, channel: int | None = None, images: Any = None
    ) -> ReceptiveField | ShownField:
        """The exact field of a layer or of one value; with images how much each pixel really counts."""
        if images is None:
            return receptive_field(self.probe, layer, at=at, channel=channel)
        return self.effective_field(layer, images, at=at, channel=channel)

    def effective_field(
        self, layer: str, images: Any, *, at: Sequence[int] | None = None, channel: int | None = None
    ) -> ShownField:
        """How much each pixel of these pictures really moves one value, with the box that holds 95 % of it."""
        arrays = self.pictures(images).arrays
        return shown_field(effective_receptive_field(self.probe, arrays, layer, at=at, channel=channel))

    def top_activations(
        self, data: Any, layer: str, channel: int, *, count: int = 9, progress: Progress = silent
    ) -> TopActivations:
        """The pictures, and the crops at the exact field, that fire this filter most and least."""
        return top_activations(self.probe, self._feed(data), layer, channel, count=count, progress=progress)

    def embedding(
        self,
        data: Any,
        layer: str,
        *,
        truth: np.ndarray | None = None,
        method: Literal["pca", "tsne"] = "pca",
        progress: Progress = silent,
    ) -> ShownEmbedding:
        """Every picture as a point in the plane, as this layer sees it, coloured by class; see `embedding.embed`."""
        feed = self._feed(data, truth)
        return shown_embedding(
            embed(self.probe, feed, layer, method=method, provenance=self.provenance(), progress=progress)
        )

    def store(
        self,
        data: Any,
        path: Path | str,
        layers: Names,
        *,
        truth: np.ndarray | None = None,
        keeping: Keeping | None = None,
        progress: Progress = silent,
        part: tuple[int, int] = (0, 1),
    ) -> MapStore:
        """Write the maps of a whole data set, or the k-th of n parts; called again, it goes on where it stopped."""
        feed = self._feed(data, truth)
        return store_maps(self.probe, feed, path, layers, keeping=keeping, progress=progress, part=part)

    def compare(
        self, other: Any, images: Any, layers: Names = "**", *, pairs: dict[str, str] | None = None
    ) -> Comparison:
        """The same pictures through another model (a Scope, a model or an Opened), layer by layer."""
        second = other.probe if isinstance(other, Scope) else Probe(other, precision=self.probe.precision)
        return compare(self.probe, second, self.pictures(images).arrays, layers, pairs=pairs)

    def _feed(self, data: Any, truth: np.ndarray | None = None) -> Feed:
        how = self._preprocess if isinstance(self._preprocess, Preprocess) else None
        if isinstance(data, (Samples, np.ndarray)) or hasattr(data, "take"):
            return as_feed(data, how, truth=truth)
        given = self.pictures(data)
        return as_feed(np.asarray(given.arrays), how, ids=given.labels, truth=truth)

    def _one(self, image: Any) -> Any:
        arrays = self.pictures(image).arrays
        shapes = model_input_shapes(self.model)
        alone = isinstance(arrays, np.ndarray) and shapes is not None and arrays.ndim == len(shapes[0]) - 1
        return arrays[None] if alone else arrays
