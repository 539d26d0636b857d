"""Watch every layer while it learns: gradients, saturation, size of the steps, and the filters themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.randomness import sync_model
from convscope.backend.selection import load_keras
from convscope.files.atomic import atomic_file
from convscope.files.journal import JournalFile
from convscope.scope.learning import LayerState, check_start, layer_states, remarks, weights_by_layer
from convscope.scope.tap import Probe

keras = load_keras()

_Callback: Any = keras.callbacks.Callback


class Learning(_Callback):
    """After the first step of each epoch say of every layer how it learns; 'vanishing' or 'exploding' with its name.

    The gradient of the loss at each layer's output, the share of saturated units, and how far one step moved the
    weights, on one fixed batch. With a folder each epoch is also an event "layers" in the journal, and the chosen
    filters are kept as `folder/filters/epoch-0003.npz`, from initialisation (0000) to the last epoch.

    Args:
        images: (n, ...) a small fixed batch exactly as the model takes it.
        truth: what the model's loss takes for it.
        folder: the run folder, or None to keep everything in `states` and `snapshots` alone.
        filters: paths of layers whose kernels are kept after each epoch (for `scope.learning.filter_strip`).

    Attributes:
        states: one tuple of LayerState per epoch; said: the remarks of each; snapshots: kernels per moment.
    """

    def __init__(
        self, images: Any, truth: np.ndarray, *, folder: str | Path | None = None, filters: tuple[str, ...] = ()
    ) -> None:
        """Keep the batch; the model is looked at when training begins."""
        super().__init__()
        self.states: list[tuple[LayerState, ...]] = []
        self.said: list[tuple[str, ...]] = []
        self.snapshots: list[dict[str, list[np.ndarray]]] = []
        self._images, self._truth, self._filters = images, np.asarray(truth), tuple(filters)
        self._folder = None if folder is None else Path(folder)
        self._before: dict[str, list[np.ndarray]] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the initialisation (He et al. 2015; Glorot and Bengio 2010) and keep the filters as they start."""
        if self._folder is not None:
            odd = [c for c in check_start(self.model) if not c.is_fine]
            JournalFile(self._folder).write("start check", layers=[vars(c) for c in odd])
        self._keep(0)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the weights before the first step of the epoch."""
        if batch == 0:
            sync_model(self.model)
            self._before = weights_by_layer(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at every layer after it."""
        if batch == 0:
            sync_model(self.model)
            probe = Probe(self.model)
            self.states.append(layer_states(probe, self._images, self._truth, before=self._before))
            self.said.append(remarks(self.states[-1]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write what was seen."""
        sync_model(self.model)
        self._keep(epoch + 1)
        if self._folder is not None:
            facts = [vars(state) for state in self.states[-1]]
            JournalFile(self._folder).write("layers", epoch=epoch + 1, layers=facts, said=list(self.said[-1]))

    def _keep(self, epoch: int) -> None:
        if not self._filters:
            return
        weights = weights_by_layer(self.model)
        self.snapshots.append({name: weights[name] for name in self._filters})
        if self._folder is None:
            return
        with atomic_file(self._folder / "filters" / f"epoch-{epoch:04d}.npz") as path, open(path, "wb") as file:
            np.savez_compressed(file, **{name: weights[name][0] for name in self._filters})  # type: ignore[arg-type]
