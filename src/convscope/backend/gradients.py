"""Run a function once per shape, compiled, and differentiate its score at chosen places, the same way on each back end.

A place is marked by a tap: the function hands a tensor to `tap(key, tensor)` and goes on with what comes back, the
tensor plus zeros. The gradient of the score with respect to those zeros is the gradient at the place, also when all
weights are frozen. Tried on JAX, TensorFlow and PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.selection import backend_name

Tap = Callable[[str, Any], Any]
Tapped = Callable[[Tap, list[Any], Any], tuple[Any, Any]]
Run = Callable[[Any], tuple[Any, dict[str, Any]]]


def untouched(key: str, tensor: Any) -> Any:
    """The tap that marks nothing."""
    return tensor


def compile_tapped(
    function: Tapped, variables: Sequence[Any], example: Any, *, differentiate: bool, fixed: bool = False
) -> Run:
    """Compile `function(tap, values, arguments) -> (score, seen)` for arguments shaped like `example`.

    Args:
        function: uses keras.ops only; `values` are the current values of `variables`; `score` is a scalar, or None
            when nothing is differentiated; `seen` is a nested structure of tensors.
        variables: Keras variables whose values the function reads; read anew on every run unless `fixed`.
        example: nested structure of tensors; every later run must have the same shapes and dtypes.
        differentiate: whether to return gradients at the taps.
        fixed: the values of now stay; TensorFlow then folds them and lays them out once, elsewhere nothing changes.

    Returns:
        arguments -> (seen, gradients by key). A key is absent when the score does not depend on that place.
    """
    if backend_name() == "tensorflow":
        return _compile_tensorflow(function, list(variables), example, differentiate, fixed)
    make = {"jax": _compile_jax, "torch": _compile_torch}[backend_name()]
    return make(function, list(variables), example, differentiate)


def run_eagerly(function: Tapped, variables: Sequence[Any], *, differentiate: bool) -> Run | None:
    """The same without tracing, where the back end can (TensorFlow); None elsewhere."""
    return _step_tensorflow(function, list(variables), differentiate) if backend_name() == "tensorflow" else None


def run_abstractly(function: Callable[[list[Any], Any], Any], variables: Sequence[Any], arguments: Any) -> None:
    """Run `function(values, arguments)` for its Python side effects: shapes only, except on PyTorch (really run)."""
    name = backend_name()
    if name == "jax":
        import jax

        jax.eval_shape(lambda values, given: (function(values, given), None)[1], _values(variables), arguments)
    elif name == "tensorflow":
        import tensorflow as tf

        def traced(given: Any) -> Any:
            function(_values(variables), given)
            return tf.constant(0)

        tf.function(traced, autograph=False).get_concrete_function(arguments)
    else:
        import torch

        with torch.no_grad():
            function([v.detach() for v in _values(variables)], arguments)


def leak_errors() -> tuple[type[Exception], ...]:
    """What the back end raises when a tensor of an inner trace (scan, cond, remat) is carried outside."""
    name = backend_name()
    if name == "jax":
        import jax

        return (jax.errors.UnexpectedTracerError,)
    if name == "tensorflow":
        return (TypeError, ValueError)  # "is out of scope and cannot be used here"
    return ()


def needs_fixed_shapes() -> bool:
    """Whether a new batch size compiles anew, so that the last batch is better padded."""
    return backend_name() != "torch"


@cache
def runs_abreast() -> bool:
    """Whether two compiled runs at a time are faster than one after the other.

    On CPUs TensorFlow's run leaves cores idle where one operation waits for its slowest thread; an accelerator works
    on one run at a time.
    """
    return is_tensorflow_on_cpu() and (os.cpu_count() or 1) > 1


def random_state_kept() -> AbstractContextManager[Any]:
    """Leave the back end's own global random state as it was."""
    if backend_name() == "torch":
        import torch

        return torch.random.fork_rng(devices=range(torch.cuda.device_count()))
    return nullcontext()


def was_overwritten(tensors: Sequence[tuple[Any, int]]) -> bool:
    """Whether an in-place operation changed one of the (tensor, version) pairs since `version` (PyTorch only)."""
    return any(version >= 0 and tensor._version != version for tensor, version in tensors)


def version(tensor: Any) -> int:
    """How often a tensor was written in place; -1 where tensors can't be."""
    return int(tensor._version) if backend_name() == "torch" else -1


