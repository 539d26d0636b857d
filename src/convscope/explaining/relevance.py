"""How one operation shares relevance among its inputs: the rules of `lrp`, each put in place of a layer's gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convscope.backend.backward import pulled_back, with_backward
from convscope.backend.selection import load_keras
from convscope.scope.ruled import Change

Linear = Callable[[Any], Any]


@dataclass(frozen=True)
class Share:
    """Which rule a layer with weights follows, with its numbers."""

    rule: Literal["epsilon", "gamma", "box"]
    epsilon: float
    gamma: float = 0.0


@dataclass(frozen=True, eq=False)
class Weighted:
    """A layer's weights as tensors that hold now, a normalisation after it multiplied in."""

    layer: Any
    kernel: Any
    bias: Any

    def run(self, kernel: Any, bias: Any = None) -> Linear:
        """The layer with these weights and without its activation."""
        ops, layer = load_keras().ops, self.layer
        kind = type(layer).__name__
        if kind == "Dense":
            return lambda x: ops.matmul(x, kernel) + (0.0 if bias is None else bias)
        shape = (1, -1, 1, 1) if layer.data_format == "channels_first" else (1, 1, 1, -1)
        conv = ops.depthwise_conv if kind == "DepthwiseConv2D" else ops.conv
        strides = tuple(layer.strides) if kind == "DepthwiseConv2D" else list(layer.strides)  # as Keras' own layers do

        def convolved(x: Any) -> Any:
            made = conv(x, kernel, strides=strides, padding=layer.padding,
                        data_format=layer.data_format, dilation_rate=layer.dilation_rate)  # fmt: skip
            return made if bias is None else made + ops.reshape(bias, shape)

        return convolved

    def whole(self) -> Linear:
        """With all its weights."""
        return self.run(self.kernel, self.bias)

    def favouring(self, sign: int, gamma: float) -> Linear:
        """Contributions of this sign, by positive and by negative inputs and by the bias, count 1 + gamma times."""
        ops = load_keras().ops

        def more(weights: Any, s: int) -> Any:
            return weights + gamma * (ops.maximum(weights, 0) if s > 0 else ops.minimum(weights, 0))

        by_positive = self.run(more(self.kernel, sign), None if self.bias is None else more(self.bias, sign))
        by_negative = self.run(more(self.kernel, -sign))
        return lambda x: by_positive(ops.maximum(x, 0)) + by_negative(ops.minimum(x, 0))


def handed_on(operation: Any) -> list[Change]:
    """Relevance passes as it is."""
    handed = with_backward(operation.call, lambda x, relevance: relevance)
    return [(operation, "call", lambda x, *_, **__: handed(x))]


def norm_handed_on(norm: Any) -> list[Change]:
    """The same for a normalisation; its variables are read outside, since TensorFlow lets no rule hold any."""
    return [(norm, "call", lambda x, *_, **__: with_backward(_normalisation(norm), lambda x, relevance: relevance)(x))]


def weighted_changes(layer: Any, share: Share, norm: Any) -> list[Change]:
    """A convolution, dense layer or normalisation under its rule; `norm` right after it counts as part of it."""
    keras = load_keras()
    activation = getattr(layer, "activation", None)
    ends_in_shares = activation in (keras.activations.softmax, keras.activations.sigmoid)

    def call(x: Any, *_: Any, **__: Any) -> Any:
        made = _under(layer, share, norm)(x)
        if activation is None or ends_in_shares:
            return made
        return with_backward(lambda z: activation(z), lambda z, relevance: relevance)(made)

    changes: list[Change] = [(layer, "call", call)]
    return [*changes, (layer, "activation", keras.activations.linear)] if activation is not None else changes


