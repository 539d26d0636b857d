"""Is a network learning well: gradients, saturation and update sizes per layer, the start, and a picture of a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.draw.numbers import three
from convscope.errors import ModelError, PlanError
from convscope.scope.paths import operations_by_path
from convscope.scope.tap import Probe
from convscope.scope.units import activation_name, flat_places

VANISHING, EXPLODING = 1e-3, 1e3  # gradient norm of a layer / that of the last one
TOO_SMALL, TOO_LARGE = 1e-5, 1e-1  # |update| / |weight| of one step


@dataclass(frozen=True)
class LayerState:
    """One layer at one moment of training.

    Attributes:
        layer: path.
        gradient_norm: L2 norm of the loss' gradient at the layer's output, mean over pictures; None where not asked.
        saturated: share of units with |f'| < 0.01 (sigmoid, tanh) or f' = 0 (ReLU); None for another activation.
        update_ratio: L2 norm of the last change of the weights / L2 norm of the weights; None without earlier weights.
    """

    layer: str
    gradient_norm: float | None
    saturated: float | None
    update_ratio: float | None


def weights_by_layer(model: Any) -> dict[str, list[np.ndarray]]:
    """Copies of each layer's own trainable weights by path: what `layer_states` compares the next step with."""
    found = {}
    for path, operation in operations_by_path(model).items():
        own = [v for v in getattr(operation, "_trainable_variables", ()) or ()]
        if own and operation.trainable:
            found[path] = [to_numpy(v.value).copy() for v in own]
    return found


def layer_states(
    probe: Probe,
    images: Any,
    truth: np.ndarray,
    *,
    loss: Any = None,
    before: Mapping[str, list[np.ndarray]] | None = None,
) -> tuple[LayerState, ...]:
    """Gradient norm, saturation and update ratio of every layer with weights that the outputs depend on.

    Args:
        probe: the model as it is now.
        images: a fixed small batch (n, ...).
        truth: (n, ...) what the loss is computed against.
        loss: a Keras loss or its name; None for the model's compiled one.
        before: `weights_by_layer` before the last step or epoch.

    Raises:
        ModelError: no loss.
    """
    keras = load_keras()
    found = loss if loss is not None else getattr(probe.model, "loss", None)
    if found is None or isinstance(found, (dict, list)):
        raise ModelError("expected one loss to differentiate; compile the model with one or pass loss=")
    function = keras.losses.get(found)
    call = function.call if isinstance(function, keras.losses.Loss) else function

    known = truth.astype(np.float32) if truth.dtype == np.float64 else truth

    def score(outputs: Any) -> Any:
        return _per_picture(call(keras.ops.convert_to_tensor(known), outputs))

    names = _with_weights(probe, images)
    whole = Probe(probe.model, precision=probe.precision, batch_size=len(keras.tree.flatten(images)[0]))
    seen = whole.gradients(images, score, names)
    after = weights_by_layer(probe.model)
    states = []
    for name in names:
        place = whole.place(name)
        gradient = seen.gradients[place].reshape(len(truth), -1).astype(np.float64)
        kind = activation_name(whole.call(name).layer)
        flat = float(flat_places(seen.values[place], kind).mean()) if kind else None
        norm = float(np.linalg.norm(gradient, axis=1).mean())
        states.append(LayerState(name, norm, flat, _update(before, after, whole.call(name).path)))
    return tuple(states)


def remarks(states: Sequence[LayerState]) -> tuple[str, ...]:
    """What is wrong, each sentence with its layer and number; empty when nothing is."""
    norms = [s.gradient_norm for s in states if s.gradient_norm]
    last = norms[-1] if norms and np.isfinite(norms[-1]) else 0.0
    said = []
    for state in states:
        norm = state.gradient_norm
        if norm is not None and not np.isfinite(norm):
            said.append(f"exploding: the gradient at {state.layer} is not finite")
        elif norm is not None and last and norm <= VANISHING * last:
            said.append(f"vanishing: the gradient at {state.layer} is {three(norm)}, at the last layer {three(last)}")
        elif norm is not None and last and norm >= EXPLODING * last:
            said.append(f"exploding: the gradient at {state.layer} is {three(norm)}, at the last layer {three(last)}")
        if state.saturated is not None and state.saturated > 0.9:
            said.append(
                f"saturated: {100 * state.saturated:.0f} % of the units of {state.layer} no longer pass gradient"
            )
        ratio = state.update_ratio
        if ratio is not None and not TOO_SMALL <= ratio <= TOO_LARGE:
            which = "hardly moves" if ratio < TOO_SMALL else "moves too fast"
            said.append(f"{state.layer} {which}: one step changes its weights by {three(ratio)} of their size")
    return tuple(said)


