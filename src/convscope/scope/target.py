"""Which number is explained: one class of one output, or any function of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import TargetError
from convscope.records.features import TargetName
from convscope.registry import nearest
from convscope.scope.calls import Head


@dataclass(frozen=True, eq=False)
class Target:
    """A function of the outputs that gives one score per picture.

    Attributes:
        label: class index, class name, one of these per picture, or None for the highest class of each picture.
        output: name or number of the output; None for the first of shape (n, classes).
        before_activation: score the value before the head's own softmax or sigmoid where it has one.
        against: a second class of the same output (index or name): the score is label minus against, before the
            activation where that can be reached (log-odds), else the difference of the logarithms of probabilities.
        function: outputs in the model's own nesting -> (n,) scores, written with keras.ops; overrides the rest.
        words: what `function` is, for figures.
    """

    label: int | str | Sequence[int | str] | np.ndarray | None = None
    output: str | int | None = None
    before_activation: bool = True
    against: int | str | None = None
    function: Callable[[Any], Any] | None = None
    words: str = "custom target"


TargetLike = Target | int | str | Sequence[int | str] | np.ndarray | Callable[[Any], Any] | None


def as_target(target: TargetLike) -> Target:
    """A Target from what people write: None, a class index or name, one per picture, a function of the outputs."""
    if isinstance(target, Target):
        return target
    if callable(target):
        return Target(function=target)
    return Target(label=target)


@dataclass(frozen=True, eq=False)
class Resolved:
    """A target that fits a model: which flat output, which class per picture.

    `indices` (n,) int32, -1 for the highest; `signs` (n,) float32, -1 for "not this class" of a one-unit head.
    """

    target: Target
    part: int
    head: Head | None
    output_name: str
    indices: np.ndarray
    signs: np.ndarray
    classes: tuple[str, ...]
    against: int | None = None

    @property
    def uses_logits(self) -> bool:
        """Whether the score is read before the head's activation."""
        return bool(self.head and self.target.before_activation and self.head.activation and self.head.call)

    def key(self) -> tuple:
        """Equal for targets that one compiled function serves."""
        return self.part, self.uses_logits, self.against, self.target.function

    def aim(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes and signs of these samples, as the compiled function takes them."""
        return self.indices[rows], self.signs[rows]

    def score(self, outputs: Any, flat: list[Any], logits: Any, aim: tuple[Any, Any]) -> tuple[Any, Any]:
        """(n,) float32 scores and (n,) chosen classes, in keras.ops."""
        ops = load_keras().ops
        indices, signs = aim
        if self.target.function is not None:
            scores = ops.cast(self.target.function(outputs), "float32")
            if len(scores.shape) != 1:
                raise TargetError(f"expected one score per picture from target=, got shape {tuple(scores.shape)}")
            return scores, indices
        values = ops.cast(logits if self.uses_logits else flat[self.part], "float32")
        chosen = ops.where(indices < 0, ops.cast(ops.argmax(values, axis=-1), "int32"), indices)
        if self.against is not None and self.head and self.head.activation and not self.uses_logits:
            values = ops.log(ops.maximum(values, 1e-30))
        picked = ops.equal(ops.expand_dims(chosen, -1), ops.arange(values.shape[-1], dtype="int32"))
        scores = signs * ops.sum(ops.where(picked, values, ops.zeros_like(values)), axis=-1)
        return scores if self.against is None else scores - values[:, self.against], chosen

    def names(self, chosen: np.ndarray) -> tuple[TargetName, ...]:
        """What was explained, per picture; `chosen` as in Seen."""
        if self.target.function is not None:
            return tuple(TargetName("all", None, self.target.words, "custom") for _ in chosen)
        kind = "logit" if self.uses_logits else ("probability" if self.head and self.head.activation else "value")
        rival = "" if self.against is None else f" against {_label(self.against, 1.0, self)}"
        kind = "log-odds" if rival and self.head and self.head.activation else kind
        return tuple(
            TargetName(self.output_name, int(i), _label(int(i), float(s), self) + rival, kind)
            for i, s in zip(chosen, self.signs)
        )


def _label(index: int, sign: float, resolved: Resolved) -> str:
    classes = resolved.classes
    if resolved.head is not None and resolved.head.shape == (1,) and len(classes) == 2:
        return classes[1] if sign > 0 else classes[0]
    return classes[index] if index < len(classes) else f"class {index}"


def resolve(
    target: TargetLike, heads: Sequence[Head], *, output_names: Sequence[str], classes: Sequence[str], n: int
) -> Resolved:
    """Fit `target` to a model's outputs for n pictures.

    Raises:
        TargetError: no output of shape (n, classes), an unknown class or output, not one class per picture.
    """
    wanted = as_target(target)
    names = tuple(classes)
    if wanted.function is not None:
        return Resolved(wanted, -1, None, "all", np.full(n, -1, np.int32), np.ones(n, np.float32), names)
    part = _output(wanted.output, heads, output_names)
    head = heads[part]
    given = wanted.label
    labels: list[Any] = [given] * n if given is None or isinstance(given, (int, np.integer, str)) else list(given)
    if len(labels) != n:
        raise TargetError(f"expected one class for each of {n} pictures, got {len(labels)}")
    pairs = [_class(label, head.shape[0], names) for label in labels]
    indices = np.array([i for i, _ in pairs], np.int32)
    signs = np.array([s for _, s in pairs], np.float32)
    against = None if wanted.against is None else _rival(wanted.against, head.shape[0], names)
    return Resolved(wanted, part, head, output_names[part], indices, signs, names, against)


def _rival(label: int | str, count: int, classes: tuple[str, ...]) -> int:
    if count < 2:
        raise TargetError("expected at least two classes for log-odds against another one, got a one-unit output")
    return _class(label, count, classes)[0]


def _output(wanted: str | int | None, heads: Sequence[Head], names: Sequence[str]) -> int:
    if wanted is None:
        flat = [i for i, h in enumerate(heads) if len(h.shape) == 1]
        if not flat:
            shapes = ", ".join("(n, " + ", ".join(map(str, h.shape)) + ")" for h in heads)
            raise TargetError(f"expected an output of shape (n, classes) to explain, got {shapes}; pass target=f")
        return flat[0]
    if isinstance(wanted, str):
        if wanted not in names:
            raise TargetError(f"unknown output {wanted!r}; {nearest(wanted, names)}")
        part = list(names).index(wanted)
    else:
        part = int(wanted)
        if not 0 <= part < len(heads):
            raise TargetError(f"expected an output number from 0 to {len(heads) - 1}, got {part}")
    if len(heads[part].shape) != 1:
        raise TargetError(f"output {names[part]!r} has shape (n, {heads[part].shape}); pass target=f for it")
    return part


def _class(label: Any, count: int, classes: tuple[str, ...]) -> tuple[int, float]:
    if label is None:
        return -1, 1.0
    if isinstance(label, str):
        if label not in classes:
            hint = nearest(label, classes) if classes else "the model knows no class names; give an index"
            raise TargetError(f"unknown class {label!r}; {hint}")
        index = classes.index(label)
        if count == 1 and len(classes) == 2:  # one sigmoid unit says the second class; its negative says the first
            return 0, 1.0 if index == 1 else -1.0
    else:
        index = int(label)
    if not 0 <= index < count:
        raise TargetError(f"expected a class from 0 to {count - 1}, got {index}")
    return index, 1.0
