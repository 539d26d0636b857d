"""Why the network says so: one heat map per picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from convscope.records.features import TargetName
from convscope.records.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Attribution:
    """Heat maps for n pictures.

    Attributes:
        method: registered name ("grad-cam").
        heat: (n, height, width) float32 in the network frame, at the method's own resolution (`raw` of a CAM).
        signed: True when negative values mean evidence against.
        targets: what each map explains.
        scores: (n,) the target's value for each picture.
        layers: which layers were used; `layer_reason` says why.
        labels: names of the pictures.
        facts: further numbers per method ("completeness_gap").
        provenance: where it comes from.
        values: (n, height, width, channels) float32 before the channels were joined into heat, for methods that give
            a value to each number of the picture; else None.
    """

    method: str
    heat: np.ndarray
    signed: bool
    targets: tuple[TargetName, ...]
    scores: np.ndarray
    layers: tuple[str, ...]
    layer_reason: str
    labels: tuple[str, ...]
    provenance: Provenance
    facts: dict[str, object] = field(default_factory=dict)
    values: np.ndarray | None = None
