"""Class activation maps: where a layer's maps speak for a target. Each method is a formula on maps and gradients.

`maps` and `gradients` are (n, height, width, channels) float32; each function gives (n, height, width) float32,
signed. Several layers are joined by `joined`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convscope.arrays.resize import resize_bilinear
from convscope.errors import ModelError
from convscope.explaining.asked import Asked
from convscope.explaining.layers import choose_layers, last_spatial_layer, saved_layer
from convscope.explaining.method import Answer, Method
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.provenance import Provenance
from convscope.scope.calls import Call
from convscope.scope.maps import channels_last
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike, as_target
from convscope.scope.wiring import Side

__all__ = ["grad_cam", "last_spatial_layer", "weigh_by_mean_gradient"]

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]


def weighed(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of maps (n, h, w, c) by weights (n, c) -> (n, h, w) float32."""
    return np.einsum("nhwc,nc->nhw", maps, weights).astype(np.float32)


def weigh_by_mean_gradient(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM without its ReLU.

    Source: Selvaraju et al. 2017, eq. 1 and 2.
    """
    return weighed(maps, gradients.mean(axis=(1, 2), dtype=np.float64))


def weigh_by_positive_second_order(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM++ for a score that is an exponential of the logit, so that powers of the gradient suffice.

    Source: Chattopadhyay et al. 2018, eq. 5, 19 and algorithm 1.
    """
    g = gradients.astype(np.float64)
    below = 2 * g**2 + maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64) * g**3
    alpha = np.divide(g**2, below, out=np.zeros_like(g), where=(g != 0) & (below != 0))
    return weighed(maps, (np.maximum(g, 0) * alpha).sum(axis=(1, 2)))


