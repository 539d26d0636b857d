"""How the learning rate moves: a pure function of the step, so that a resumed run needs no memory of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.training.plan import Plan

keras = load_keras()
ops = keras.ops

_LearningRateSchedule: Any = keras.optimizers.schedules.LearningRateSchedule

# Smith & Topin 2018: rise for 30 % of the steps from 1/25 of the rate, then fall to a 10,000th
ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1e-4


@dataclass(frozen=True)
class Curve:
    """A schedule in steps.

    Attributes:
        kind: "constant", "cosine", "step" or "one-cycle".
        rate: full learning rate.
        warmup: steps of linear rise before the curve; total: steps of the whole phase.
        final_share: share of the rate left at the end (cosine).
        every, factor: fall by `factor` every so many steps (step).
    """

    kind: str
    rate: float
    total: int
    warmup: int = 0
    final_share: float = 0.0
    every: int = 1
    factor: float = 1.0


def curve_for(plan: Plan, rate: float, epochs: int, steps_per_epoch: int) -> Curve:
    """The plan's schedule for one phase."""
    warmup = min(round(plan.warmup_epochs * steps_per_epoch), max(epochs * steps_per_epoch - 1, 0))
    kind = "constant" if plan.schedule == "plateau" else plan.schedule
    return Curve(
        kind=kind,
        rate=rate,
        total=max(1, epochs * steps_per_epoch),
        warmup=warmup,
        final_share=plan.final_share,
        every=plan.step_epochs * steps_per_epoch,
        factor=plan.step_factor,
    )


@keras.saving.register_keras_serializable("convscope")
class CurveSchedule(_LearningRateSchedule):
    """A Curve as Keras takes it.

    Source: cosine: Loshchilov & Hutter 2017, eq. 5 (one period); one-cycle: Smith & Topin 2018, cosine shaped.
    """

    def __init__(self, **facts: Any) -> None:
        """Take the fields of a Curve, which is also how Keras reads it back from a file."""
        super().__init__()
        self.curve = Curve(**facts)

    def __call__(self, step: Any) -> Any:
        """Learning rate at a step, counted from 0."""
        c = self.curve
        step = ops.cast(step, "float32")
        if c.kind == "one-cycle":
            rise = max(1.0, ONE_CYCLE_RISE * c.total)
            up = ONE_CYCLE_START + (1 - ONE_CYCLE_START) * _half_cosine(step / rise)
            down = ONE_CYCLE_END + (1 - ONE_CYCLE_END) * (1 - _half_cosine((step - rise) / max(1.0, c.total - rise)))
            return c.rate * ops.where(step < rise, up, down)
        after = step - c.warmup
        if c.kind == "cosine":
            share = c.final_share + (1 - c.final_share) * (1 - _half_cosine(after / max(1, c.total - c.warmup)))
        elif c.kind == "step":
            share = ops.power(c.factor, ops.floor(ops.maximum(after, 0.0) / c.every))
        else:
            share = ops.ones_like(step)
        if c.warmup:
            share = ops.where(step < c.warmup, (step + 1) / (c.warmup + 1), share)
        return c.rate * share

    def get_config(self) -> dict[str, Any]:
        """The curve's fields."""
        return dict(vars(self.curve))


def _half_cosine(share: Any) -> Any:
    """0 at 0, 1 at 1, smooth between, clipped outside."""
    return 0.5 - 0.5 * ops.cos(math.pi * ops.clip(share, 0.0, 1.0))


def learning_rate(curve: Curve, uses_plateau: bool) -> Any:
    """What an optimizer takes: a plain number where nothing moves or a callback moves it, else a CurveSchedule."""
    if uses_plateau or (curve.kind == "constant" and not curve.warmup):
        return curve.rate
    return CurveSchedule(**vars(curve))


def current_rate(model: Any) -> float:
    """The learning rate that the model's next step takes."""
    rate = model.optimizer.learning_rate
    return float(to_numpy(getattr(rate, "value", rate)))
