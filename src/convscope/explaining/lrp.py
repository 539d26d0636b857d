"""Layer-wise relevance propagation for plain convolutional graphs: the score is handed down, layer by layer.

Relevance takes the place of the gradient while the model runs backward: each linear layer shares it among its inputs
by what they contributed, activations hand it on as it is, maximum pooling gives it to the winner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.backend.backward import pulled_back, with_backward
from convscope.backend.selection import load_keras
from convscope.errors import PlanError, TapUnreachableError
from convscope.explaining.asked import Asked
from convscope.explaining.inner_operations import hidden_operations
from convscope.explaining.method import Answer, Method
from convscope.registry import nearest
from convscope.scope.ruled import Change, ruled

RULES = ("composite", "epsilon", "gamma")
_LINEAR = ("Dense", "Conv2D", "DepthwiseConv2D", "BatchNormalization")
_MEANS = ("AveragePooling2D", "GlobalAveragePooling2D")
_ROUTING = (
    "MaxPooling2D", "GlobalMaxPooling2D", "Flatten", "Reshape", "Permute", "Dropout", "SpatialDropout2D", "Identity",
    "ZeroPadding2D", "Cropping2D", "Concatenate", "InputLayer", "Softmax", "GaussianNoise", "GaussianDropout",
)  # fmt: skip
_ACTIVATIONS = ("ReLU", "LeakyReLU", "Activation", "Relu", "Relu6", "ELU", "Silu", "Gelu", "Elu", "Selu", "LeakyRelu")

Linear = Callable[[Any], Any]


def lrp(asked: Asked, *, rule: str = "composite", epsilon: float = 1e-6, gamma: float = 0.25) -> Answer:
    """Relevance of each number of the picture; without biases it adds up to the score.

    Args:
        asked: the question.
        rule: "epsilon" everywhere; "gamma" for all convolutions; "composite": gamma for convolutions but the first,
            epsilon for the first, for dense layers and for normalisation.
        epsilon: added to each sum with its sign, so that small sums don't explode.
        gamma: how much positive weights are favoured.

    Facts: "completeness_gap", |sum - score|: what the biases took.

    Source: Bach et al. 2015, eq. 58 (epsilon); Montavon et al. 2019, table 10.1 (gamma, composite).
    """
    if rule not in RULES:
        raise PlanError(f"unknown rule {rule!r}; {nearest(rule, RULES)}")
    if epsilon <= 0 or gamma < 0:
        raise PlanError(f"expected epsilon above 0 and gamma of at least 0, got {epsilon} and {gamma}")
    if asked.target.function is not None or asked.target.against is not None:
        raise PlanError("expected one class as target for lrp; use integrated-gradients for other targets")
    hidden = hidden_operations(asked.probe, asked.images)
    if hidden:
        raise TapUnreachableError(f"{hidden}, where no rule of lrp reaches; use integrated-gradients")
    scores = asked.scores
    probe = asked.kept(
        ("lrp", rule, epsilon, gamma),
        lambda: ruled(asked.probe, asked.images, lambda by_path: _changes(by_path, rule, epsilon, gamma)),
    )
    values = asked.under(probe).gradients() * scores[:, None, None, None]
    gap = np.abs(values.sum(axis=(1, 2, 3), dtype=np.float64) - scores).astype(np.float32)
    return Answer(values.astype(np.float32), facts={"completeness_gap": gap}, notes={"rule": rule})


def _changes(by_path: dict[str, Any], rule: str, epsilon: float, gamma: float) -> list[Change]:
    changes: list[Change] = []
    seen_conv = False
    for path, operation in by_path.items():
        kind = type(operation).__name__
        if getattr(operation, "_layers", None) and kind in ("Functional", "Sequential"):
            continue
        if kind in _LINEAR:
            is_conv = "Conv" in kind
            favoured = gamma if is_conv and (rule == "gamma" or (rule == "composite" and seen_conv)) else 0.0
            seen_conv = seen_conv or is_conv
            changes += _linear_changes(operation, favoured, epsilon)
        elif kind in _MEANS:
            mean = operation.call
            changes.append((operation, "call", lambda x, mean=mean: _shared(mean, mean, epsilon)(x)))
        elif kind in _ACTIVATIONS:
            if not _is_head_activation(operation):
                handed = with_backward(operation.call, lambda x, relevance: relevance)
                changes.append((operation, "call", lambda x, *_, handed=handed, **__: handed(x)))
        elif kind not in _ROUTING:
            raise TapUnreachableError(
                f"expected a plain convolutional graph for lrp, got {kind} in {path!r}, for which it has no rule; "
                "use integrated-gradients"
            )
    return changes


def _is_head_activation(operation: Any) -> bool:
    activations = load_keras().activations
    return getattr(operation, "activation", None) in (activations.softmax, activations.sigmoid)


def _linear_changes(layer: Any, gamma: float, epsilon: float) -> list[Change]:
    keras = load_keras()
    activation = getattr(layer, "activation", None)
    ends_in_shares = activation in (keras.activations.softmax, keras.activations.sigmoid)

    def call(x: Any, *_: Any, **__: Any) -> Any:
        plain, favoured = _linear(layer, 0.0), _linear(layer, gamma)
        made = _shared(plain, favoured, epsilon)(x)
        if activation is None or ends_in_shares:
            return made
        return with_backward(lambda z: activation(z), lambda z, relevance: relevance)(made)

    changes: list[Change] = [(layer, "call", call)]
    return [*changes, (layer, "activation", keras.activations.linear)] if activation is not None else changes


def _shared(plain: Linear, favoured: Linear, epsilon: float) -> Linear:
    """`plain`, whose relevance is shared by the parts of `favoured`: x times its pull-back of relevance / (z + eps)."""
    ops = load_keras().ops

    def backward(x: Any, relevance: Any) -> Any:
        z = favoured(x)
        ratio = relevance / (z + ops.where(z >= 0, epsilon, -epsilon))
        return x * pulled_back(favoured, x, ratio)

    return with_backward(plain, backward)


def _linear(layer: Any, gamma: float) -> Linear:
    """The layer without its activation, positive weights and biases times 1 + gamma, on the values that hold now."""
    keras = load_keras()
    ops = keras.ops

    def more(value: Any) -> Any:
        tensor = ops.copy(ops.convert_to_tensor(value))  # a tensor even where the value is a variable of TensorFlow
        return tensor + gamma * ops.maximum(tensor, 0) if gamma else tensor

    if type(layer).__name__ == "BatchNormalization":
        return _normalisation(layer)
    kernel = more(layer.kernel)
    bias = more(layer.bias) if layer.use_bias else None
    if type(layer).__name__ == "Dense":
        return lambda x: ops.matmul(x, kernel) + (0.0 if bias is None else bias)
    shape = (1, -1, 1, 1) if layer.data_format == "channels_first" else (1, 1, 1, -1)
    run = ops.depthwise_conv if type(layer).__name__ == "DepthwiseConv2D" else ops.conv

    def convolved(x: Any) -> Any:
        made = run(x, kernel, strides=list(layer.strides), padding=layer.padding,
                   data_format=layer.data_format, dilation_rate=layer.dilation_rate)  # fmt: skip
        return made if bias is None else made + ops.reshape(bias, shape)

    return convolved


def _normalisation(layer: Any) -> Linear:
    ops = load_keras().ops
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    scale = 1 / ops.sqrt(ops.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    scale = scale * layer.gamma if layer.scale else scale
    shift = -ops.convert_to_tensor(layer.moving_mean) * scale
    shift = shift + layer.beta if layer.center else shift

    def normalised(x: Any) -> Any:
        shape = [1] * len(x.shape)
        shape[axis] = -1
        return x * ops.reshape(scale, shape) + ops.reshape(shift, shape)

    return normalised


LRP = Method(
    "lrp",
    lrp,
    "gradient",
    "Bach et al. 2015, On Pixel-Wise Explanations, PLoS ONE, eq. 58; Montavon et al. 2019, LRP, table 10.1",
    "The score handed down layer by layer, each input getting the share that it contributed.",
    is_signed=True,
)
