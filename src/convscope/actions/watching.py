"""A training that is watched: a few pictures explained after each epoch, and the film strip of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.film import film_of
from convscope.actions.learned import WORTH_EPOCHS, epochs_done
from convscope.actions.network import Prepared, as_model_input
from convscope.backend.randomness import sync_model
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.errors import ConvscopeError
from convscope.explaining.engine import Limits, Wish
from convscope.explaining.method import method as registered
from convscope.explaining.watching import MAPS, PREFIX, heat_look
from convscope.files.atomic import atomic_file, write_json
from convscope.files.journal import JournalFile, plain
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.training.callbacks import Look, Watch
from convscope.training.plan import Plan

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

FACTS = "pictures.json"
WATCHED_MAPS, LONGEST_PX = 4, 48  # of one layer, shrunk: a few kilobytes an epoch


def watch_filters(folder: Path, prepared: Prepared, plan: Plan) -> list[Any]:
    """The callback that keeps the first layer's filters after each epoch; none where training is not watched."""
    if not plan.watch_pictures or plan.epochs + plan.head_epochs < WORTH_EPOCHS:
        return []
    convolutions = [layer for layer in prepared.model.layers if isinstance(layer, keras.layers.Conv2D)]
    return [_Filters(folder, convolutions[0])] if convolutions else []


def watch(folder: Path, samples: Samples, prepared: Prepared, plan: Plan) -> list[Any]:
    """The callback that a plan asks for, and what the report needs beside its files; none where it is of no use.

    Args:
        folder: the run folder.
        samples: validation pictures, or training pictures where there are none.
        prepared: what is trained.
        plan: says how many pictures, by which method, how often.

    Raises:
        UnknownNameError: no such method.
    """
    if not plan.watch_pictures or samples.task != "classify" or samples.truth is None or not len(samples):
        return []
    how = registered(plan.watch_method)
    if plan.epochs + plan.head_epochs < WORTH_EPOCHS:
        return []
    chosen = samples.subset(_of_every_class(np.asarray(samples.truth), plan.watch_pictures))
    loader = Loader(chosen, prepared.preprocess, batch_size=len(chosen), cache=NO_CACHE, unreadable="drop")
    batch = loader.batch(0, 0)
    if not len(batch.images):
        return []
    truth = [int(np.asarray(chosen.truth)[i]) for i in batch.indices]
    labels = [chosen.pictures.keys[int(i)] for i in batch.indices]
    layer = mapped_layer(prepared.model)
    facts = {"truth": truth, "labels": labels, "classes": list(samples.classes), "method": how.name, "layer": layer}
    write_json(folder / "watch" / FACTS, plain(facts))
    wish = Wish(saved_layer=prepared.feature_layer if how.needs_layer else "")
    names = [samples.classes[i] for i in truth]
    look = heat_look(how.name, names, wish=wish, limits=Limits(batch_size=8), classes=samples.classes)
    inputs = as_model_input(batch.images, prepared.preprocess)
    return [_Watching(folder, inputs, look, every=plan.watch_every, whole=prepared.model, layer=layer)]


def mapped_layer(model: Any) -> str:
    """The layer whose first maps are watched: the activation after the first convolution, or that convolution.

    Returns:
        A name; "" for a model that hides its layers, or takes channels first.
    """
    try:
        layers = [layer for layer in model.layers if len(layer.output.shape) == 4]
    except (AttributeError, ValueError):  # no graph, or a layer that is called several times
        return ""
    first = next((i for i, layer in enumerate(layers) if isinstance(layer, keras.layers.Conv2D)), None)
    if first is None or layers[first].data_format != "channels_last":
        return ""
    after = [layer for layer in layers[first : first + 4] if "ReLU" in type(layer).__name__ or _bends(layer)]
    return str((after or layers[first : first + 1])[0].name)


def _bends(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Activation)


def film(folder: Path) -> list[Section]:
    """The film strip of a watched run; nothing where it was not watched."""
    path = folder / "watch" / FACTS
    if not path.is_file():
        return []
    facts = json.loads(path.read_text(encoding="utf-8"))
    if len(list(path.parent.glob("epoch-*.npz"))) < 2:
        return []
    how = f"{facts['method']} of the true class, {len(facts['labels'])} pictures that training did not use"
    return [film_of(folder, facts["truth"], facts["classes"], how=how)]


def _of_every_class(truth: np.ndarray, most: int) -> np.ndarray:
    """Numbers of pictures, class by class in turn."""
    queues = [list(np.flatnonzero(truth == c)) for c in np.unique(truth)]
    chosen: list[int] = []
    while len(chosen) < most and any(queues):
        for queue in queues:
            if queue and len(chosen) < most:
                chosen.append(int(queue.pop(0)))
    return np.array(sorted(chosen), np.int64)


class _Filters(_Callback):
    """Keep one layer's kernels from initialisation (epoch 0) to the last epoch, over all phases of a run."""

    def __init__(self, folder: Path, layer: Any) -> None:
        super().__init__()
        self._folder, self._layer = folder, layer

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The filters as they start."""
        self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """The filters after one more epoch."""
        self._keep()

    def _keep(self) -> None:
        sync_model(self.model)
        path = self._folder / "filters" / f"epoch-{epochs_done(self._folder):04d}.npz"
        with atomic_file(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **{self._layer.name: to_numpy(self._layer.kernel.value)})  # type: ignore[arg-type]  # its stub takes names for options


class _Watching(Watch):
    """Watch over all phases of a run; what can't be explained ends the watching, not the training."""

    def __init__(
        self, folder: Path, images: np.ndarray, look: Look, *, every: int, whole: Any, layer: str = ""
    ) -> None:
        layers = (layer,) if layer else ()
        super().__init__(
            images, folder=folder, layers=layers, look=look, every=every, whole=whole, count=lambda: epochs_done(folder)
        )
        self._run, self._is_over = folder, False

    def _see(self) -> dict[str, np.ndarray]:
        if self._is_over:
            return {}
        try:
            return {name: _few(seen) if name.startswith(MAPS) else seen for name, seen in super()._see().items()}
        except ConvscopeError as error:
            self._is_over = True
            JournalFile(self._run).write("note", text=f"the pictures are not watched: {error}")
            return {}

    def _write(self, epoch: int, seen: dict[str, np.ndarray]) -> None:
        if PREFIX in seen:
            super()._write(epoch, seen)


def _few(maps: np.ndarray) -> np.ndarray:
    """The same few maps of each epoch, every so many pixels: (n, h, w, c) -> (n, at most 48, at most 48, at most 4)."""
    step = -(-max(maps.shape[1:3]) // LONGEST_PX)
    return np.ascontiguousarray(maps[:, ::step, ::step, :WATCHED_MAPS])
