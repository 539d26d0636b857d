"""Batch norm over the whole batch, also where TensorFlow gives each device its part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convscope.backend.selection import backend_name, load_keras
from convscope.records.team import Team

keras = load_keras()


@contextmanager
def norms_over_all(model: Any, team: Team) -> Iterator[None]:
    """While the block runs, batch norm takes its mean and variance over all devices, as a lone process does.

    JAX does so by itself: there a spread batch is one array. Afterwards the layers are as they were.
    """
    layers: list[Any] = []
    if team.devices > 1 and backend_name() == "tensorflow":
        every = model._flatten_layers(include_self=False)
        layers = [x for x in every if isinstance(x, keras.layers.BatchNormalization) and not x.synchronized]
    try:
        for layer in layers:
            layer.synchronized = True
        yield
    finally:
        for layer in layers:
            layer.synchronized = False
