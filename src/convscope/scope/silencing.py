"""What the network loses without one filter: every channel of a layer silenced, in one batched sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend import gradients as engine
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import DataError, ModelError
from convscope.records.progress import Progress, silent
from convscope.scope.batches import Inputs, checked_inputs, fixed_batch
from convscope.scope.calls import Call, tensors_in
from convscope.scope.feed import Feed
from convscope.scope.override import overridden
from convscope.scope.tap import Probe
from convscope.scope.tracing import Subject, Trace, as_tensors
from convscope.scope.wiring import Wiring

_VARIANTS = 256  # pictures x silenced filters in one run


@dataclass(frozen=True, eq=False)
class Silenced:
    """`accuracy` of the whole network, `drops` (channels,) float64: how much of it goes with each channel; 0..1."""

    layer: str
    accuracy: float
    drops: np.ndarray
    n: int


def accuracy_without_each_filter(probe: Probe, feed: Feed, layer: str, *, progress: Progress = silent) -> Silenced:
    """Silence each channel of the layer in turn (its output set to 0) and count how many pictures go wrong.

    The layers before run once per batch and the rest on all variants at once, where the network has no way around
    the layer; else the whole network runs on all variants.

    Raises:
        DataError: no truth. ModelError: several calls in one run, or no output of shape (n, classes).
    """
    if feed.truth is None:
        raise DataError("expected labelled pictures to measure accuracy, got none with a label")
    sweep = _Sweep(probe, layer, feed.take(0, 1))
    truth, n, right, base = np.asarray(feed.truth), len(feed), np.zeros(sweep.channels), 0
    size = max(1, min(probe.batch_size, _VARIANTS // 8))
    for start in range(0, n, size):
        stop = min(n, start + size)
        images, wanted = feed.take(start, stop), truth[start:stop]
        base += int((_classes(probe.outputs(images)[sweep.part]) == wanted).sum())
        for channels, outputs in sweep.run(images, size):
            right[channels] += (_classes(outputs) == wanted[:, None]).sum(axis=0)
        progress("silencing filters", stop, n)
    return Silenced(sweep.name, base / n, base / n - right / n, n)


def _classes(outputs: np.ndarray) -> np.ndarray:
    """Class of each row; one unit says the second class above one half (sigmoid) or zero (logit)."""
    if outputs.shape[-1] > 1:
        return outputs.argmax(axis=-1)
    is_probability = outputs.min() >= 0 and outputs.max() <= 1
    return (outputs[..., 0] > (0.5 if is_probability else 0.0)).astype(int)


class _Sweep:
    """Outputs of the model with one channel silenced, for all channels."""

    def __init__(self, probe: Probe, layer: str, example: np.ndarray) -> None:
        self.name = probe.select(layer, example)[0]
        self._place = probe.place(self.name)
        self._call: Call = probe.call(self.name, example)
        if self._call.steps > 1 or fixed_batch(probe.model) is not None:
            raise ModelError(f"expected a layer that runs once per picture, got {self.name!r}; choose another one")
        flat = [i for i, h in enumerate(probe.heads(example)) if len(h.shape) == 1]
        if not flat:
            raise ModelError("expected an output of shape (n, classes) to measure accuracy by; the model has none")
        self.part = flat[0]
        self._axis = 1 + (self._call.channel_axis or 0)
        self.channels = self._call.output_shapes[0][self._axis - 1]
        self._probe = probe
        self._runs: dict[tuple, engine.Run] = {}
        self._tiles_inputs = False

    def run(self, images: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """(channels, outputs (n, channels, classes)) group by group."""
        given = checked_inputs(self._probe.model, images)
        group = max(1, min(self.channels, _VARIANTS // size))
        found = []
        for first in range(0, self.channels, group):
            channels = np.arange(first, min(self.channels, first + group))
            masks = np.ones((group, self.channels), np.float32)
            masks[np.arange(len(channels)), channels] = 0
            outputs = self._variants(given, masks, size)
            found.append((channels, outputs[:, : len(channels)]))
        return found

    def _variants(self, given: Inputs, masks: np.ndarray, size: int) -> np.ndarray:
        probe = self._probe
        trace = probe._traced(given)
        assert probe._subject is not None
        arguments = (given.take(0, given.n, size), masks)
        with probe._lock, engine.random_state_kept():
            if self._tiles_inputs or size == 1:
                return self._go(probe._subject, trace, arguments, given, tiled=True)
            try:
                return self._go(probe._subject, trace, arguments, given, tiled=False)
            except (ValueError, TypeError, RuntimeError):  # shapes clash where a skip goes around the layer
                self._tiles_inputs = True
                return self._go(probe._subject, trace, arguments, given, tiled=True)

    def _go(self, subject: Subject, trace: Trace, arguments: Any, given: Inputs, *, tiled: bool) -> np.ndarray:
        inputs, masks = arguments
        group, size = len(masks), len(load_keras().tree.flatten(inputs)[0])
        if tiled:
            inputs = load_keras().tree.map_structure(lambda x: np.repeat(x, group, axis=0), inputs)
        tensors = as_tensors((inputs, masks))
        key = (given.signature(), size, group, tiled)
        if key not in self._runs:
            function = self._function(subject, trace, size, tiled)
            self._runs[key] = engine.compile_tapped(function, subject.model.variables, tensors, differentiate=False)
        outputs = to_numpy(self._runs[key](tensors)[0])
        if len(outputs) != size * group:
            raise ValueError("the variants were lost on the way")
        return outputs.reshape(size, group, -1)[: given.n]

    def _function(self, subject: Subject, trace: Trace, size: int, tiled: bool) -> engine.Tapped:
        ops, variables, path = load_keras().ops, subject.model.variables, self._call.path

        def function(tap: engine.Tap, values: list[Any], arguments: Any) -> tuple[Any, Any]:
            inputs, masks = arguments
            group = masks.shape[0]
            wiring = Wiring((self._place,), trace.calls, (self._place,))

            def silence(key: str, tensor: Any) -> Any:
                rows = tensor if tiled else ops.repeat(tensor, group, axis=0)
                shape = [1] * len(rows.shape)
                shape[0], shape[self._axis] = size * group, masks.shape[1]
                return rows * ops.cast(ops.reshape(ops.tile(masks, [size, 1]), shape), rows.dtype)

            with (
                overridden(subject.changes([path])),
                wiring.attached(silence),
                subject.frozen_state(variables, values),
            ):
                outputs = subject.run(inputs)
            return None, tensors_in(outputs)[self.part]

        return function
