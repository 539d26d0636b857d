"""Functions that send back another gradient than their own, the same way on each back end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convscope.backend.selection import backend_name

Forward = Callable[[Any], Any]
Backward = Callable[[Any, Any], Any]


def with_backward(forward: Forward, backward: Backward) -> Forward:
    """`forward(x)`, whose gradient with respect to x is `backward(x, gradient of the result)`.

    Both use keras.ops only and take and give one tensor.
    """
    return {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}[backend_name()](forward, backward)


def pulled_back(forward: Forward, x: Any, gradient: Any) -> Any:
    """The gradient with respect to x of a plain `forward(x)` whose result has this gradient."""
    name = backend_name()
    if name == "jax":
        import jax

        return jax.vjp(forward, x)[1](gradient)[0]
    if name == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            result = forward(x)
        return tape.gradient(result, x, output_gradients=gradient, unconnected_gradients="zero")
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        return torch.autograd.grad(forward(x), x, gradient)[0]


def _jax(forward: Forward, backward: Backward) -> Forward:
    import jax

    function = jax.custom_vjp(lambda x: forward(x))  # a plain signature: defaults of `forward` would be traced
    function.defvjp(lambda x: (forward(x), x), lambda x, gradient: (backward(x, gradient),))
    return function


def _tensorflow(forward: Forward, backward: Backward) -> Forward:
    import tensorflow as tf

    return tf.custom_gradient(lambda x: (forward(x), lambda gradient: backward(x, gradient)))


def _torch(forward: Forward, backward: Backward) -> Forward:
    import torch

    class Ruled(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(context: Any, *gradients: Any) -> Any:
            return backward(context.saved_tensors[0], gradients[0])

    return Ruled.apply
