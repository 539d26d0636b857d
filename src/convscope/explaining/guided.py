"""Guided backpropagation and deconvolution: rectifiers let only positive gradients back.

The rule replaces the activation of layers and functional operations while the model runs. A model in which it can't
reach every rectifier is refused by name: a plain gradient under this title would be a lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.arrays.resize import resize_bilinear
from convscope.backend.backward import with_backward
from convscope.backend.selection import load_keras
from convscope.errors import TapUnreachableError
from convscope.explaining.asked import Asked
from convscope.explaining.cam import weigh_by_mean_gradient
from convscope.explaining.inner_operations import hidden_operations
from convscope.explaining.method import Answer, Method
from convscope.scope.ruled import Change, ruled

RECTIFIERS = ("relu", "relu6", "ReLU", "Relu", "Relu6")
# smooth or leaky relatives, for which neither rule was defined
OTHERS = (
    "silu", "gelu", "elu", "selu", "mish", "softplus", "swish", "leaky_relu", "hard_silu", "celu", "hard_swish",
    "Silu", "Gelu", "Elu", "Selu", "Mish", "Softplus", "LeakyRelu", "LeakyReLU", "ELU", "SELU", "PReLU", "HardSilu",
    "Celu", "ThresholdedReLU",
)  # fmt: skip

Rule = Callable[[Any, Any, Any], Any]  # forward's slope at x (0 or 1), x, gradient above -> gradient below


def _guided(slope: Any, x: Any, gradient: Any) -> Any:
    return slope * load_keras().ops.maximum(gradient, 0)


def _deconvolved(slope: Any, x: Any, gradient: Any) -> Any:
    return load_keras().ops.maximum(gradient, 0)


def rectifier_of(operation: Any) -> tuple[str, str] | None:
    """(attribute that rectifies, name of the function) of an operation; None when it does not.

    The name is one of RECTIFIERS or OTHERS.
    """
    keras = load_keras()
    if type(operation).__name__ == "ReLU" and isinstance(operation, keras.layers.ReLU):
        plain = not operation.negative_slope and not operation.threshold
        return "call", "ReLU" if plain else "LeakyReLU"
    kind = type(operation).__name__
    if kind in RECTIFIERS or kind in OTHERS:
        return "call", kind
    activation = getattr(operation, "activation", None)
    if activation is None:
        return None
    if isinstance(activation, keras.layers.Layer):
        inner = rectifier_of(activation)
        return ("activation", inner[1]) if inner else None
    name = getattr(activation, "__name__", "")
    return ("activation", name) if name in RECTIFIERS or name in OTHERS else None


def rectifier_changes(by_path: dict[str, Any], rule: Rule) -> list[Change]:
    """The changes that put `rule` in the place of each rectifier's own gradient.

    Raises:
        TapUnreachableError: no rectifier, or an activation for which the rule is not defined; names the layer.
    """
    ops = load_keras().ops
    changes: list[Change] = []
    for path, operation in by_path.items():
        found = rectifier_of(operation)
        if found is None:
            continue
        attribute, name = found
        if name in OTHERS:
            raise TapUnreachableError(
                f"expected rectifiers (ReLU), got {name} in layer {path!r}, for which guided backpropagation and "
                "deconvolution are not defined; use smooth-grad or integrated-gradients"
            )
        original = getattr(operation, attribute)

        def backward(x: Any, gradient: Any, original: Any = original) -> Any:
            value = original(x)
            return rule(ops.cast((value > 0) & (value == x), gradient.dtype), x, gradient)

        stand_in = with_backward(original, backward)
        changes.append((operation, attribute, lambda x, *_, stand_in=stand_in, **__: stand_in(x)))
    if not changes:
        raise TapUnreachableError(
            "expected a model with rectifiers (ReLU) that can be reached, found none: guided backpropagation and "
            "deconvolution would be the plain gradient; use saliency"
        )
    return changes


def _under_rule(asked: Asked, rule: Rule) -> np.ndarray:
    hidden = hidden_operations(asked.probe, asked.images)
    if hidden:
        raise TapUnreachableError(
            f"{hidden}, where no backward rule reaches, so guided backpropagation would be a plain gradient in part; "
            "use keras.layers.ReLU there, or smooth-grad"
        )
    _ = asked.scores  # the class is chosen before the rule comes in
    probe = asked.kept(
        ("rectifiers", rule), lambda: ruled(asked.probe, asked.images, lambda by_path: rectifier_changes(by_path, rule))
    )
    return asked.under(probe).gradients()


def guided_backprop(asked: Asked) -> Answer:
    """A rectifier hands back a gradient where both its input and the gradient are positive."""
    return Answer(_under_rule(asked, _guided))


def deconvolution(asked: Asked) -> Answer:
    """A rectifier hands back every positive gradient, whatever its input was."""
    return Answer(_under_rule(asked, _deconvolved))


def guided_grad_cam(asked: Asked) -> Answer:
    """Guided backpropagation times Grad-CAM (cut at 0, resized to the picture)."""
    maps = asked.maps()
    heat = np.maximum(np.mean([weigh_by_mean_gradient(m.values, m.gradients) for m in maps], axis=0), 0)
    size = asked.pictures.shape[1:3]
    large = np.stack([resize_bilinear(one, *size) for one in heat])
    return Answer((_under_rule(asked, _guided) * large[..., None]).astype(np.float32), asked.layers)


GUIDED_BACKPROP = Method(
    "guided-backprop",
    guided_backprop,
    "gradient",
    "Springenberg et al. 2015, Striving for Simplicity, ICLR workshop, section 3.4",
    "Edges that the network followed. Known to change little when weights are drawn anew: a picture, not a proof.",
    is_signed=True,
)
DECONVOLUTION = Method(
    "deconvolution",
    deconvolution,
    "gradient",
    "Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, ECCV, section 2.1",
    "What an inverted network draws for the score.",
    is_signed=True,
)
GUIDED_GRAD_CAM = Method(
    "guided-grad-cam",
    guided_grad_cam,
    "gradient",
    "Selvaraju et al. 2017, Grad-CAM, ICCV, section 3.2",
    "Guided backpropagation inside the warm places of Grad-CAM.",
    needs_layer=True,
    is_signed=True,
)
