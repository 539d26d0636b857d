"""A score inside the network: a layer's values times given weights, or their mean square; and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend import gradients as engine
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError, TapUnreachableError
from convscope.scope.batches import checked_inputs
from convscope.scope.calls import MODEL_INPUT
from convscope.scope.override import overridden
from convscope.scope.tap import Probe
from convscope.scope.tracing import as_tensors
from convscope.scope.wiring import Place, Wiring


class InnerScore:
    """The score sum(weights x values) of one place, differentiated with respect to the model's first input."""

    def __init__(self, place: Place) -> None:
        """Remember where; nothing is run yet."""
        self._place = place
        self._runs: dict[tuple, engine.Run] = {}

    def look(self, probe: Probe, images: Any, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """(n,) float32 scores and the gradient of their sum, shaped like the images, all in one run.

        Args:
            probe: the model; always the same one for one InnerScore.
            images: one array as the model takes it.
            weights: (n, ...) like the values of the place; None for the mean square of the values.

        Raises:
            TapUnreachableError: the layer does not depend on the picture. ModelError: it runs several times.
        """
        given = checked_inputs(probe.model, images)
        trace = probe._traced(given)
        if trace.calls[self._place.call].steps > 1:
            raise ModelError(f"expected a layer that runs once per picture, got {self._place.call!r}")
        size = min(given.n, probe.batch_size)
        scores, gradients = [], []
        for start in range(0, given.n, size):
            stop = min(start + size, given.n)
            rows = np.minimum(np.arange(start, start + size), stop - 1)
            arguments = (given.take(start, stop, size), np.zeros((0,), "float32") if weights is None else weights[rows])
            with probe._lock, engine.random_state_kept():
                tensors = as_tensors(arguments)
                key = (given.signature(), size, weights is None)
                if key not in self._runs:
                    self._runs[key] = self._compiled(probe, trace, tensors, weights is None)
                seen, found = self._runs[key](tensors)
            if not found:
                raise TapUnreachableError(f"layer {self._place.call!r} does not depend on the picture")
            scores.append(to_numpy(seen)[: stop - start])
            gradients.append(to_numpy(next(iter(found.values())))[: stop - start])
        return np.concatenate(scores), np.concatenate(gradients)

    def _compiled(self, probe: Probe, trace: Any, example: Any, squares: bool) -> engine.Run:
        subject, place, keras = probe._subject, self._place, load_keras()
        assert subject is not None
        pixels = Place(MODEL_INPUT)
        variables = subject.model.variables

        def function(tap: engine.Tap, values: list[Any], arguments: Any) -> tuple[Any, Any]:
            inputs, weights = arguments
            wiring = Wiring((place, pixels), trace.calls, (pixels,))
            with (
                overridden(subject.changes([trace.calls[place.call].path])),
                wiring.attached(tap),
                subject.frozen_state(variables, values),
            ):
                flat = [wiring.model_input(i, t) for i, t in enumerate(keras.tree.flatten(inputs))]
                subject.run(keras.tree.pack_sequence_as(inputs, flat))
            found = keras.ops.cast(wiring.values[place][0], "float32")
            axes = tuple(range(1, len(found.shape)))
            scores = keras.ops.mean(found**2, axis=axes) if squares else keras.ops.sum(found * weights, axis=axes)
            return keras.ops.sum(scores), scores

        return engine.compile_tapped(function, variables, example, differentiate=True)
