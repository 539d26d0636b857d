"""Callbacks for one's own `model.fit`, and the same ones that `convscope.train` uses.

model.fit(x, y, callbacks=[convscope.callbacks.Journal("runs/a"), convscope.callbacks.Watch(images)])
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.randomness import sync_model
from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import to_numpy
from convscope.files.atomic import atomic_file
from convscope.files.journal import JournalFile
from convscope.training.learning import Learning
from convscope.training.schedule import current_rate

__all__ = ["Journal", "Learning", "Look", "Watch", "plain_logs"]

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

Look = Callable[[Any, np.ndarray], dict[str, np.ndarray]]


def plain_logs(logs: dict[str, Any] | None) -> dict[str, float]:
    """Logs of Keras as Python floats; what is not one number is left out."""
    return {k: float(v) for k, v in (logs or {}).items() if np.ndim(v) == 0}


class Journal(_Callback):
    """Write a run's journal: an event when training starts, one per epoch, one at its end.

    Args:
        folder: the run folder; made when absent, appended to when it holds a journal.
        phase: name written with each epoch.
        first_epoch: epochs that were done before Keras' epoch 0.
        file: an open journal to write to instead of opening one; whoever opened it writes "start" and "end".

    Raises:
        StorageError: the folder can't be written.
    """

    def __init__(
        self, folder: str | Path, *, phase: str = "train", first_epoch: int = 0, file: JournalFile | None = None
    ) -> None:
        """Open the journal; nothing is written before training starts."""
        super().__init__()
        self.folder = Path(folder)
        self.rows: list[dict[str, Any]] = []
        self._phase, self._first, self._is_whole = phase, first_epoch, file is None
        self._file = file or JournalFile(self.folder)
        self._began_s = self._epoch_began_s = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Write the start: model, parameters, back end, what is planned."""
        self._began_s = time.monotonic()
        if self._is_whole:
            params = self.params or {}
            self._file.write(
                "start",
                model=self.model.name,
                parameters=int(self.model.count_params()) if self.model.built else None,
                backend=backend_name(),
                keras=keras.__version__,
                epochs=params.get("epochs"),
                steps=params.get("steps"),
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the epoch's clock."""
        self._epoch_began_s = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write all logs with the learning rate and the seconds, validation included."""
        row = {
            "epoch": self._first + epoch + 1,
            "phase": self._phase,
            **plain_logs(logs),
            "learning_rate": current_rate(self.model),
            "seconds": round(time.monotonic() - self._epoch_began_s, 3),
        }
        self.rows.append(row)
        self._file.write("epoch", **row)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write the end."""
        if self._is_whole:
            self._file.write("end", epochs=len(self.rows), seconds=round(time.monotonic() - self._began_s, 3))


class Watch(_Callback):
    """After each epoch look at the same pictures: predictions, the outputs of chosen layers, and what `look` returns.

    Written to `folder/watch/epoch-0003.npz`: "images" once in epoch-0000.npz, then "outputs", "maps:LAYER" and
    "look:NAME" arrays, float16 where they are maps.

    Args:
        images: (n, h, w, c) exactly as the model takes them.
        folder: the run folder; without one the last epoch is kept in `latest` alone.
        layers: names of layers of a functional or sequential model whose outputs are kept.
        look: (model, images) -> name -> array, called after each epoch (Grad-CAM comes in this way).
        every: epochs between two looks.
        first_epoch: epochs that were done before Keras' epoch 0.
        whole: the model that is looked at, where the fitted one is only a part of it (a head on features).
        count: () -> epochs done so far, for trainings of several phases, each of which Keras counts from 0.
    """

    def __init__(
        self,
        images: np.ndarray,
        *,
        folder: str | Path | None = None,
        layers: tuple[str, ...] = (),
        look: Look | None = None,
        every: int = 1,
        first_epoch: int = 0,
        whole: Any = None,
        count: Callable[[], int] | None = None,
    ) -> None:
        """Keep the pictures; the model is looked at when training begins."""
        super().__init__()
        self.images = np.asarray(images)
        self.latest: dict[str, np.ndarray] = {}
        self._folder = None if folder is None else Path(folder) / "watch"
        self._layers, self._look, self._every, self._first = tuple(layers), look, max(1, every), first_epoch
        self._whole, self._count = whole, count

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look once before anything is learned."""
        if (self._first if self._count is None else self._count()) == 0:
            self._write(0, {"images": self.images, **self._see()})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look, keep, write."""
        number = self._first + epoch + 1 if self._count is None else self._count()
        if number % self._every == 0:
            self._write(number, self._see())

    def _see(self) -> dict[str, np.ndarray]:
        sync_model(self.model)  # on JAX the newest weights lie outside the model while it is fitted
        model = self.model if self._whole is None else self._whole
        seen = {"outputs": to_numpy(model(self.images, training=False))}
        if self._layers:
            inputs = model.inputs
            watched = keras.Model(
                inputs[0] if len(inputs) == 1 else inputs, [model.get_layer(name).output for name in self._layers]
            )
            maps = keras.tree.flatten(watched(self.images, training=False))
            seen |= {f"maps:{n}": to_numpy(m).astype(np.float16) for n, m in zip(self._layers, maps, strict=True)}
        if self._look is not None:
            seen |= {f"look:{name}": np.asarray(v) for name, v in self._look(model, self.images).items()}
        return seen

    def _write(self, epoch: int, seen: dict[str, np.ndarray]) -> None:
        self.latest = seen
        if self._folder is None:
            return
        with atomic_file(self._folder / f"epoch-{epoch:04d}.npz") as path, open(path, "wb") as file:
            np.savez_compressed(file, **seen)  # type: ignore[arg-type]  # its stub takes names for options
