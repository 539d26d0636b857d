"""Feature maps of chosen layers, channels ranked, statistics per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from convscope.errors import ModelError, PlanError
from convscope.records.features import FeatureMaps
from convscope.records.provenance import Provenance
from convscope.registry import nearest
from convscope.scope.calls import Call
from convscope.scope.looking import Seen
from convscope.scope.paths import Names
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike
from convscope.scope.wiring import Side

RankBy = Literal["relevance", "activation", "variance", "index"]
RANKS: tuple[str, ...] = get_args(RankBy)
Baseline = Literal["zero", "mean"]


def feature_maps(
    probe: Probe,
    images: Any,
    layers: Names,
    *,
    rank_by: RankBy = "relevance",
    target: TargetLike = None,
    side: Side = "output",
    baseline: Baseline | np.ndarray = "zero",
    labels: Sequence[str] = (),
    provenance: Provenance | None = None,
) -> tuple[FeatureMaps, ...]:
    """The maps of each chosen layer call, channels ranked per picture.

    Args:
        probe: the model.
        images: (n, ...) exactly as the model takes them.
        layers: names or patterns.
        rank_by: "relevance" (sum over space of gradient x (activation - baseline), signed), "activation" (mean absolute
            value), "variance" (over space) or "index" (as the network numbers them).
        target: what relevance refers to; None for each picture's highest class.
        side: "output", "input" or "before activation".
        baseline: what an activation is compared with: "zero"; "mean", each map's own mean, which takes out a map's
            constant offset; or other pictures of the same shape (blurred ones), whose activations are subtracted.
        labels: names of the pictures.
        provenance: copied along.

    Raises:
        UnknownLayerError, TapUnreachableError, TargetError, ModelError: as Probe; NaN in a map names layer and picture.
    """
    if rank_by not in RANKS:
        raise PlanError(f"unknown rank_by {rank_by!r}; {nearest(str(rank_by), RANKS)}")
    names = probe.select(layers, images)
    places = {name: probe.place(name, side) for name in names}
    relevant = rank_by == "relevance"
    seen = probe.see(images, tuple(places.values()), target if relevant else None, differentiate=relevant)
    base = None
    if relevant and isinstance(baseline, np.ndarray):
        base = probe.see(baseline, tuple(places.values()))
    count = len(next(iter(seen.values.values()))) if seen.values else 0
    words = _labels(labels, count)
    made = []
    for name in names:
        place, call = places[name], probe.call(name, images)
        maps = channels_last(seen.values[place], call)
        check_finite(maps, name, words)
        shift = channels_last(base.values[place], call) if base else _baseline(maps, baseline)
        gradient = channels_last(seen.gradients[place], call) if relevant else None
        scores = importance(maps, rank_by, gradient=gradient, baseline=shift)
        made.append(
            _record(
                name, call, maps=maps, scores=scores, rank_by=rank_by, seen=seen, labels=words, provenance=provenance
            )
        )
    return tuple(made)


def channels_last(values: np.ndarray, call: Call, *, keep_dtype: bool = False) -> np.ndarray:
    """Any layer's values (n, ...) as maps (n, height, width, channels) float32.

    Without spatial extent height = width = 1; one spatial axis becomes the width; time and depth axes are laid
    below each other along the height.
    """
    values = np.asarray(values, None if keep_dtype else np.float32)
    extra = 1 if call.steps > 1 else 0
    if values.ndim == 1:
        return values[:, None, None, None]
    if call.channel_axis is not None:
        values = np.moveaxis(values, 1 + extra + call.channel_axis, -1)
    n, *space, channels = values.shape
    if not space:
        return values.reshape(n, 1, 1, channels)
    height = int(np.prod(space[:-1])) if len(space) > 1 else 1
    return values.reshape(n, height, space[-1], channels)


def importance(
    maps: np.ndarray, rank_by: str, *, gradient: np.ndarray | None = None, baseline: np.ndarray | float = 0.0
) -> np.ndarray:
    """One signed number per picture and channel: (n, height, width, channels) -> (n, channels) float32."""
    if rank_by == "relevance":
        if gradient is None:
            raise PlanError("expected gradients for rank_by='relevance', got none")
        return np.einsum("nhwc,nhwc->nc", gradient, maps - baseline, dtype=np.float64).astype(np.float32)
    if rank_by == "activation":
        return np.abs(maps).mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    if rank_by == "variance":
        return maps.astype(np.float64).var(axis=(1, 2)).astype(np.float32)
    return np.broadcast_to(-np.arange(maps.shape[-1], dtype=np.float32), (len(maps), maps.shape[-1])).copy()


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Per channel over all pictures and places, each (channels,) float32.

    `mean`, `maximum`; `zeros` the share of exact zeros, 0..1; `sparsity` of Hoyer (2004, eq. in section 3.1): 0 when
    all values are equal, 1 when a single one is not zero.
    """

    mean: np.ndarray
    maximum: np.ndarray
    zeros: np.ndarray
    sparsity: np.ndarray


