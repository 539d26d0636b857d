"""Is a network learning well: gradients, saturation and update sizes per layer, on one fixed batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.draw.numbers import three
from convscope.errors import ModelError, PlanError
from convscope.records.learning import LayerState, Trouble, troubles
from convscope.scope.paths import operations_by_path
from convscope.scope.tap import Probe
from convscope.scope.units import activation_name, flat_places

Loss = Callable[[Any, Any], Any]  # (truth, outputs) -> one value per picture (n, ...), or one for the batch


def weights_by_layer(model: Any) -> dict[str, list[np.ndarray]]:
    """Copies of each layer's own trainable weights by path: what the next step is compared with."""
    found = {}
    for path, operation in operations_by_path(model).items():
        own = _trained(operation)
        if own:
            found[path] = [to_numpy(v.value).copy() for v in own]
    return found


class LayerWatch:
    """Looks at every layer on one fixed batch, as often as wanted; compiled once, weights are read anew.

    Args:
        model: the model; weights that are frozen now count as not trained.
        images: (n, ...) a small batch as the model takes it.
        truth: what the loss takes for it, an array or a nested structure of arrays.
        loss: a Keras loss, its name, or a function (truth, outputs) -> one value per picture, or one for the batch;
            None for the model's compiled one.
        precision: as for Probe.
        named_in: a model that shares the layers, by whose paths they are called.
        branches: names of layers that only part of the loss reaches; see LayerState.

    Raises:
        ModelError: no loss.
    """

    def __init__(
        self,
        model: Any,
        images: Any,
        truth: Any,
        *,
        loss: Any = None,
        precision: Any = "float32",
        named_in: Any = None,
        branches: Sequence[str] = (),
    ) -> None:
        """Nothing is run yet."""
        keras = load_keras()
        found = loss if loss is not None else getattr(model, "loss", None)
        if found is None or isinstance(found, (dict, list)):
            raise ModelError("expected one loss to differentiate; compile the model with one or pass loss=")
        call = _as_function(found)
        self._images, self._n = images, len(keras.tree.flatten(images)[0])
        self._probe = Probe(model, precision=precision, batch_size=self._n)
        self._names = {} if named_in is None else {id(o): path for path, o in operations_by_path(named_in).items()}
        self._branches = frozenset(branches)
        known = keras.tree.map_structure(_narrow, truth)

        def score(outputs: Any) -> Any:
            given = keras.tree.map_structure(keras.ops.convert_to_tensor, known)
            return _per_picture(call(given, outputs), self._n)

        self._score = score  # always the same object, so that it is compiled once

    def look(self, before: Mapping[str, list[np.ndarray]] | None = None) -> tuple[LayerState, ...]:
        """Gradient norm, saturation and update ratio of every layer with trained weights or a known activation.

        Args:
            before: `weights_by_layer` before the last step.

        Raises:
            TapUnreachableError: a trained layer that the loss does not depend on.
        """
        probe = self._probe
        calls = [c for c in probe.calls(self._images) if c.number == 0 and len(c.output_shapes) == 1]
        trained = {c.name for c in calls if _trained(c.layer)}
        calls = [c for c in calls if c.name in trained or activation_name(c.layer)]
        if not trained:
            return ()
        # a loss of probabilities has the gradient 1 / p there, which says nothing of the layer: before the activation
        heads = {h.call for h in probe.heads(self._images) if h.activation and not h.is_softmax_layer}
        places = {c.name: probe.place(c.name, "before activation" if c.name in heads else "output") for c in calls}
        seen = probe.see(self._images, tuple(places.values()), self._score, differentiate=True)
        after = weights_by_layer(probe.model)
        states = []
        for call in calls:
            place = places[call.name]
            norm = _mean_norm(seen.gradients[place]) if call.name in trained else None
            kind = "" if call.name in heads else activation_name(call.layer)
            flat = float(flat_places(seen.values[place], kind).mean()) if kind else None
            name = self._names.get(id(call.layer), call.name)
            moved = _update(before, after, call.path)
            states.append(LayerState(name, norm, flat, moved, call.kind, name in self._branches))
        return tuple(states)


