"""Scope: one object through which a person looks into a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from convscope.errors import ModelError
from convscope.records.card import Card, Opened
from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance
from convscope.scope.filters import filters
from convscope.scope.layers import layer_table
from convscope.scope.maps import Baseline, RankBy, feature_maps
from convscope.scope.paths import Names
from convscope.scope.pictures import Pictures, Prepare, network_pictures
from convscope.scope.shown import MapSet, ShownFilters, Table, shown_filters
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike
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

    def filters(self, layer: str) -> ShownFilters:
        """The kernels of a layer as pictures, with norms."""
        if not self.model.built:
            raise ModelError("this model has no weights yet; look at pictures first or call model.build(input_shape)")
        return shown_filters(filters(self.model, layer, provenance=self.provenance()))
