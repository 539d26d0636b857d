"""Find a learning rate: raise it step by step, watch the loss, and take what falls fastest.

Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3; smoothing and the stop at four
times the lowest loss as in common use since.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.training.feed import Feed
from convscope.training.weights import read_variables, write_variables

keras = load_keras()

SMOOTHING = 0.9
STOP_AT = 4.0  # times the lowest smoothed loss


@dataclass(frozen=True)
class RateCurve:
    """What the sweep saw.

    Attributes:
        rates: learning rates, rising; losses: smoothed loss after a step with each.
        suggestion: the rate at the steepest fall; None when the loss never fell.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """The middle of the window in which the loss falls most, up to its lowest point; None when it never falls.

    A window is a sixth of the sweep, at least 5 steps: the slope from one step to the next is mostly the batch's own.
    """
    end = int(np.argmin(losses)) + 1
    width = max(5, len(losses) // 6)
    if end <= width:
        return None
    falls = [losses[k] - losses[k + width] for k in range(end - width)]
    place = int(np.argmax(falls))
    return rates[place + width // 2] if falls[place] > 0 else None


def find_rate(model: Any, feed: Feed, *, lowest: float = 1e-6, highest: float = 1.0, steps: int = 60) -> RateCurve:
    """Sweep the rate of a compiled model; weights and optimizer are as before afterwards.

    Args:
        model: compiled, with a plain number as learning rate.
        feed: batches of training data; read again from the start when it ends.
        lowest: first rate.
        highest: last rate; the sweep ends earlier when the loss runs away.
        steps: how many rates, equally far apart in logarithm.

    Raises:
        ModelError: the model is not compiled.
    """
    if model.optimizer is None:
        raise ModelError("expected a compiled model for the learning-rate finder, got one without an optimizer")
    weights, optimizer = read_variables(model.variables), read_variables(model.optimizer.variables)
    before = model.optimizer.learning_rate
    rate_before = float(np.asarray(getattr(before, "value", before)))
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    try:
        for step in range(steps):
            rate = lowest * (highest / lowest) ** (step / max(1, steps - 1))
            model.optimizer.learning_rate = rate
            model.reset_metrics()
            batch = feed[step % feed.num_batches]
            loss = float(model.train_on_batch(*batch, return_dict=True)["loss"])
            if not math.isfinite(loss):
                break
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            smooth = mean / (1 - SMOOTHING ** (step + 1))
            if losses and smooth > STOP_AT * min(losses):
                break
            rates.append(rate)
            losses.append(smooth)
    finally:
        write_variables(model.variables, weights, "weights")
        write_variables(model.optimizer.variables, optimizer, "optimizer")
        model.optimizer.learning_rate = rate_before
        model.reset_metrics()
    return RateCurve(tuple(rates), tuple(losses), suggest(rates, losses) if losses else None)
