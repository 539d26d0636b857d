"""Layer-wise relevance propagation for convolutional graphs: the score is handed down, layer by layer.

Relevance takes the place of the gradient while the model runs backward: each linear layer shares it among its inputs
by what they contributed, a sum (residual connections) among its terms likewise, activations hand it on as it is,
maximum pooling gives it to the winner. A normalisation right after a convolution or dense layer counts as part of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convscope.backend.backward import pulled_back, with_backward
from convscope.backend.selection import load_keras
from convscope.errors import PlanError, TapUnreachableError
from convscope.explaining.asked import Asked
from convscope.explaining.inner_operations import hidden_operations
from convscope.explaining.method import Answer, Method
from convscope.registry import nearest
from convscope.scope.calls import Call
from convscope.scope.ruled import Change, ruled

RULES = ("composite", "epsilon", "gamma")
_WEIGHTED = ("Dense", "Conv2D", "DepthwiseConv2D")
# affine maps of one tensor, shared by what each input contributed
_AFFINE = ("AveragePooling2D", "GlobalAveragePooling2D", "Rescaling", "Normalization", "UpSampling2D")
_SUMS = ("Add", "Subtract", "Average")
_ROUTING = (
    "MaxPooling2D", "GlobalMaxPooling2D", "Flatten", "Reshape", "Permute", "Dropout", "SpatialDropout2D", "Identity",
    "ZeroPadding2D", "Cropping2D", "Concatenate", "InputLayer", "Softmax", "GaussianNoise", "GaussianDropout", "Pad",
    "Transpose", "Maximum",
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

    Source: Bach et al. 2015, eq. 58 (epsilon); Montavon et al. 2019, table 10.1 (gamma, composite), section 10.3
        (sums, normalisation counted with the layer before it).
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
        lambda: ruled(asked.probe, asked.images, _Rules(asked.probe.calls(asked.images), rule, epsilon, gamma)),
    )
    values = asked.under(probe).gradients() * scores[:, None, None, None]
    gap = np.abs(values.sum(axis=(1, 2, 3), dtype=np.float64) - scores).astype(np.float32)
    return Answer(values.astype(np.float32), facts={"completeness_gap": gap}, notes={"rule": rule})


class _Rules:
    """Operations by path -> the changes that put the rules in place of each operation's own gradient."""

    def __init__(self, calls: Sequence[Call], rule: str, epsilon: float, gamma: float) -> None:
        self._rule, self._epsilon, self._gamma = rule, epsilon, gamma
        self._norm_after = folded_norms(calls)
        self._first_conv = next((c.path for c in calls if "Conv" in c.kind), "")

    def __call__(self, by_path: dict[str, Any]) -> list[Change]:
        folded = {id(norm) for norm in self._norm_after.values()}
        changes: list[Change] = []
        for path, operation in by_path.items():
            kind = type(operation).__name__
            if getattr(operation, "_layers", None) and kind in ("Functional", "Sequential"):
                continue
            changes += _norm_handed_on(operation) if id(operation) in folded else self._change(path, kind, operation)
        return changes

    def _change(self, path: str, kind: str, operation: Any) -> list[Change]:
        if kind in _WEIGHTED:
            is_later = "Conv" in kind and (self._rule == "gamma" or path != self._first_conv)
            favoured = self._gamma if is_later and self._rule != "epsilon" else 0.0
            return _linear_changes(operation, favoured, self._epsilon, self._norm_after.get(path))
        if kind == "BatchNormalization":
            return _linear_changes(operation, 0.0, self._epsilon, None)
        if kind in _AFFINE:
            own = operation.call
            return [(operation, "call", lambda x, own=own: _shared(own, own, self._epsilon)(x))]
        if kind in _SUMS:
            return [(operation, "call", _shared_sum(kind, self._epsilon))]
        if kind in _ACTIVATIONS:
            return [] if _is_head_activation(operation) else _handed_on(operation)
        if kind not in _ROUTING:
            raise TapUnreachableError(
                f"expected layers that add, route or rectify for lrp, got {kind} in {path!r}, for which it has no "
                "rule; use integrated-gradients"
            )
        return []


def folded_norms(calls: Sequence[Call]) -> dict[str, Any]:
    """Path of a convolution or dense layer -> the normalisation that alone takes its output, called as often."""
    by_name = {c.name: c for c in calls}
    takers: dict[str, list[Call]] = {}
    for call in calls:
        for parent in call.parents:
            takers.setdefault(parent, []).append(call)
    found: dict[str, Any] = {}
    for name, call in by_name.items():
        mine = takers.get(name, [])
        plain = getattr(call.layer, "activation", None) in (None, load_keras().activations.linear)
        alone = len(mine) == 1 and mine[0].kind == "BatchNormalization" and call.number == mine[0].number == 0
        several = sum(c.path == call.path or (alone and c.path == mine[0].path) for c in calls) > 2
        if call.kind in _WEIGHTED and plain and alone and not several:
            found[call.path] = mine[0].layer
    return found


