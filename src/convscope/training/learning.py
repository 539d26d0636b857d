"""Watch every layer while it learns: gradients, saturation, size of the steps, and the filters themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.randomness import sync_model
from convscope.backend.selection import load_keras
from convscope.errors import ConvscopeError
from convscope.files.atomic import atomic_file
from convscope.files.journal import JournalFile
from convscope.records.learning import LayerState
from convscope.scope.learning import LayerWatch, remarks, weights_by_layer
from convscope.scope.start_check import check_start
from convscope.training.schedule import current_rate

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

SETTLED = 3  # time constants of batch normalisation's running mean: 95 % of the way, 300 steps at momentum 0.99


class Learning(_Callback):
    """In the middle of each epoch say of every layer how it learns; 'vanishing' or 'exploding' with its name.

    The gradient of the loss at each layer's output, the share of saturated units, and how far one step moved the
    weights, on one fixed batch. With a folder each epoch is also an event "layers" in the journal, and the chosen
    filters are kept as `folder/filters/epoch-0003.npz`, from initialisation (0000) to the last epoch.

    Args:
        images: (n, ...) a small fixed batch exactly as the model takes it.
        truth: what the model's loss takes for it.
        folder: the run folder, or None to keep everything in `states` and `snapshots` alone.
        filters: paths of layers whose kernels are kept after each epoch (for `scope.learning.filter_strip`).
        whole: the model that is looked at, where the fitted one is only a part of it (a head on features).
        named_in: a model that shares its layers, by whose paths they are called; None for the one looked at.
        branches: names of layers that only part of the loss reaches; see LayerState.
        loss: (truth, outputs) -> losses, where the fitted model's compiled loss can't be differentiated by itself.
        count: () -> epochs done so far, for trainings of several phases, each of which Keras counts from 0.
        has_start: whether training begins from random weights: then the initialisation is checked, and gradients are
            left out (None) until batch normalisation has settled.

    Attributes:
        states: one tuple of LayerState per epoch; said: the remarks of each; snapshots: kernels per moment.
    """

    def __init__(
        self,
        images: Any,
        truth: Any,
        *,
        folder: str | Path | None = None,
        filters: tuple[str, ...] = (),
        whole: Any = None,
        named_in: Any = None,
        branches: Sequence[str] = (),
        loss: Any = None,
        count: Callable[[], int] | None = None,
        has_start: bool = True,
    ) -> None:
        """Keep the batch; the model is looked at when training begins."""
        super().__init__()
        self.states: list[tuple[LayerState, ...]] = []
        self.said: list[tuple[str, ...]] = []
        self.snapshots: list[dict[str, list[np.ndarray]]] = []
        self._images, self._truth, self._filters = images, truth, tuple(filters)
        self._folder = None if folder is None else Path(folder)
        self._whole, self._loss, self._count, self._has_start = whole, loss, count, has_start
        self._named_in, self._branches = named_in, tuple(branches)
        self._watch: LayerWatch | None = None
        self._before: dict[str, list[np.ndarray]] = {}
        self._latest: tuple[LayerState, ...] | None = None
        self._middle = 0

    @property
    def looked_at(self) -> Any:
        """The model that is looked at."""
        return self.model if self._whole is None else self._whole

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the initialisation (He et al. 2015; Glorot and Bengio 2010) and keep the filters as they start."""
        if self._done() == 0:
            if self._folder is not None and self._has_start:
                checks = check_start(self.looked_at if self._named_in is None else self._named_in)
                odd = [vars(c) for c in checks if not c.is_fine]
                JournalFile(self._folder).write("start check", checked=len(checks), layers=odd)
            self._keep(0)
        try:
            loss = self.model.loss if self._loss is None else self._loss
            self._watch = LayerWatch(
                self.looked_at, self._images, self._truth, loss=loss, named_in=self._named_in, branches=self._branches
            )
        except ConvscopeError as error:
            self._give_up(error)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Choose the step that is looked at: the middle one, since a warm-up begins with steps of no size."""
        self._middle, self._latest = int((self.params or {}).get("steps") or 1) // 2, None

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the weights before that step."""
        if batch == self._middle and self._watch is not None:
            sync_model(self.model)
            self._before = weights_by_layer(self.looked_at)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at every layer after it."""
        if batch == self._middle and self._watch is not None:
            sync_model(self.model)
            try:
                seen = self._watch.look(self._before if current_rate(self.model) != 0 else None)
                self._latest = seen if self._is_settled() else tuple(replace(s, gradient_norm=None) for s in seen)
            except ConvscopeError as error:
                self._give_up(error)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write what was seen."""
        sync_model(self.model)
        number = epoch + 1 if self._count is None else self._count()
        self._keep(number)
        if self._latest is None:
            return
        self.states.append(self._latest)
        self.said.append(remarks(self._latest))
        if self._folder is not None:
            facts = [_rounded(state) for state in self._latest]
            JournalFile(self._folder).write("layers", epoch=number, layers=facts, said=list(self.said[-1]))

    def _is_settled(self) -> bool:
        """Whether batch normalisation knows its statistics; before that, gradients are not those of the training."""
        layers = self.looked_at._flatten_layers(include_self=False)
        kept = [x.momentum for x in layers if isinstance(x, keras.layers.BatchNormalization) and x.trainable]
        if not self._has_start or not kept:
            return True
        steps = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        return steps * (1 - max(kept)) >= SETTLED

    def _done(self) -> int:
        return 0 if self._count is None else self._count()

    def _give_up(self, error: ConvscopeError) -> None:
        """What can't be looked at ends the looking, not the training."""
        self._watch = None
        if self._folder is None:
            raise error
        JournalFile(self._folder).write("note", text=f"the layers are not watched: {error}")

    def _keep(self, epoch: int) -> None:
        if not self._filters:
            return
        weights = weights_by_layer(self.model)
        self.snapshots.append({name: weights[name] for name in self._filters})
        if self._folder is None:
            return
        with atomic_file(self._folder / "filters" / f"epoch-{epoch:04d}.npz") as path, open(path, "wb") as file:
            np.savez_compressed(file, **{name: weights[name][0] for name in self._filters})  # type: ignore[arg-type]


def _rounded(state: LayerState) -> dict[str, Any]:
    """Four digits are enough to read, and keep the journal short."""
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in vars(state).items()}
