"""One engine for all methods: it checks, chooses layers, cuts into chunks, joins channels, cuts signs, adds facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import DataError, ModelError, PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.layers import choose_layers, saved_layer
from convscope.explaining.method import Answer, Method, method
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.features import TargetName
from convscope.records.progress import Progress, silent
from convscope.records.provenance import Provenance
from convscope.scope.batches import checked_inputs
from convscope.scope.tap import Probe
from convscope.scope.target import Target, TargetLike, as_target
from convscope.scope.wiring import Side

MEMORY_BYTES = 1 << 30
BATCH = 32


@dataclass(frozen=True)
class Limits:
    """How much is held at a time: `memory_bytes` for the activations of one batch, `batch_size` pictures at most."""

    memory_bytes: int = MEMORY_BYTES
    batch_size: int = BATCH

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.memory_bytes < 1 or self.batch_size < 1:
            raise PlanError(f"expected positive limits, got {self.memory_bytes} bytes and {self.batch_size} pictures")


@dataclass(frozen=True, eq=False)
class Wish:
    """How one method is to be run; `explain` fills the rest.

    Attributes:
        layer: a name, a pattern, several, "all", or None for the method's own choice.
        side: of the layer: "output", "input" or "before activation".
        signed: keep negative heat of methods that cut it; None leaves it to the method.
        part: which input of a model with several is explained, in their flat order; None for the first picture.
        options: the method's own, by name.
        seed: of everything drawn at random.
        saved_layer: the last spatial layer as a saved model names it; for a Probe, which does not know it.
    """

    layer: str | Sequence[str] | None = None
    side: Side = "output"
    signed: bool | None = None
    part: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    saved_layer: str = ""


def explain(
    model: Probe | Opened | Any,
    images: Any,
    name: str = "grad-cam",
    target: TargetLike = None,
    *,
    wish: Wish | None = None,
    limits: Limits | None = None,
    labels: Sequence[str] = (),
    provenance: Provenance | None = None,
    progress: Progress = silent,
) -> Attribution:
    """Explain the target's score for each picture by one method.

    Args:
        model: a Probe (compiled functions are then kept between calls), an Opened or a Keras model.
        images: (n, height, width, channels) or nested arrays, exactly as the model takes them.
        name: registered method ("grad-cam").
        target: as in `scope.target`; None for each picture's highest class.
        wish: layer, side, sign, seed and the method's own options.
        limits: of memory and batch.
        labels: names of the pictures.
        provenance: copied along.
        progress: told how far it is.

    Raises:
        UnknownNameError: no such method. PlanError: an option that it does not have.
        ModelError, UnknownLayerError, TapUnreachableError, TargetError: what can't be explained, and why.
        DataError: constant pictures, NaN or infinity.
    """
    how, wish, limits = method(name), wish or Wish(), limits or Limits()
    options = how.checked(wish.options)
    probe = model if isinstance(model, Probe) else Probe(model)
    given = checked_inputs(probe.model, images)
    part = picture_part(given.structure, wish.part)
    names = _names(labels, given.n)
    _check_pictures(np.asarray(load_keras().tree.flatten(given.structure)[part]), names)
    aim = as_target(target)
    layers, reason = _layers(
        how, probe, saved_layer(model) or wish.saved_layer, given.structure, wish, _head(probe, given.structure, aim)
    )
    size = batch_size(probe, given.structure, limits, differentiates=how.needs_gradients)
    with _batch_size(probe, size):
        answers: list[tuple[Asked, Answer]] = []
        for start in range(0, given.n, size):
            stop = min(start + size, given.n)
            asked = Asked(
                probe,
                given.take(start, stop, stop - start),
                _rows(aim, given.n, start, stop),
                layers=layers,
                side=wish.side,
                part=part,
                seed=wish.seed,
                progress=progress,
            )
            answers.append((asked, _finite(how.function(asked, **options), how, names[start:stop])))
            progress(f"pictures explained by {name}", stop, given.n)
        return _record(how, answers, wish, reason, names, provenance)


def batch_size(probe: Probe, images: Any, limits: Limits, *, differentiates: bool) -> int:
    """Pictures per run so that activations (kept for the way back when differentiating) fit the budget."""
    shapes = [s for call in probe.calls(images) for s in call.output_shapes]
    one = 4 * sum(prod(s) for s in shapes) * (3 if differentiates else 1)
    return max(1, min(limits.batch_size, limits.memory_bytes // max(one, 1)))


class _batch_size:  # reads as a verb in `with`
    def __init__(self, probe: Probe, size: int) -> None:
        self._probe, self._size, self._before = probe, size, probe.batch_size

    def __enter__(self) -> None:
        self._probe.batch_size = self._size

    def __exit__(self, *_: object) -> None:
        self._probe.batch_size = self._before


def _names(labels: Sequence[str], n: int) -> tuple[str, ...]:
    if labels and len(labels) != n:
        raise PlanError(f"expected one label for each of {n} pictures, got {len(labels)}")
    return tuple(labels) or tuple(f"picture {i}" for i in range(n))


def picture_part(structure: Any, wanted: int | None) -> int:
    """Which input is explained: the wanted one, or the first that takes pictures.

    Raises:
        ModelError: no input takes pictures, or not the wanted one.
    """
    flat = load_keras().tree.flatten(structure)
    pictures = [i for i, x in enumerate(flat) if np.ndim(x) == 4]
    if wanted is None:
        if not pictures:
            shapes = ", ".join(str(np.shape(x)) for x in flat)
            raise ModelError(f"expected pictures of shape (n, height, width, channels) to explain, got {shapes}")
        return pictures[0]
    if wanted not in pictures:
        raise ModelError(f"expected part= to be an input that takes pictures ({pictures}), got {wanted}")
    return wanted


def _check_pictures(pictures: np.ndarray, names: tuple[str, ...]) -> None:
    flat = pictures.reshape(len(pictures), -1)
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        raise DataError(f"expected finite pixel values, got NaN or infinity in {names[int(np.argmin(finite))]}")
    constant = flat.min(axis=1) == flat.max(axis=1)
    if constant.any():
        i = int(np.argmax(constant))
        raise DataError(
            f"expected a picture with something in it, {names[i]} is {flat[i, 0]:g} everywhere; leave it out: no place "
            "of it differs from another"
        )


def _head(probe: Probe, images: Any, target: Target) -> str:
    """Name of the call that makes the explained output; empty when other code does or a function is explained."""
    heads = probe.heads(images)
    names = list(getattr(probe.model, "output_names", ()) or ())
    wanted = target.output
    if target.function is not None:
        return ""
    if wanted is None:
        return next((h.call for h in heads if len(h.shape) == 1), "")
    number = names.index(wanted) if isinstance(wanted, str) and wanted in names else wanted
    return heads[number].call if isinstance(number, int) and 0 <= number < len(heads) else ""


def _layers(how: Method, probe: Probe, saved: str, images: Any, wish: Wish, head: str) -> tuple[tuple[str, ...], str]:
    if not how.needs_layer:
        if wish.layer is not None:
            raise PlanError(f"{how.name} reads no layer, got layer={wish.layer!r}; leave it out")
        return (), f"{how.name} needs no layer"
    if how.name == "cam" and wish.layer is None:
        from convscope.explaining.cam import pooled_layer

        return (pooled_layer(probe, images)[0].name,), "the layer that is averaged over space before the last layer"
    return choose_layers(probe, images, wish.layer, saved=saved, head=head)


def _rows(target: Target, n: int, start: int, stop: int) -> Target:
    if target.label is None or isinstance(target.label, (int, str, np.integer)):
        return target
    if len(target.label) != n:
        return target  # the resolver says what is wrong
    return replace(target, label=list(target.label[start:stop]))


def _finite(answer: Answer, how: Method, names: Sequence[str]) -> Answer:
    finite = np.isfinite(answer.values).reshape(len(answer.values), -1).all(axis=1)
    if not finite.all():
        raise ModelError(
            f"expected finite heat, {how.name} gave NaN or infinity for {names[int(np.argmin(finite))]}; the network "
            "has values that are not finite: look at its feature maps"
        )
    return answer


def _join(values: np.ndarray, how: Method) -> np.ndarray:
    if values.ndim == 3:
        return values
    if how.join == "sum":
        return np.asarray(values.sum(axis=-1), np.float32)
    return np.abs(values).max(axis=-1)


def _record(
    how: Method,
    answers: list[tuple[Asked, Answer]],
    wish: Wish,
    reason: str,
    names: tuple[str, ...],
    provenance: Provenance | None,
) -> Attribution:
    values = np.concatenate([a.values for _, a in answers])
    heat = np.concatenate([_join(a.values, how) for _, a in answers])
    signed = how.is_signed if wish.signed is None else wish.signed
    targets: list[TargetName] = []
    for asked, _ in answers:
        seen = asked.seen
        assert seen.target is not None and seen.chosen is not None
        targets += seen.target.names(seen.chosen)
    first = answers[0][1]
    facts: dict[str, object] = {k: np.concatenate([a.facts[k] for _, a in answers]) for k in first.facts}
    return Attribution(
        method=how.name,
        heat=heat if signed else np.maximum(heat, 0),
        signed=signed,
        targets=tuple(targets),
        scores=np.concatenate([np.asarray(asked.scores, np.float32) for asked, _ in answers]),
        layers=first.layers,
        layer_reason=reason,
        labels=names,
        provenance=provenance or Provenance(seed=wish.seed),
        facts=facts | first.notes | {"source": how.source, "words": how.words},
        values=values if values.ndim == 4 else None,
    )