def layer_states(
    probe: Probe,
    images: Any,
    truth: Any,
    *,
    loss: Any = None,
    before: Mapping[str, list[np.ndarray]] | None = None,
) -> tuple[LayerState, ...]:
    """`LayerWatch` for a single look."""
    return LayerWatch(probe.model, images, truth, loss=loss, precision=probe.precision).look(before)


def remarks(states: Sequence[LayerState]) -> tuple[str, ...]:
    """What is wrong, each sentence with its layer and number; empty when nothing is."""
    return tuple(_remark(trouble) for trouble in troubles(states))


def _remark(trouble: Trouble) -> str:
    layer, value = trouble.layer, trouble.value
    if trouble.kind in ("vanishing", "exploding"):
        if not np.isfinite(value):
            return f"exploding: the gradient at {layer} is not finite"
        return f"{trouble.kind}: the gradient at {layer} is {three(value)}, at the last layer {three(trouble.against)}"
    if trouble.kind == "saturated":
        return f"saturated: {100 * value:.0f} % of the units of {layer} no longer pass gradient"
    how = "hardly moves" if trouble.kind == "still" else "moves too fast"
    return f"{layer} {how}: one step changes its weights by {three(value)} of their size"


def filter_strip(snapshots: Sequence[Mapping[str, list[np.ndarray]]], layer: str, channel: int) -> np.ndarray:
    """One filter from initialisation to the last epoch: (moments, height, width, input channels) float32.

    Raises:
        PlanError: a layer that has no kernel with height and width in the snapshots, or no such filter.
    """
    if not snapshots or layer not in snapshots[0] or snapshots[0][layer][0].ndim != 4:
        raise PlanError(f"expected snapshots that hold a 2-D convolution {layer!r}")
    if not 0 <= channel < snapshots[0][layer][0].shape[-1]:
        raise PlanError(f"expected a filter from 0 to {snapshots[0][layer][0].shape[-1] - 1}, got {channel}")
    return np.stack([moment[layer][0][..., channel] for moment in snapshots]).astype(np.float32)


def _trained(operation: Any) -> list[Any]:
    own = list(getattr(operation, "_trainable_variables", ()) or ())
    return [v for v in own if v.trainable] if own and operation.trainable else []


def _as_function(loss: Any) -> Loss:
    keras = load_keras()
    if callable(loss) and not isinstance(loss, keras.losses.Loss):
        return loss
    function = keras.losses.get(loss)
    return function.call if isinstance(function, keras.losses.Loss) else function


def _narrow(truth: Any) -> np.ndarray:
    array = np.asarray(truth)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _per_picture(values: Any, n: int) -> Any:
    ops = load_keras().ops
    if len(values.shape) == 0:
        return ops.broadcast_to(values, (n,))  # the mean of n losses: its gradient at one picture is 1 / n of its own
    axes = tuple(range(1, len(values.shape)))
    return ops.mean(values, axis=axes) if axes else values


def _mean_norm(gradient: np.ndarray) -> float:
    flat = gradient.reshape(len(gradient), -1)
    return float(np.sqrt(np.einsum("nk,nk->n", flat, flat, dtype=np.float64)).mean())


def _update(
    before: Mapping[str, list[np.ndarray]] | None, after: Mapping[str, list[np.ndarray]], path: str
) -> float | None:
    if before is None or path not in before or path not in after:
        return None
    change = sum(float(((a - b).astype(np.float64) ** 2).sum()) for a, b in zip(after[path], before[path]))
    size = sum(float((b.astype(np.float64) ** 2).sum()) for b in before[path])
    return float(np.sqrt(change / size)) if size else None
