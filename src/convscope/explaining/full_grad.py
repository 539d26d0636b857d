"""FullGrad: the picture's own gradient and that of every bias, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError, TapUnreachableError
from convscope.explaining.asked import Asked
from convscope.explaining.frames import resize_stack
from convscope.explaining.method import Answer, Method
from convscope.scope.calls import Call
from convscope.scope.looking import Seen
from convscope.scope.maps import channels_last
from convscope.scope.wiring import Place


def bias_of(layer: Any) -> np.ndarray | None:
    """The constant that a layer adds per channel: a bias, or beta - gamma x mean / sqrt(variance + epsilon)."""
    if type(layer).__name__ == "BatchNormalization":
        mean = np.asarray(to_numpy(layer.moving_mean.value), np.float64)
        variance = np.asarray(to_numpy(layer.moving_variance.value), np.float64)
        gamma = np.asarray(to_numpy(layer.gamma.value), np.float64) if layer.scale else 1.0
        beta = np.asarray(to_numpy(layer.beta.value), np.float64) if layer.center else 0.0
        return np.asarray(beta - gamma * mean / np.sqrt(variance + layer.epsilon), np.float32)
    bias = getattr(layer, "bias", None)
    return np.asarray(to_numpy(bias.value), np.float32) if bias is not None and hasattr(bias, "value") else None


def _with_bias(calls: tuple[Call, ...]) -> list[tuple[Call, np.ndarray]]:
    found = []
    for call in calls:
        is_map = len(call.output_shapes) == 1 and len(call.output_shapes[0]) == 3 and call.steps == 1
        bias = bias_of(call.layer) if is_map and ("Conv" in call.kind or "Norm" in call.kind) else None
        if bias is not None and bias.any():
            found.append((call, bias))
    return found


def _scaled(values: np.ndarray) -> np.ndarray:
    """Sizes of (n, h, w, c), each picture's from 0 to 1 over all of it."""
    sizes = np.abs(values)
    low = sizes.min(axis=(1, 2, 3), keepdims=True)
    span = sizes.max(axis=(1, 2, 3), keepdims=True) - low
    return np.divide(sizes - low, span, out=np.zeros_like(sizes), where=span > 0)


def full_grad(asked: Asked) -> Answer:
    """Gradient x picture plus, for every bias, gradient x bias; sizes scaled to 0..1, resized, summed over channels.

    Facts: "completeness_gap", how far the parts with their signs (dense biases included) are from the score; 0 for
    networks of rectifiers and linear layers.

    Source: Srinivas and Fleuret 2019, eq. 4 and 8.
    """
    calls = asked.probe.calls(asked.images)
    maps = _with_bias(calls)
    dense = [(c, bias_of(c.layer)) for c in calls if c.kind == "Dense" and c.steps == 1]
    vectors = [(c, b) for c, b in dense if b is not None and b.any()]
    if not any("Conv" in c.kind for c in calls):
        raise ModelError("expected at least one convolution for full-grad, the model has none; use saliency")
    seen = _look(asked, [Place(c.name, "before activation") for c, _ in [*maps, *vectors]])
    pixel_part = asked.channels_last(seen.gradients[asked.pixels]) * asked.pictures
    size = asked.pictures.shape[1:3]
    heat = _scaled(pixel_part).sum(axis=-1)
    total = pixel_part.sum(axis=(1, 2, 3), dtype=np.float64)
    found = {place.call: gradient for place, gradient in seen.gradients.items()}
    for call, bias in maps:
        if call.name in found:
            part = channels_last(found[call.name], call) * bias
            total += part.sum(axis=(1, 2, 3), dtype=np.float64)
            heat += resize_stack(_scaled(part).sum(axis=-1), *size)
    for call, bias in vectors:
        if call.name in found:
            total += (found[call.name] * bias).reshape(asked.n, -1).sum(axis=1, dtype=np.float64)
    gap = np.abs(total - asked.scores).astype(np.float32)
    names = tuple(c.name for c, _ in maps if c.name in found)
    return Answer(heat.astype(np.float32), names, facts={"completeness_gap": gap})


def _look(asked: Asked, places: list[Place]) -> Seen:
    """Gradients at the pixels and at those of the places that the score depends on."""
    try:
        return asked.look((asked.pixels, *places))
    except TapUnreachableError:
        return asked.look((asked.pixels, *(p for p in places if _reaches(asked, p))))


def _reaches(asked: Asked, place: Place) -> bool:
    try:
        asked.look((place,))
    except TapUnreachableError:
        return False
    return True


FULL_GRAD = Method(
    "full-grad",
    full_grad,
    "cam",
    "Srinivas and Fleuret 2019, Full-Gradient Representation, NeurIPS, eq. 4 and 8",
    "The picture's gradient together with that of every bias of every layer.",
)