def gradient_times_map(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """HiResCAM: no averaging, so the heat stays where the gradient is.

    Source: Draelos and Carin 2020, eq. 4.
    """
    return np.einsum("nhwc,nhwc->nhw", maps, gradients, dtype=np.float64).astype(np.float32)


def weigh_by_normalised_gradient(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """XGrad-CAM: gradients averaged with the maps as weights.

    Source: Fu et al. 2020, eq. 8.
    """
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    moment = np.einsum("nhwc,nhwc->nc", maps, gradients, dtype=np.float64)
    return weighed(maps, np.divide(moment, total, out=np.zeros_like(total), where=np.abs(total) > 1e-12))


def positive_gradient_times_map(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Layer-CAM: each place weighed by its own positive gradient.

    Source: Jiang et al. 2021, eq. 6 and 7.
    """
    return np.einsum("nhwc,nhwc->nhw", maps, np.maximum(gradients, 0), dtype=np.float64).astype(np.float32)


def first_component(maps: np.ndarray, *, centred: bool = False) -> np.ndarray:
    """Eigen-CAM: the maps projected on their first principal direction, with the sign of the maps' own sum.

    `centred` takes each channel's mean out first, as principal components do.

    Source: Muhammad and Yeasin 2020, eq. 3.
    """
    heat = np.zeros(maps.shape[:3], np.float32)
    for i, one in enumerate(maps.astype(np.float64)):
        flat = one.reshape(-1, one.shape[-1])
        shifted = flat - flat.mean(axis=0) if centred else flat
        values, vectors = np.linalg.eigh(shifted.T @ shifted)
        along = shifted @ vectors[:, -1] if values[-1] > 0 else np.zeros(len(flat))
        heat[i] = (along if along @ flat.sum(axis=1) >= 0 else -along).reshape(one.shape[:2])
    return heat


def joined(heats: Sequence[np.ndarray], names: tuple[str, ...], size_hw: tuple[int, int]) -> Answer:
    """One layer: its heat as it is. Several: resized to the pictures, scaled to 1 per picture, averaged."""
    if len(heats) == 1:
        return Answer(heats[0], names)
    total = np.zeros((len(heats[0]), *size_hw), np.float64)
    for heat in heats:
        large = np.stack([resize_bilinear(one, *size_hw) for one in heat])
        peak = np.abs(large).max(axis=(1, 2), keepdims=True)
        total += np.divide(large, peak, out=np.zeros_like(large), where=peak > 0)
    notes = {"joined": "each layer's heat scaled to a largest value of 1 per picture, then averaged"}
    return Answer((total / len(heats)).astype(np.float32), names, notes=notes)


def from_formula(formula: Formula) -> Callable[[Asked], Answer]:
    """The method whose heat at a layer is `formula(maps, gradients)`."""

    def function(asked: Asked) -> Answer:
        heats = [formula(m.values, m.gradients) for m in asked.maps()]
        return joined(heats, asked.layers, asked.pictures.shape[1:3])

    return function


def eigen_cam(asked: Asked, *, centred: bool = False) -> Answer:
    """Eigen-CAM; see `first_component`."""
    heats = [first_component(values, centred=centred) for _, values in asked.values()]
    return joined(heats, asked.layers, asked.pictures.shape[1:3])


def cam(asked: Asked) -> Answer:
    """The maps before global average pooling, weighed by the class' own weights of the last dense layer.

    Source: Zhou et al. 2016, eq. 2.
    """
    name, kernel = _pooled_head(asked)
    if asked.layers != (name,):
        raise ModelError(f"expected the layer that is pooled, {name!r}, for cam, got {asked.layers[0]!r}; leave it out")
    ((_, values),) = asked.values()
    chosen, resolved = asked.seen.chosen, asked.seen.target
    assert chosen is not None and resolved is not None
    weights = kernel[:, chosen].T * resolved.signs[:, None]
    if resolved.against is not None:
        weights = weights - kernel[:, resolved.against]
    return Answer(weighed(values, weights), (name,))


def pooled_layer(probe: Probe, images: Any) -> tuple[Call, Call]:
    """The layer that is averaged over space and the dense head that follows at once.

    Raises:
        ModelError: the network does not end so; says what stands there.
    """
    calls = {c.name: c for c in probe.calls(images)}
    head = probe.heads(images)[0]
    dense = calls.get(head.call)
    if dense is not None and dense.kind in ("Softmax", "Activation") and dense.parents:
        dense = calls.get(dense.parents[0])
    place = calls.get(dense.parents[0]) if dense is not None and dense.kind == "Dense" else None
    while place is not None and place.kind in ("Dropout", "Identity", "Flatten") and place.parents:
        place = calls.get(place.parents[0])
    if dense is None or place is None or place.kind != "GlobalAveragePooling2D":
        found = place.kind if place is not None else (dense.kind if dense is not None else "other code")
        raise ModelError(
            "expected a network that ends in global average pooling and one dense layer for cam, "
            f"got {found} before the output; grad-cam needs no such ending"
        )
    source = calls.get(place.parents[0])
    if source is None:
        raise ModelError("expected a layer before global average pooling for cam, got the picture itself; use saliency")
    return source, dense


def _pooled_head(asked: Asked) -> tuple[str, np.ndarray]:
    from convscope.backend.tensors import to_numpy

    if asked.target.function is not None:
        raise ModelError("expected a class as target for cam, got a function; use grad-cam for it")
    source, dense = pooled_layer(asked.probe, asked.images)
    return source.name, np.asarray(to_numpy(dense.layer.kernel.value), np.float32)


def _method(name: str, formula: Formula, source: str, words: str) -> Method:
    return Method(name, from_formula(formula), "cam", source, words, needs_layer=True)


GRAD_CAM = _method(
    "grad-cam",
    weigh_by_mean_gradient,
    "Selvaraju et al. 2017, Grad-CAM, ICCV, eq. 1 and 2",
    "Maps of a layer, each weighed by how much it moves the score on average.",
)
GRAD_CAM_PLUS = _method(
    "grad-cam++",
    weigh_by_positive_second_order,
    "Chattopadhyay et al. 2018, Grad-CAM++, WACV, eq. 5 and 19",
    "As Grad-CAM, with weights that let several objects of one class each count.",
)
HIRES_CAM = _method(
    "hires-cam",
    gradient_times_map,
    "Draelos and Carin 2020, HiResCAM, arXiv 2011.08891, eq. 4",
    "Gradient times map at each place; for a head that is linear in the maps, exactly what the network added up.",
)
XGRAD_CAM = _method(
    "xgrad-cam",
    weigh_by_normalised_gradient,
    "Fu et al. 2020, Axiom-based Grad-CAM, BMVC, eq. 8",
    "As Grad-CAM, with gradients averaged where the map is strong.",
)
LAYER_CAM = _method(
    "layer-cam",
    positive_gradient_times_map,
    "Jiang et al. 2021, LayerCAM, IEEE TIP, eq. 6 and 7",
    "Each place of each map weighed by its own positive gradient; works for early layers too.",
)
EIGEN_CAM = Method(
    "eigen-cam",
    eigen_cam,
    "cam",
    "Muhammad and Yeasin 2020, Eigen-CAM, IJCNN, eq. 3",
    "What the maps of a layer have most in common; the same for every class.",
    needs_gradients=False,
    needs_layer=True,
    uses_target=False,
)
CAM = Method(
    "cam",
    cam,
    "cam",
    "Zhou et al. 2016, Learning Deep Features for Discriminative Localization, CVPR, eq. 2",
    "The last maps, weighed by the class' own weights; exact where a network ends in global average pooling.",
    needs_gradients=False,
    needs_layer=True,
)


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

    The short way for callers that hold a model and arrays; `engine.explain` is the same with checks and all methods.

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
    if layer is None:
        (name,), reason = choose_layers(probe, images, None, saved=saved_layer(model))
    else:
        name, reason = probe.select(layer, images)[0], "chosen by name"
    seen = probe.gradients(images, as_target(target), name, side)
    place, call = probe.place(name, side), probe.call(name, images)
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