def _values(variables: Sequence[Any]) -> list[Any]:
    return [v.value for v in variables]


def _compile_jax(function: Tapped, variables: list[Any], example: Any, differentiate: bool) -> Run:
    import jax
    import jax.numpy as jnp

    if not differentiate:
        plain = jax.jit(lambda values, given: function(untouched, values, given)[1])
        return lambda given: (plain(_values(variables), given), {})
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {}

    def note(key: str, tensor: Any) -> Any:
        shapes[key] = (tensor.shape, tensor.dtype)
        return tensor

    jax.eval_shape(lambda values, given: function(note, values, given)[0], _values(variables), example)

    def scored(zeros: dict[str, Any], values: list[Any], given: Any) -> tuple[Any, Any]:
        return function(lambda key, tensor: tensor + zeros[key], values, given)

    def step(values: list[Any], given: Any) -> tuple[Any, dict[str, Any]]:
        zeros = {key: jnp.zeros(shape, dtype) for key, (shape, dtype) in shapes.items()}
        (_, seen), gradients = jax.value_and_grad(scored, has_aux=True)(zeros, values, given)
        return seen, gradients

    compiled = jax.jit(step)
    suspects = _constant_gradients(compiled.trace(_values(variables), example))

    def run(given: Any) -> tuple[Any, dict[str, Any]]:
        seen, gradients = compiled(_values(variables), given)
        return seen, {k: g for k, g in gradients.items() if k not in suspects or bool(jnp.any(g != 0))}

    return run


def _constant_gradients(traced: Any) -> set[str]:
    """Keys whose gradient depends on no argument: JAX writes plain zeros where the score does not reach a place."""
    import jax

    jaxpr = traced.jaxpr.jaxpr
    dependent = {id(v) for v in jaxpr.invars}
    for equation in jaxpr.eqns:
        if any(id(v) in dependent for v in equation.invars):
            dependent.update(id(v) for v in equation.outvars)
    flags = jax.tree.unflatten(jax.tree.structure(traced.out_info), [id(v) in dependent for v in jaxpr.outvars])
    return {key for key, depends in flags[1].items() if not depends}


def _compile_tensorflow(function: Tapped, variables: list[Any], example: Any, differentiate: bool, fixed: bool) -> Run:
    import tensorflow as tf

    step = tf.function(_step_tensorflow(function, variables, differentiate, fixed), autograph=False)
    return step.get_concrete_function(example)


def _step_tensorflow(function: Tapped, variables: list[Any], differentiate: bool, fixed: bool = False) -> Run:
    import tensorflow as tf

    known = [np.asarray(tf.convert_to_tensor(v)) for v in _values(variables)] if fixed else []

    def step(given: Any) -> tuple[Any, dict[str, Any]]:
        values = [tf.convert_to_tensor(v) for v in known or _values(variables)]
        if not differentiate:
            return function(untouched, values, given)[1], {}
        zeros: dict[str, Any] = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def tap(key: str, tensor: Any) -> Any:
                zeros[key] = tf.zeros_like(tensor)
                tape.watch(zeros[key])
                return tensor + zeros[key]

            score, seen = function(tap, values, given)
        gradients = tape.gradient(score, zeros)
        return seen, {k: tf.convert_to_tensor(g) for k, g in gradients.items() if g is not None}

    return step


def _compile_torch(function: Tapped, variables: list[Any], example: Any, differentiate: bool) -> Run:
    import torch

    def plain(given: Any) -> tuple[Any, dict[str, Any]]:
        with torch.no_grad():
            return function(untouched, [v.detach() for v in _values(variables)], given)[1], {}

    def step(given: Any) -> tuple[Any, dict[str, Any]]:
        zeros: dict[str, Any] = {}

        def tap(key: str, tensor: Any) -> Any:
            zeros[key] = torch.zeros_like(tensor, requires_grad=True)
            return tensor + zeros[key]

        with torch.enable_grad():
            score, seen = function(tap, [v.detach() for v in _values(variables)], given)
            if not score.requires_grad:
                return seen, {}
            found = torch.autograd.grad(score, list(zeros.values()), allow_unused=True)
        return seen, {k: g for k, g in zip(zeros, found) if g is not None}

    return step if differentiate else plain
