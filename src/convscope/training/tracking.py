"""Follow a run in other programs: one callback that looks after each epoch, and a sink for each program.

`plan.track = ["tensorboard", "csv"]`; other packages add sinks through the entry-point group "convscope.trackers".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from convscope.backend.randomness import sync_model
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.draw.colour import diverging, viridis
from convscope.files.journal import read_journal
from convscope.registry import Registry
from convscope.training.plan import Plan
from convscope.training.plan_text import toml_values
from convscope.training.weights import read_variables

keras = load_keras()

_Callback: Any = keras.callbacks.Callback

TRACKERS = Registry(
    "tracker",
    {
        "tensorboard": "convscope.training.tracking_tensorboard:TensorBoard",
        "mlflow": "convscope.training.tracking_services:MLflow",
        "wandb": "convscope.training.tracking_services:WeightsAndBiases",
        "csv": "convscope.training.tracking_files:Csv",
        "jsonl": "convscope.training.tracking_files:Jsonl",
    },
    "convscope.trackers",
)

_NOT_SHOWN = {"event", "step", "time", "clock_s", "epoch", "phase"}
_FILTERS, _MAPS, _TILE = 16, 16, 4  # tiles of a picture; a tile's pixels are enlarged so many times
_SMALL_PX = 48


@dataclass(frozen=True)
class Start:
    """What a sink is told first.

    Attributes:
        folder: the run folder.
        hyper: the plan, flat: "learning_rate", "augment.rotate_deg".
        epoch: finished epochs so far, above 0 when a run is gone on with.
    """

    folder: Path
    hyper: Mapping[str, Any]
    epoch: int = 0


@dataclass(frozen=True, eq=False)
class Seen:
    """One epoch.

    Attributes:
        epoch: from 1. row: all that the journal says of it.
        scalars: the numbers among it.
        histograms: layer/variable -> all values of a kernel.
        pictures: name -> (h, w, 3) uint8: filters, feature maps, explanations.
    """

    epoch: int
    row: Mapping[str, Any]
    scalars: Mapping[str, float]
    histograms: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)


class Sink(Protocol):
    """A program that follows runs; made without arguments, used by one run."""

    wants_pictures: bool

    def begin(self, start: Start) -> None:
        """Open; raises MissingExtraError or StorageError."""
        ...

    def epoch(self, seen: Seen) -> None:
        """Write one epoch."""
        ...

    def close(self, final: Mapping[str, float]) -> None:
        """Write the last numbers of a run and close."""
        ...


class Track(_Callback):
    """After each epoch gather what sinks show and hand it to each."""

    def __init__(self, sinks: Sequence[Sink], folder: Path, *, whole: Any, images: np.ndarray | None) -> None:
        """`whole` is the whole model, which the one in `fit` may be a part of; `images` are a few of its inputs."""
        super().__init__()
        self._sinks, self._folder, self._whole, self._images = sinks, folder, whole, images
        self._wants_pictures = any(s.wants_pictures for s in sinks)
        self._layers = kernel_layers(whole)
        self._maps: Any = None
        self.last: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """The journal, written just before, says which epoch of the run it was."""
        row = [e for e in read_journal(self._folder) if e["event"] == "epoch"][-1]
        scalars = {
            k: float(v) for k, v in row.items()
            if k not in _NOT_SHOWN and isinstance(v, int | float) and not isinstance(v, bool)
        }  # fmt: skip
        histograms: dict[str, np.ndarray] = {}
        pictures: dict[str, np.ndarray] = {}
        if self._wants_pictures:
            sync_model(self.model)
            kernels = {layer.name: read_variables([layer.kernel])[0] for layer in self._layers}
            histograms = {f"{name}/kernel": value for name, value in kernels.items()}
            pictures = {**self._filters(kernels), **self._feature_maps(), **explained(self._folder, int(row["epoch"]))}
        seen = Seen(int(row["epoch"]), row, scalars, histograms, pictures)
        self.last = scalars
        for sink in self._sinks:
            sink.epoch(seen)

    def _filters(self, kernels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = next(((n, k) for n, k in kernels.items() if k.ndim == 4), None)
        return {} if first is None else {f"filters/{first[0]}": filter_picture(first[1])}

    def _feature_maps(self) -> dict[str, np.ndarray]:
        """Maps of the first and the last convolution for the first picture."""
        spatial = [layer for layer in self._layers if len(layer.kernel.shape) == 4]
        if self._images is None or not spatial or not hasattr(self._whole, "inputs"):
            return {}
        shown = list(dict.fromkeys([spatial[0], spatial[-1]]))
        if self._maps is None:
            self._maps = keras.Model(self._whole.inputs[0], [layer.output for layer in shown])
        outputs = keras.tree.flatten(self._maps(self._images[:1], training=False))
        return {f"maps/{layer.name}": map_picture(to_numpy(o)[0]) for layer, o in zip(shown, outputs, strict=True)}


def kernel_layers(model: Any) -> list[Any]:
    """Layers of a flat model that have a kernel, from input to output."""
    return [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]


def filter_picture(kernel: np.ndarray) -> np.ndarray:
    """(kh, kw, in, out) -> tiles (h, w, 3) uint8: signed means over the inputs, blue to red about 0."""
    planes = kernel.mean(axis=2)[:, :, :_FILTERS]
    limit = float(np.abs(planes).max()) or 1.0
    return _tiles([diverging(planes[:, :, i], limit) for i in range(planes.shape[2])])


def map_picture(maps: np.ndarray) -> np.ndarray:
    """(h, w, channels) -> tiles (h, w, 3) uint8, viridis, each map over its own range."""
    shown = maps[:, :, :_MAPS]
    return _tiles([viridis(m, float(m.min()), float(m.max())) for m in np.moveaxis(shown, 2, 0)])


def _tiles(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size in rows of four, enlarged when small, never blurred."""
    factor = max(1, -(-_SMALL_PX // max(tiles[0].shape[:2])))
    large = [np.kron(t, np.ones((factor, factor, 1), np.uint8)) for t in tiles]
    height, width = large[0].shape[:2]
    rows = -(-len(large) // _TILE)
    sheet = np.full((rows * (height + 2), min(len(large), _TILE) * (width + 2), 3), 255, np.uint8)
    for number, tile in enumerate(large):
        y, x = number // _TILE * (height + 2), number % _TILE * (width + 2)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def explained(folder: Path, epoch: int) -> dict[str, np.ndarray]:
    """Heat maps that the watched pictures of a run got after this epoch; {} where it was not watched."""
    path = folder / "watch" / f"epoch-{epoch:04d}.npz"
    if not path.is_file():
        return {}
    found = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in (n for n in arrays.files if n.startswith("look:")):
            heat = np.asarray(arrays[name], np.float32)
            if heat.ndim == 3:  # (pictures, h, w)
                low, high = float(heat.min()), float(heat.max())
                found[f"explanations/{name[5:]}"] = _tiles([viridis(h, low, high) for h in heat])
    return found


def flat_plan(plan: Plan) -> dict[str, Any]:
    """Plan fields as one level: {"augment.rotate_deg": 10, "filters": "[32, 64]"}; lists become text."""
    flat: dict[str, Any] = {}
    for name, value in toml_values(plan).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for inner, one in parts:
            flat[f"{name}.{inner}" if inner else name] = one if isinstance(one, str | int | float | bool) else str(one)
    return flat


@contextmanager
def tracking(
    plan: Plan, folder: Path, *, whole: Any, images: Callable[[], np.ndarray | None], epoch: int = 0
) -> Iterator[list[Any]]:
    """The callbacks that a plan asks for; closed at the end, also after an error.

    Args:
        plan: its `track` names sinks.
        folder: the run folder.
        whole: the model.
        images: gives a few inputs, where a sink wants pictures.
        epoch: finished epochs of a run that is gone on with.

    Raises:
        UnknownNameError: no such tracker. MissingExtraError: its package is absent.
    """
    if not plan.track:
        yield []
        return
    sinks: list[Sink] = [TRACKERS.get(name)() for name in dict.fromkeys(plan.track)]
    with ExitStack() as stack:
        last: dict[str, float] = {}
        for sink in sinks:
            sink.begin(Start(folder, flat_plan(plan), epoch))
            stack.callback(lambda one=sink: one.close(last))  # type: ignore[misc]  # bound now
        shown = images() if any(s.wants_pictures for s in sinks) else None
        track = Track(sinks, folder, whole=whole, images=shown)
        try:
            yield [track]
        finally:
            last.update(track.last)
