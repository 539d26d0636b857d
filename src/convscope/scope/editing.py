"""Run a model with one layer's output multiplied: what the score would be without some of its maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend import gradients as engine
from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.scope.batches import checked_inputs, cuts, fixed_batch
from convscope.scope.calls import tensors_in
from convscope.scope.looking import Look
from convscope.scope.override import overridden
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike
from convscope.scope.tracing import as_tensors
from convscope.scope.wiring import Place, Wiring


class Edited:
    """Scores of a target while the output at `place` is multiplied by factors; compiled once per batch size.

    Args:
        place: one place, called once per run.
    """

    def __init__(self, place: Place) -> None:
        """Remember where; nothing is run yet."""
        self._place = place
        self._runs: dict[tuple, engine.Run] = {}

    def scores(self, probe: Probe, images: Any, target: TargetLike, factors: np.ndarray) -> np.ndarray:
        """(n,) float32 scores of `probe`'s model for n pictures; factors (n, ...) broadcast against the place's values.

        Always give the same probe to one Edited.

        Raises:
            ModelError: the layer runs several times or folds the batch. TargetError: as Probe.
        """
        place = self._place
        given = checked_inputs(probe.model, images)
        trace = probe._traced(given)
        call = trace.calls[place.call]
        if call.steps > 1 or call.folds_batch:
            raise ModelError(f"expected a layer that runs once per picture, got {place.call!r}; choose another one")
        whole = probe._resolved(target, trace, given.n)
        look = Look((place,), whole, False)
        found = []
        for start, stop, size in cuts(given.n, probe.batch_size, fixed_batch(probe.model)):
            rows = np.minimum(np.arange(start, start + size), stop - 1)
            arguments = (given.take(start, stop, size), whole.aim(rows), factors[rows].astype(np.float32))
            with probe._lock, engine.random_state_kept():
                tensors = as_tensors(arguments, channels_first=trace.is_channels_first)
                key = (given.signature(), size, factors.shape[1:], look.key())
                if key not in self._runs:
                    self._runs[key] = self._compiled(probe, trace, look, tensors)
                seen, _ = self._runs[key](tensors)
            found.append(to_numpy(seen)[: stop - start])
        return np.concatenate(found)

    def _compiled(self, probe: Probe, trace: Any, look: Look, example: Any) -> engine.Run:
        subject = probe._subject
        assert subject is not None
        place, logits, ops = self._place, look.logits(), load_keras().ops
        wanted = tuple(dict.fromkeys((place, logits))) if logits else (place,)
        variables = subject.model.variables

        def function(tap: engine.Tap, values: list[Any], arguments: Any) -> tuple[Any, Any]:
            inputs, aim, factors = arguments
            wiring = Wiring(wanted, trace.calls, (place,))
            with (
                overridden(subject.changes([trace.calls[p.call].path for p in wanted])),
                wiring.attached(lambda key, tensor: tensor * ops.cast(factors, tensor.dtype)),
                subject.frozen_state(variables, values),
            ):
                outputs = subject.run(inputs)
            assert look.resolved is not None
            logit = wiring.values[logits][0] if logits else None
            return None, look.resolved.score(outputs, tensors_in(outputs), logit, aim)[0]

        return engine.compile_tapped(function, variables, example, differentiate=False)
