"""Class activation maps: where a layer's maps speak for a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.errors import ModelError
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.provenance import Provenance
from convscope.scope.calls import Call
from convscope.scope.maps import channels_last
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike
from convscope.scope.wiring import Side

_NOT_CHOSEN = ("Pooling", "Dropout", "ZeroPadding", "Cropping", "Reshape", "Permute", "Identity", "UpSampling")


def weigh_by_mean_gradient(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM without its ReLU: two (n, height, width, channels) arrays -> (n, height, width) float32.

    Source: Selvaraju et al. 2017, eq. 1 and 2.
    """
    weights = gradients.mean(axis=(1, 2), dtype=np.float64)
    return np.einsum("nhwc,nc->nhw", maps, weights).astype(np.float32)


def grad_cam(
    model: Probe | Opened | Any,
    images: Any,
    target: TargetLike = None,
    layer: str | None = None,
    *,
    side: Side = "output",
    signed: bool = False,
    labels: Sequence[str] = (),
    provenance: Provenance | None = None,
) -> Attribution:
    """Where the layer's maps speak for the target, one heat map per picture at the layer's own resolution.

    Args:
        model: a Probe, an Opened or a Keras model.
        images: (n, height, width, channels) as the model takes them.
        target: as in `scope.target`; None for each picture's highest class.
        layer: path of the layer; None for the last one with spatial extent before pooling.
        side: the layer's "output", "input" or "before activation".
        signed: keep evidence against the target; the default cuts it to zero (Selvaraju et al. 2017, eq. 2).
        labels: names of the pictures.
        provenance: copied along.

    Raises:
        UnknownLayerError, TapUnreachableError, TargetError: as Probe. ModelError: no layer with spatial extent.
    """
    probe = model if isinstance(model, Probe) else Probe(model)
    name, reason = _layer(probe, model, images, layer)
    seen = probe.gradients(images, target, name, side)
    place = probe.place(name, side)
    call = probe.call(name, images)
    heat = weigh_by_mean_gradient(channels_last(seen.values[place], call), channels_last(seen.gradients[place], call))
    assert seen.scores is not None and seen.chosen is not None and seen.target is not None
    return Attribution(
        method="grad-cam",
        heat=heat if signed else np.maximum(heat, 0),
        signed=signed,
        targets=seen.target.names(seen.chosen),
        scores=np.asarray(seen.scores, np.float32),
        layers=(name,),
        layer_reason=reason,
        labels=tuple(labels) or tuple(f"picture {i}" for i in range(len(heat))),
        provenance=provenance or Provenance(),
    )


def _layer(probe: Probe, model: Any, images: Any, layer: str | None) -> tuple[str, str]:
    if layer is not None:
        return probe.select(layer, images)[0], "chosen by name"
    card = model.card if isinstance(model, Opened) else None
    if card is not None and card.feature_layer:
        return probe.select(card.feature_layer, images)[0], "named in the saved model as its last spatial layer"
    return last_spatial_layer(probe.calls(images))


def last_spatial_layer(calls: Sequence[Call]) -> tuple[str, str]:
    """The layer that Grad-CAM reads unless told otherwise, and why.

    Raises:
        ModelError: no layer has spatial extent.
    """
    parents = {c.within for c in calls}
    for call in reversed(calls):
        shape = call.output_shapes[0] if len(call.output_shapes) == 1 else ()
        if call.name in parents or len(shape) < 3 or any(word in call.kind for word in _NOT_CHOSEN):
            continue
        space = [d for i, d in enumerate(shape) if i != call.channel_axis]
        if max(space) > 1 and "float" in call.dtypes[0]:
            return call.name, f"the last layer with spatial extent before pooling ({' x '.join(map(str, shape))})"
    raise ModelError("expected a layer with height and width to read a class activation map from; the model has none")
