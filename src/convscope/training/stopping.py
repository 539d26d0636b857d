"""When training stops: no gain for a while, or a loss that is no longer a number; and which epoch was best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ConvscopeError, PlanError
from convscope.registry import nearest
from convscope.training.callbacks import plain_logs
from convscope.training.plan import Plan
from convscope.training.state import RunState
from convscope.training.weights import own_copies, read_variables, write_variables

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

_RISING = ("acc", "auc", "precision", "recall", "f1", "r2", "iou", "score")


class DivergedError(ConvscopeError, ArithmeticError):
    """The loss became NaN or infinite; the last finite checkpoint is kept."""


def is_rising(monitor: str) -> bool:
    """Whether more is better: true for names with acc, auc, precision, recall, f1, r2, iou or score in them."""
    return any(word in monitor.lower() for word in _RISING)


class BestEpoch(_Callback):
    """Keep the best epoch's weights in the run's state, and stop when `plan.patience` epochs bring no gain.

    With averaged weights (`plan.ema`) the kept ones are those that were validated.
    """

    def __init__(self, plan: Plan, state: RunState, first_epoch: int) -> None:
        """The state is shared with the checkpoint, so that a resumed run goes on counting."""
        super().__init__()
        self._plan, self._state, self._first = plan, state, first_epoch
        self._validated: list[np.ndarray] | None = None

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Take the averaged weights while they are in the model (the swap back comes after this callback)."""
        self._validated = read_variables(self.model.variables) if self._plan.ema else None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare with the best so far.

        Raises:
            PlanError: the log has no such number.
        """
        plan, state, seen = self._plan, self._state, plain_logs(logs)
        if plan.monitor not in seen:
            if plan.monitor.startswith("val_") and not any(name.startswith("val_") for name in seen):
                return  # there is no validation part; the last epoch counts
            raise PlanError(f"unknown monitor {plan.monitor!r}; {nearest(plan.monitor, seen)}")
        value = seen[plan.monitor]
        sign = 1.0 if is_rising(plan.monitor) else -1.0
        if state.best_value is None or sign * (value - state.best_value) > plan.min_delta:
            state.best_value, state.best_epoch, state.waited = value, self._first + epoch + 1, 0
            state.best_weights = self._validated or read_variables(self.model.variables)
            return
        state.waited += 1
        if plan.patience and state.waited >= plan.patience:
            state.ended = "patience"  # before this epoch's checkpoint: a run killed after it must not train on
            self.model.stop_training = True


class Averaged(_Callback):
    """Validate with the averaged weights (`plan.ema`), then go on training with the others.

    Keras' SwapEMAWeights does the same but warns on JAX under NumPy 2; this one needs the public API alone. Keras also
    ends every `fit` with the averages in the model; `take_back` undoes that, so that training can go on exactly.
    """

    def __init__(self) -> None:
        """Nothing is set aside yet."""
        super().__init__()
        self._raw: list[np.ndarray] | None = None
        self._trained: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the trained weights when this may be the last epoch of a fit."""
        if self.model.stop_training or epoch + 1 == (self.params or {}).get("epochs"):
            self._trained = read_variables(self.model.trainable_variables)

    def take_back(self) -> None:
        """After a fit: the trained weights instead of the averages."""
        if self._trained is not None:
            write_variables(self.model.trainable_variables, self._trained, "weights")
        self._trained = None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Set the trained weights aside, put the averages in their place."""
        self._raw = read_variables(self.model.trainable_variables)
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        own_copies(self.model.trainable_variables)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Take the trained weights back."""
        if self._raw is not None:
            write_variables(self.model.trainable_variables, self._raw, "weights")
        self._raw = None


class Plateau(_Callback):
    """Lower the learning rate when the monitored number stays where it is; warm-up rises by epochs here."""

    def __init__(self, plan: Plan, state: RunState, rate: float) -> None:
        """`rate` is the phase's full learning rate."""
        super().__init__()
        self._plan, self._state, self._rate = plan, state, rate
        self._best: float | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rate from the number of falls so far, which the state remembers."""
        warm = min(1.0, (epoch + 1) / (self._plan.warmup_epochs + 1)) if self._plan.warmup_epochs else 1.0
        self.model.optimizer.learning_rate = self._rate * warm * self._plan.plateau_factor**self._state.plateau_drops

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count epochs without gain; BestEpoch, which runs before, has reset `waited` on a gain."""
        state = self._state
        state.plateau_waited = 0 if state.waited == 0 else state.plateau_waited + 1
        if state.plateau_waited >= self._plan.plateau_patience:
            state.plateau_waited, state.plateau_drops = 0, state.plateau_drops + 1


class FiniteLoss(_Callback):
    """Stop with a clear error at the first batch whose loss is NaN or infinite."""

    def __init__(self, kept: Callable[[], str], named: Callable[[], str] = str) -> None:
        """`kept` says in words what is left of the run, `named` which pictures the present batch holds."""
        super().__init__()
        self._kept, self._named = kept, named
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the running mean of the loss, which stays NaN once it is.

        Raises:
            DivergedError: naming epoch, batch and pictures.
        """
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            named = self._named()
            raise DivergedError(
                f"expected a finite loss, got {float(loss)} in epoch {self._epoch + 1}, batch {batch + 1}"
                f"{f' ({named})' if named else ''}; {self._kept()}; lower the learning rate, set clipnorm, or look for "
                "pictures with NaN"
            )
