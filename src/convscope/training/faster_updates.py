"""While a model is trained by TensorFlow on a CPU, Adam and AdamW read and write each variable once per step.

Keras' dozen operations each pass over all weights: 7 % of a step of ResNet50 with batches of 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convscope.backend.adam import apply_adam, is_dense, is_distributed
from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.selection import load_keras

keras = load_keras()


@contextmanager
def faster_updates(model: Any) -> Iterator[bool]:
    """Give the compiled model's optimizer another `update_step` inside the block; whether that helps.

    Only the instance changes: its variables, state and configuration are those of Keras, and so is what is saved.
    """
    optimizer = model.optimizer
    if not _is_plain(optimizer):
        yield False
        return
    optimizer.update_step = _step(optimizer)
    try:
        yield True
    finally:
        del optimizer.update_step
        model.train_function = None  # the compiled one holds the other step


def _is_plain(optimizer: Any) -> bool:
    return (
        is_tensorflow_on_cpu()
        and not is_distributed()
        and type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
        and not optimizer.amsgrad
    )


def _step(optimizer: Any) -> Any:
    usual = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not (is_dense(gradient) and variable.dtype == gradient.dtype):
            return usual(gradient, variable, learning_rate)
        place = optimizer._get_variable_index(variable)
        moments = optimizer._momentums[place], optimizer._velocities[place]
        apply_adam(variable, moments, gradient, rate=learning_rate, step=optimizer.iterations + 1, how=optimizer)
        return None

    return update_step