def _under(layer: Any, share: Share, norm: Any) -> Linear:
    if type(layer).__name__ == "BatchNormalization":
        plain = _normalisation(layer)
        return shared(plain, plain, share.epsilon)
    plain, folded = _weights(layer, None).whole(), _weights(layer, norm)
    if share.rule == "gamma":
        return shared_by_gamma(plain, folded, share)
    if share.rule == "box":
        return shared_in_box(plain, folded, share.epsilon)
    return shared(plain, folded.whole(), share.epsilon)


def shared(plain: Linear, counted: Linear, epsilon: float) -> Linear:
    """`plain`, whose relevance is shared by the parts of `counted`: x times its pull-back of relevance / (z + eps).

    Source: Bach et al. 2015, eq. 58.
    """
    ops = load_keras().ops

    def backward(x: Any, relevance: Any) -> Any:
        z = counted(x)
        ratio = relevance / (z + ops.where(z >= 0, epsilon, -epsilon))
        return x * pulled_back(counted, x, ratio)

    return with_backward(plain, backward)


def shared_by_gamma(plain: Linear, weights: Weighted, share: Share) -> Linear:
    """Each sum z favours the contributions of its own sign, whatever the signs of the inputs.

    |what it is divided by| is then at least |z|, and at least gamma / (2 + gamma) of what is shared; with favoured
    positive weights alone (inputs that are never negative) it is Montavon et al. 2019, table 10.1.

    Source: Andeol et al. 2023, as implemented by zennit's Gamma rule.
    """
    ops = load_keras().ops
    upper, lower = weights.favouring(1, share.gamma), weights.favouring(-1, share.gamma)

    def backward(x: Any, relevance: Any) -> Any:
        high, low = upper(x), lower(x)
        is_up = high + low >= 0  # (2 + gamma) times the layer's own sum
        none = ops.zeros_like(relevance)
        up = ops.where(is_up, relevance / (ops.maximum(high, 0) + share.epsilon), none)
        down = ops.where(is_up, none, relevance / (ops.minimum(low, 0) - share.epsilon))
        return x * (pulled_back(upper, x, up) + pulled_back(lower, x, down))

    return with_backward(plain, backward)


def shared_in_box(plain: Linear, weights: Weighted, epsilon: float) -> Linear:
    """Shared by how far each input lies from the least (positive weights) and the greatest (negative weights) value.

    The least and the greatest are those of the picture's own channel, so that no range has to be known. All shares
    are of one sign and the bias takes none, so relevance is conserved.

    Source: Montavon et al. 2019, table 10.1 (z-box).
    """
    ops = load_keras().ops
    positive, negative = weights.run(ops.maximum(weights.kernel, 0)), weights.run(ops.minimum(weights.kernel, 0))
    space = (2, 3) if weights.layer.data_format == "channels_first" else (1, 2)

    def backward(x: Any, relevance: Any) -> Any:
        above = x - ops.min(x, axis=space, keepdims=True)
        below = x - ops.max(x, axis=space, keepdims=True)
        ratio = relevance / (positive(above) + negative(below) + epsilon)
        return above * pulled_back(positive, above, ratio) + below * pulled_back(negative, below, ratio)

    return with_backward(plain, backward)


def shared_sum(kind: str, epsilon: float) -> Callable[..., Any]:
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

        return shared(total, total, epsilon)(ops.stack(terms, axis=0))

    return call


def _weights(layer: Any, norm: Any) -> Weighted:
    ops = load_keras().ops
    # tensors even where the values are variables of TensorFlow
    kernel = ops.copy(ops.convert_to_tensor(layer.kernel))
    bias = ops.copy(ops.convert_to_tensor(layer.bias)) if layer.use_bias else None
    if norm is not None:
        scale, shift = _scale_and_shift(norm)
        is_deep = type(layer).__name__ == "DepthwiseConv2D"
        kernel = kernel * (ops.reshape(scale, kernel.shape[-2:]) if is_deep else scale)
        bias = shift if bias is None else bias * scale + shift
    return Weighted(layer, kernel, bias)


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
