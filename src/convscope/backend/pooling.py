"""Max pooling on JAX whose gradient is fast on a CPU: the same numbers, the same ties, no select-and-scatter."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from convscope.backend.selection import backend_name


def is_jax_on_cpu() -> bool:
    """Whether the running back end is JAX without an accelerator, where XLA's own gradient is slow."""
    if backend_name() != "jax":
        return False
    import jax

    return jax.default_backend() == "cpu"


@cache
def tiled_max_pool(size: int) -> Callable[[Any], Any]:
    """Max pooling (n, h, w, c) -> (n, h // size, w // size, c) over windows that do not overlap, for JAX.

    Rows and columns that fill no window are left out, as with padding "valid". The gradient goes to the first largest
    value of each window in reading order, as XLA's select-and-scatter does; since no two windows meet, each input
    value gets one gradient or none, and the bits are the same.
    """
    import jax
    import jax.numpy as jnp

    def windows(x: Any) -> Any:
        n, h, w, c = x.shape
        rows, columns = h // size, w // size
        x = x[:, : rows * size, : columns * size]
        x = x.reshape(n, rows, size, columns, size, c)
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, size * size, c)

    @jax.custom_vjp
    def pool(x: Any) -> Any:
        return windows(x).max(axis=3)

    def forward(x: Any) -> tuple[Any, Any]:
        return pool(x), x

    def backward(x: Any, gradient: Any) -> tuple[Any]:
        parts = windows(x)
        largest = parts.max(axis=3, keepdims=True)
        is_free = jnp.ones(largest.shape[:3] + largest.shape[4:], bool)
        found = []
        for place in range(size * size):  # the first place that equals the largest takes the gradient
            is_it = is_free & (parts[:, :, :, place] == largest[:, :, :, 0])
            found.append(jnp.where(is_it, gradient, 0))
            is_free = is_free & ~is_it
        n, rows, columns, _, c = parts.shape
        whole = jnp.stack(found, axis=3).reshape(n, rows, columns, size, size, c)
        whole = whole.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows * size, columns * size, c)
        margins = [(0, 0), (0, x.shape[1] - rows * size), (0, x.shape[2] - columns * size), (0, 0)]
        return (jnp.pad(whole, margins),)

    pool.defvjp(forward, backward)
    return pool
