"""While a model is trained on JAX on a CPU, its max pooling uses a faster gradient; afterwards it is as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convscope.backend.pooling import is_jax_on_cpu, tiled_max_pool
from convscope.backend.selection import load_keras

keras = load_keras()


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


@contextmanager
def fast_pooling(model: Any) -> Iterator[int]:
    """Give tiled max-pooling layers another `call` inside the block; how many, 0 where it would not help.

    Only the instances change, not their classes or configuration, so a model saved inside or after is plain Keras.
    """
    layers = tiled_poolings(model) if is_jax_on_cpu() else []
    try:
        for layer in layers:
            layer.call = _call(layer)
        yield len(layers)
    finally:
        for layer in layers:
            del layer.call
        if layers:
            for make in (model.make_train_function, model.make_test_function, model.make_predict_function):
                make(force=True)


def _call(layer: Any) -> Any:
    pool = tiled_max_pool(int(layer.pool_size[0]))

    def call(inputs: Any) -> Any:
        return pool(inputs)

    return call
