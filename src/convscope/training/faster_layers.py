"""While a model is trained on a CPU, some of its layers compute the same in a faster way; afterwards all is as before.

JAX: the gradient of max pooling. TensorFlow: batch normalisation as one fused operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.norms import normalised
from convscope.backend.pooling import is_jax_on_cpu, tiled_max_pool
from convscope.backend.selection import load_keras

keras = load_keras()


@contextmanager
def faster_layers(model: Any) -> Iterator[str]:
    """Give layers another `call` inside the block; what was changed in words, "" where nothing would help.

    Only the instances change, not their classes or configuration, so a model saved inside or after is plain Keras.
    """
    layers, make, words = _chosen(model)
    try:
        for layer in layers:
            layer.call = make(layer)
        yield words if layers else ""
    finally:
        for layer in layers:
            del layer.call
        if layers:
            for function in (model.make_train_function, model.make_test_function, model.make_predict_function):
                function(force=True)


def _chosen(model: Any) -> tuple[list[Any], Callable[[Any], Any], str]:
    if is_jax_on_cpu():
        layers = tiled_poolings(model)
        return layers, _pool, f"JAX on a CPU: faster gradient of max pooling (layers: {len(layers)}), same numbers"
    layers = plain_norms(model) if is_tensorflow_on_cpu() else []
    words = f"TensorFlow on a CPU: fused batch normalisation (layers: {len(layers)}), same numbers but for rounding"
    return layers, _norm, words


def tiled_poolings(model: Any) -> list[Any]:
    """The max-pooling layers of a model whose windows are square, do not overlap and are not padded."""
    found = [layer for layer in model._flatten_layers(include_self=False) if type(layer) is keras.layers.MaxPooling2D]
    return [layer for layer in found if _is_tiled(layer)]


def _is_tiled(layer: Any) -> bool:
    height, width = layer.pool_size
    return (
        height == width
        and tuple(layer.strides) == (height, width)
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
    )


def _pool(layer: Any) -> Any:
    pool = tiled_max_pool(int(layer.pool_size[0]))

    def call(inputs: Any) -> Any:
        return pool(inputs)

    return call


def plain_norms(model: Any) -> list[Any]:
    """The batch norms of a model over the last axis of float32 pictures that each device normalises alone."""
    kind = keras.layers.BatchNormalization
    return [layer for layer in model._flatten_layers(include_self=False) if type(layer) is kind and _is_plain(layer)]


def _is_plain(layer: Any) -> bool:
    rank = getattr(layer.input_spec, "ndim", None)
    return (
        layer.built
        and rank == 4
        and layer.axis in (-1, 3)
        and layer.compute_dtype == "float32"
        and not layer.renorm
        and not layer.synchronized
    )


def _norm(layer: Any) -> Any:
    usual = layer.call

    def call(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if mask is not None or not (training and layer.trainable):
            return usual(inputs, training=training, mask=mask)
        found, mean, variance = normalised(inputs, layer.gamma, layer.beta, layer.epsilon)
        keep = layer.momentum
        for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * keep + now * (1.0 - keep))
        return found

    return call
