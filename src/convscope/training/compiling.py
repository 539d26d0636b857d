"""From a plan to a compiled model: optimizer, loss, metrics, 16-bit computing; a user's own compile is kept."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.registry import nearest
from convscope.tasks.outputs import Head, loss_name
from convscope.tasks.rules import TASKS
from convscope.training.plan import Plan

keras = load_keras()

_WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
_NOT_DECAYED = ["bias", "gamma", "beta"]


def _classes(module: Any, base: type) -> dict[str, type]:
    found = {name: getattr(module, name) for name in dir(module)}
    return {n: c for n, c in found.items() if inspect.isclass(c) and issubclass(c, base) and c is not base}


def optimizer_class(name: str) -> type:
    """The Keras optimizer of that name, whatever its capitals.

    Raises:
        PlanError: naming the nearest known one.
    """
    known = {n.lower(): c for n, c in _classes(keras.optimizers, keras.optimizers.Optimizer).items()}
    known = {n: c for n, c in known.items() if c.__name__ not in _WRAPPERS}
    if name.lower() not in known:
        raise PlanError(f"unknown optimizer {name!r}; {nearest(name, known)}")
    return known[name.lower()]


def make_optimizer(plan: Plan, rate: Any) -> Any:
    """A new optimizer; `rate` is a number or a schedule. Float16 gets dynamic loss scaling."""
    kind = optimizer_class(plan.optimizer)
    takes = inspect.signature(kind).parameters
    options: dict[str, Any] = {"learning_rate": rate}
    if plan.clipnorm is not None:
        options["clipnorm"] = plan.clipnorm
    if plan.weight_decay:
        options["weight_decay"] = plan.weight_decay
    if plan.ema:
        options |= {"use_ema": True, "ema_momentum": plan.ema}
    if "momentum" in takes and kind.__name__ in ("SGD", "RMSprop"):
        options["momentum"] = plan.momentum
    optimizer = kind(**options)
    if plan.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return keras.optimizers.LossScaleOptimizer(optimizer) if plan.mixed_precision == "float16" else optimizer


def make_loss(plan: Plan, default: str) -> Any:
    """A new Keras loss object by the plan's name.

    Raises:
        PlanError: an unknown loss (the nearest is said), or label smoothing for a loss that knows none.
    """
    wanted = default if plan.loss == "auto" else loss_name(plan.loss)
    known = {loss_name(c): c for c in _classes(keras.losses, keras.losses.Loss).values()}
    if wanted not in known:
        raise PlanError(f"unknown loss {plan.loss!r}; {nearest(wanted, known)}")
    if not plan.label_smoothing:
        return known[wanted]()
    if "label_smoothing" not in inspect.signature(known[wanted]).parameters:
        raise PlanError(
            f"expected a loss that knows label smoothing, got {wanted}; set label_smoothing = 0 or loss = "
            '"categorical_crossentropy"'
        )
    return known[wanted](label_smoothing=plan.label_smoothing)


def compile_model(model: Any, head: Head, plan: Plan, rate: Any) -> None:
    """Compile `model` by the plan, in place; the optimizer is built for what is trainable now."""
    rules = TASKS[head.task]
    optimizer = make_optimizer(plan, rate)
    model.compile(
        optimizer=optimizer,
        loss=make_loss(plan, rules.loss),
        metrics=rules.metrics(keras, head),
        auto_scale_loss=False,  # make_optimizer has done it
    )
    optimizer.build(model.trainable_variables)


@contextmanager
def computing_in(model: Any, precision: str) -> Iterator[None]:
    """Let the layers of one model compute in 16 bits inside the block; the last layer and all weights stay float32.

    The global policy is not touched; afterwards every layer has its own policy again.
    """
    if precision == "off":
        yield
        return
    layers = [layer for layer in model._flatten_layers(include_self=False) if not getattr(layer, "layers", None)]
    before = [(layer, layer.dtype_policy) for layer in layers]
    last = model.layers[-1]
    try:
        for layer in layers:
            if layer is not last and type(layer).__name__ != "InputLayer":
                layer.dtype_policy = keras.DTypePolicy(f"mixed_{precision}")
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy
        model.make_predict_function(force=True)
        model.make_test_function(force=True)
        model.make_train_function(force=True)
