"""The pieces that every network ends in or begins with, and the seeds and penalties of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from convscope.backend.selection import load_keras

keras = load_keras()

POOLED, DROPOUT, OUTPUTS, PIXELS = "pooled", "dropout", "outputs", "pixels"


def seeds_from(seed: int) -> Iterator[int]:
    """An endless row of initialiser seeds, different for every layer and the same for the same `seed`."""
    return ((seed * 100_003 + k) % 2**31 for k in count(1))  # PyTorch takes 32 bits


def penalty(l1: float, l2: float) -> Any:
    """The L1 and L2 penalty of a kernel, or None when both are 0."""
    return keras.regularizers.L1L2(l1=l1, l2=l2) if l1 or l2 else None


def grey_to_rgb(pixels: Any) -> Any:
    """Repeat a (n, h, w, 1) grey picture to (n, h, w, 3), as networks trained on colour expect."""
    return keras.layers.Concatenate(name="grey_to_rgb")([pixels, pixels, pixels])


def pooled_head(
    features: Any, *, outputs: int, activation: str, dropout: float, regularizer: Any, seeds: Iterator[int]
) -> Any:
    """Global average pooling -> dropout -> dense: (n, h, w, c) -> (n, outputs)."""
    x = keras.layers.GlobalAveragePooling2D(name=POOLED)(features)
    return dense_head(x, outputs=outputs, activation=activation, dropout=dropout, regularizer=regularizer, seeds=seeds)


def dense_head(x: Any, *, outputs: int, activation: str, dropout: float, regularizer: Any, seeds: Iterator[int]) -> Any:
    """Dropout -> dense: (n, features) -> (n, outputs); the outputs are float32 even in mixed precision."""
    if dropout:
        x = keras.layers.Dropout(dropout, seed=next(seeds), name=DROPOUT)(x)
    dense = keras.layers.Dense(
        outputs,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        kernel_regularizer=regularizer,
        dtype="float32",
        name=OUTPUTS,
    )
    return dense(x)
