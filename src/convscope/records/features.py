"""What was seen inside a network: feature maps, filters and the layer they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.records.provenance import Provenance


@dataclass(frozen=True)
class TargetName:
    """The score that relevance and explanations refer to, in words and by place.

    `output` is the output's name or index, `index` the class (None for a whole output), `label` its class name,
    `kind` "logit", "probability", "value" or "custom": what the number is.
    """

    output: str
    index: int | None
    label: str
    kind: str


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """The maps of one layer call for n pictures, channels ranked.

    Attributes:
        layer: path ("backbone/block2/conv1"), with "#1" for a shared layer's second call.
        kind: layer class ("Conv2D").
        maps: (n, height, width, channels) float32, channels last whatever the model's own order; layers without
            spatial extent have height = width = 1.
        order: (n, channels) int64, channel numbers from most to least important, per picture.
        importance: (n, channels) float32, signed, indexed by channel (not by rank).
        rank_by: "relevance" (sum of gradient x activation), "activation" (mean absolute value), "variance", "index".
        targets: what each picture's relevance refers to; empty unless rank_by is "relevance".
        labels: names of the pictures.
        provenance: where it comes from.
    """

    layer: str
    kind: str
    maps: np.ndarray
    order: np.ndarray
    importance: np.ndarray
    rank_by: str
    targets: tuple[TargetName, ...]
    labels: tuple[str, ...]
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class Filters:
    """The kernels of one layer.

    Attributes:
        layer, kind: as in FeatureMaps.
        kernels: (filters, height, width, input channels) float32.
        bias: (filters,) float32 or None.
        norms: (filters,) float32, L2 norm of each kernel.
        provenance: where it comes from.
    """

    layer: str
    kind: str
    kernels: np.ndarray
    bias: np.ndarray | None
    norms: np.ndarray
    provenance: Provenance