def _handed_on(operation: Any) -> list[Change]:
    """Relevance passes as it is."""
    handed = with_backward(operation.call, lambda x, relevance: relevance)
    return [(operation, "call", lambda x, *_, **__: handed(x))]


def _norm_handed_on(norm: Any) -> list[Change]:
    """The same for a normalisation; its variables are read outside, since TensorFlow lets no rule hold any."""
    return [(norm, "call", lambda x, *_, **__: with_backward(_normalisation(norm), lambda x, relevance: relevance)(x))]


def _shared_sum(kind: str, epsilon: float) -> Callable[..., Any]:
    """A sum, difference or mean of tensors whose relevance is shared by what each term contributed."""
    ops = load_keras().ops

    def call(first: Any, *others: Any, **_: Any) -> Any:
        terms = [ops.convert_to_tensor(t) for t in (first if isinstance(first, list | tuple) else (first, *others))]
        shape = functools.reduce(np.broadcast_shapes, [tuple(t.shape) for t in terms])
        terms = [ops.broadcast_to(ops.cast(t, "float32"), shape) for t in terms]
        weights = [1.0, *[-1.0 if kind == "Subtract" else 1.0] * (len(terms) - 1)]
        weights = [w / len(terms) if kind == "Average" else w for w in weights]
        column = ops.convert_to_tensor(np.reshape(np.array(weights, np.float32), (-1, *[1] * len(shape))))

        def total(x: Any) -> Any:
            return ops.sum(x * column, axis=0)

        return _shared(total, total, epsilon)(ops.stack(terms, axis=0))

    return call


def _is_head_activation(operation: Any) -> bool:
    activations = load_keras().activations
    return getattr(operation, "activation", None) in (activations.softmax, activations.sigmoid)


def _linear_changes(layer: Any, gamma: float, epsilon: float, norm: Any) -> list[Change]:
    keras = load_keras()
    activation = getattr(layer, "activation", None)
    ends_in_shares = activation in (keras.activations.softmax, keras.activations.sigmoid)

    def call(x: Any, *_: Any, **__: Any) -> Any:
        plain, favoured = _linear(layer, 0.0, None), _linear(layer, gamma, norm)
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


def _linear(layer: Any, gamma: float, norm: Any) -> Linear:
    """The layer without its activation, with the normalisation `norm` counted in, positive weights and biases times
    1 + gamma, on the values that hold now."""
    ops = load_keras().ops
    if type(layer).__name__ == "BatchNormalization":
        return _normalisation(layer)
    # tensors even where the values are variables of TensorFlow
    kernel = ops.copy(ops.convert_to_tensor(layer.kernel))
    bias = ops.copy(ops.convert_to_tensor(layer.bias)) if layer.use_bias else None
    kind = type(layer).__name__
    if norm is not None:
        scale, shift = _scale_and_shift(norm)
        kernel = kernel * (ops.reshape(scale, kernel.shape[-2:]) if kind == "DepthwiseConv2D" else scale)
        bias = shift if bias is None else bias * scale + shift
    if gamma:
        kernel = kernel + gamma * ops.maximum(kernel, 0)
        bias = None if bias is None else bias + gamma * ops.maximum(bias, 0)
    if kind == "Dense":
        return lambda x: ops.matmul(x, kernel) + (0.0 if bias is None else bias)
    shape = (1, -1, 1, 1) if layer.data_format == "channels_first" else (1, 1, 1, -1)
    run = ops.depthwise_conv if kind == "DepthwiseConv2D" else ops.conv
    strides = tuple(layer.strides) if kind == "DepthwiseConv2D" else list(layer.strides)  # as Keras' own layers do

    def convolved(x: Any) -> Any:
        made = run(x, kernel, strides=strides, padding=layer.padding,
                   data_format=layer.data_format, dilation_rate=layer.dilation_rate)  # fmt: skip
        return made if bias is None else made + ops.reshape(bias, shape)

    return convolved


def _scale_and_shift(norm: Any) -> tuple[Any, Any]:
    """What a normalisation does to each channel: times scale, plus shift."""
    ops = load_keras().ops
    scale = 1 / ops.sqrt(ops.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    scale = scale * norm.gamma if norm.scale else scale
    shift = -ops.convert_to_tensor(norm.moving_mean) * scale
    return scale, shift + norm.beta if norm.center else shift


def _normalisation(layer: Any) -> Linear:
    ops = load_keras().ops
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    scale, shift = _scale_and_shift(layer)

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
