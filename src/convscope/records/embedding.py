"""What a layer makes of many pictures, laid out in the plane; and one filter over the time of training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from convscope.records.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Embedding:
    """One point per picture.

    Attributes:
        layer: path.
        method: "pca" or "tsne".
        points: (n, 2) float64.
        truth: (n,) class index per picture, or None.
        classes: names by index; may be empty.
        labels: the pictures' names.
        kept: share of the variance that the two axes hold, for "pca"; None for "tsne".
        provenance: where it comes from.
    """

    layer: str
    method: str
    points: np.ndarray
    truth: np.ndarray | None
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    kept: float | None
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, eq=False)
class FilterFilm:
    """One filter from initialisation to the last epoch.

    Attributes:
        layer, channel: which filter.
        epochs: the moments, 0 for the initialisation.
        kernels: (moments, height, width, input channels) float32.
    """

    layer: str
    channel: int
    epochs: tuple[int, ...]
    kernels: np.ndarray