def channel_statistics(maps: np.ndarray) -> ChannelStatistics:
    """Statistics of (n, height, width, channels) maps."""
    flat = np.asarray(maps, np.float64).reshape(-1, maps.shape[-1])
    count = len(flat)
    one, two = np.abs(flat).sum(axis=0), np.sqrt((flat**2).sum(axis=0))
    ratio = np.divide(one, two, out=np.full_like(one, np.sqrt(count)), where=two > 0)
    sparsity = (np.sqrt(count) - ratio) / (np.sqrt(count) - 1) if count > 1 else np.zeros_like(one)
    columns = (flat.mean(axis=0), flat.max(axis=0), (flat == 0).mean(axis=0), sparsity)
    return ChannelStatistics(*(c.astype(np.float32) for c in columns))


def _baseline(maps: np.ndarray, baseline: Baseline | np.ndarray) -> np.ndarray | float:
    if isinstance(baseline, str) and baseline not in ("zero", "mean"):
        raise PlanError(f"unknown baseline {baseline!r}; {nearest(baseline, ('zero', 'mean'))}")
    return maps.mean(axis=(1, 2), keepdims=True) if isinstance(baseline, str) and baseline == "mean" else 0.0


def _labels(labels: Sequence[str], count: int) -> tuple[str, ...]:
    if labels and len(labels) != count:
        raise PlanError(f"expected one label for each of {count} pictures, got {len(labels)}")
    return tuple(labels) or tuple(f"picture {i}" for i in range(count))


def check_finite(maps: np.ndarray, name: str, labels: Sequence[str]) -> None:
    """Refuse maps (n, height, width, channels) with NaN or infinity.

    Raises:
        ModelError: naming the layer and the first pictures.
    """
    finite = np.isfinite(maps).all(axis=(1, 2, 3))
    if not finite.all():
        bad = [labels[i] for i in np.flatnonzero(~finite)[:3]]
        raise ModelError(
            f"expected finite values, got NaN or infinity in layer {name!r} for {', '.join(bad)}; look at the layers "
            "before it and at the pictures"
        )


def _record(
    name: str,
    call: Call,
    *,
    maps: np.ndarray,
    scores: np.ndarray,
    rank_by: str,
    seen: Seen,
    labels: tuple[str, ...],
    provenance: Provenance | None,
) -> FeatureMaps:
    targets = seen.target.names(seen.chosen) if seen.target is not None and seen.chosen is not None else ()
    return FeatureMaps(
        layer=name,
        kind=call.kind,
        maps=maps,
        order=np.argsort(-scores, axis=1, kind="stable").astype(np.int64),
        importance=scores,
        rank_by=rank_by,
        targets=targets,
        labels=labels,
        provenance=provenance or Provenance(),
    )