@dataclass(frozen=True)
class StartCheck:
    """A kernel before training: its variance beside what He and Glorot initialisation ask for.

    `expected` is the one that suits the layer's activation (`rule` "he" for ReLU and its kin, else "glorot");
    `is_fine` when the ratio of the two lies in 0.5..2.
    """

    layer: str
    variance: float
    expected: float
    rule: str
    is_fine: bool


def check_start(model: Any) -> tuple[StartCheck, ...]:
    """Compare each kernel's variance with 2 / fan_in (He et al. 2015) or 2 / (fan_in + fan_out) (Glorot 2010)."""
    checks = []
    for path, layer in operations_by_path(model).items():
        variable: Any = getattr(layer, "kernel", None)
        shape = tuple(getattr(variable, "shape", ()))
        if len(shape) < 2 or not hasattr(layer, "activation"):
            continue
        area = int(np.prod(shape[:-2]))
        fan_in, fan_out = area * shape[-2], area * shape[-1]
        is_he = getattr(layer.activation, "__name__", "") in (
            "relu",
            "leaky_relu",
            "elu",
            "gelu",
            "silu",
            "selu",
            "relu6",
        )
        expected = 2 / fan_in if is_he else 2 / (fan_in + fan_out)
        variance = float(to_numpy(variable.value).astype(np.float64).var())
        fine = 0.5 <= variance / expected <= 2
        checks.append(StartCheck(path, variance, expected, "he" if is_he else "glorot", fine))
    return tuple(checks)


def embedding(values: np.ndarray, *, method: str = "pca", seed: int = 0, perplexity: float = 20.0) -> np.ndarray:
    """Lay a layer's values (n, ...) out in the plane: (n, 2) float64.

    Args:
        values: activations, one row per picture.
        method: "pca" (the two largest principal components) or "tsne" (van der Maaten and Hinton 2008, exact, for up
            to a few thousand pictures).
        seed: of t-SNE's start.
        perplexity: of t-SNE, about how many neighbours count.

    Raises:
        PlanError: another method, or too few pictures.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    if len(flat) < 3:
        raise PlanError(f"expected at least 3 pictures to lay out, got {len(flat)}")
    if method not in ("pca", "tsne"):
        raise PlanError(f"expected method 'pca' or 'tsne', got {method!r}")
    centred = flat - flat.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    if method == "pca":
        return left[:, :2] * sizes[:2] if len(sizes) > 1 else np.column_stack([left[:, 0] * sizes[0], 0 * left[:, 0]])
    from convscope.scope.tsne import lay_out

    return lay_out(left[:, :50] * sizes[:50], perplexity=min(perplexity, (len(flat) - 1) / 3), seed=seed)


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


def _per_picture(values: Any) -> Any:
    ops = load_keras().ops
    axes = tuple(range(1, len(values.shape)))
    return ops.mean(values, axis=axes) if axes else values


def _with_weights(probe: Probe, images: Any) -> list[str]:
    calls = probe.calls(images)
    own = [c for c in calls if getattr(c.layer, "_trainable_variables", None) and len(c.output_shapes) == 1]
    return [c.name for c in own if c.number == 0]


def _update(
    before: Mapping[str, list[np.ndarray]] | None, after: Mapping[str, list[np.ndarray]], path: str
) -> float | None:
    if before is None or path not in before or path not in after:
        return None
    change = sum(float(((a - b).astype(np.float64) ** 2).sum()) for a, b in zip(after[path], before[path]))
    size = sum(float((b.astype(np.float64) ** 2).sum()) for b in before[path])
    return float(np.sqrt(change / size)) if size else None
