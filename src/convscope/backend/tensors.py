"""Tensors to NumPy and functions to compiled functions, the same call on each back end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.backend.selection import backend_name, load_keras


def to_numpy(tensor: Any) -> np.ndarray:
    """Hand a tensor of the running back end over as a NumPy array.

    Without a copy where the back end allows it; the array may then be read-only. bfloat16 becomes float32.
    """
    name = backend_name()
    if name == "torch":
        value = tensor.detach()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return np.asarray(value.cpu().numpy())
    # a variable mirrored over devices is read first: inside their scope TensorFlow refuses its scalars as arrays
    array = np.asarray(tensor.read_value() if hasattr(tensor, "read_value") else tensor)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def in_fast_layout(structure: Any) -> Any:
    """Pictures (n, c, h, w) of a nested structure as the back end's convolutions read them fastest.

    PyTorch's on a CPU run about twice as fast when the channels of a pixel lie side by side in memory; shapes, values
    and gradients stay what they are. Other back ends choose by themselves.
    """
    if backend_name() != "torch":
        return structure
    import torch

    def laid_out(tensor: Any) -> Any:
        is_pictures = tensor.dim() == 4 and tensor.is_floating_point()
        return tensor.contiguous(memory_format=torch.channels_last) if is_pictures else tensor

    return load_keras().tree.map_structure(laid_out, structure)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of tensors (nested structures allowed) for the running back end.

    TensorFlow: tf.function; JAX: jit; PyTorch: as it is, without gradients. A new input shape compiles again, so
    keep shapes fixed. The function may only use keras.ops.
    """
    name = backend_name()
    if name == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if name == "jax":
        import jax

        return jax.jit(function)
    import torch

    return torch.no_grad()(function)
