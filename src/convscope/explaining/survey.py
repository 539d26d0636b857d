"""Explanations of a whole data set: grouped by right, wrong and class; right for the wrong reason comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.engine import Limits, Wish, explain
from convscope.explaining.faithful import inside
from convscope.explaining.frames import resize_stack
from convscope.records.progress import Progress, silent
from convscope.records.survey import Case, Group, Survey
from convscope.scope.tap import Probe
from convscope.scope.target import Target

GRID = 14


@dataclass(frozen=True, eq=False)
class Portion:
    """Some pictures of a data set: `images` as the model takes them, `truth` (n,) class indices, `labels`, and `masks`
    (n, height, width) bool in the network frame with True on the object, or None."""

    images: Any
    truth: np.ndarray
    labels: tuple[str, ...]
    masks: np.ndarray | None = None


def survey(
    model: Any,
    portions: Iterable[Portion],
    method: str = "grad-cam",
    *,
    wish: Wish | None = None,
    limits: Limits | None = None,
    classes: Sequence[str] = (),
    total: int = 0,
    progress: Progress = silent,
) -> Survey:
    """Explain what the network says of every picture, portion by portion; heat of only one portion is held.

    Args:
        model: a Probe, an Opened or a Keras model with a softmax or sigmoid head.
        portions: the data set in parts.
        method: registered name.
        wish: as in `explain`.
        limits: as in `explain`.
        classes: names, for the words.
        total: pictures in all, for the progress.
        progress: told how far it is.

    Raises:
        PlanError: truth, labels or masks that don't fit. As `explain`.
    """
    probe = model if isinstance(model, Probe) else Probe(model)
    cases: list[Case] = []
    sums: dict[tuple[int, bool], list[Any]] = {}
    for portion in portions:
        found = explain(probe, portion.images, method, wish=wish, limits=limits, labels=portion.labels)
        sure = probe.see(
            portion.images, (), Target([int(t.index or 0) for t in found.targets], before_activation=False)
        )
        assert sure.scores is not None
        cases += _cases(portion, found.heat, [int(t.index or 0) for t in found.targets], sure.scores)
        small = resize_stack(np.maximum(found.heat, 0), GRID, GRID)
        peak = small.max(axis=(1, 2), keepdims=True)
        scaled = np.divide(small, peak, out=np.zeros_like(small), where=peak > 0)
        for case, one in zip(cases[-len(scaled) :], scaled):
            kept = sums.setdefault((case.truth, case.is_right), [0, np.zeros((GRID, GRID)), []])
            kept[0] += 1
            kept[1] += one
            if case.energy is not None:
                kept[2].append(case.energy)
        progress("pictures surveyed", len(cases), total or len(cases))
    if not cases:
        raise PlanError("expected at least one picture to survey, got none")
    groups = tuple(
        Group(truth, right, n, (heat / n).astype(np.float32), float(np.mean(energy)) if energy else None)
        for (truth, right), (n, heat, energy) in sorted(sums.items(), key=lambda item: (item[0][0], not item[0][1]))
    )
    ordered = tuple(sorted(cases, key=lambda c: (not c.is_right, -c.suspicion if c.is_right else -c.confidence)))
    return Survey(method, ordered, groups, _words(ordered, groups, classes))


def _cases(portion: Portion, heat: np.ndarray, says: list[int], sure: np.ndarray) -> list[Case]:
    n = len(heat)
    if len(portion.truth) != n or len(portion.labels) != n:
        raise PlanError(f"expected a truth and a label for each of {n} pictures, got {len(portion.truth)}")
    frame = np.ones((1, 64, 64), bool)
    frame[:, 8:-8, 8:-8] = False
    border, _ = inside(heat, np.broadcast_to(frame, (n, 64, 64)))
    cases = [
        Case(label, int(t), s, float(c), float(b))
        for label, t, s, c, b in zip(portion.labels, portion.truth, says, sure, border)
    ]
    if portion.masks is None:
        return cases
    if len(portion.masks) != n:
        raise PlanError(f"expected a mask for each of {n} pictures, got {len(portion.masks)}")
    energy, hit = inside(heat, portion.masks)
    return [replace(c, energy=float(e), hit=bool(h)) for c, e, h in zip(cases, energy, hit)]


def _words(cases: tuple[Case, ...], groups: tuple[Group, ...], classes: Sequence[str]) -> tuple[str, ...]:
    right = [c for c in cases if c.is_right]
    said = [f"{len(right)} of {len(cases)} pictures are right."]
    marked = [c for c in right if c.energy is not None]
    wrong_reason = [c for c in marked if not c.hit and (c.energy or 0) < 0.5 and c.confidence > 0.8]
    if wrong_reason:
        said.append(
            f"{len(wrong_reason)} of them are right for the wrong reason: surer than 80 %, while most of the heat lies "
            f"off the object. Look at {', '.join(c.label for c in wrong_reason[:3])} first."
        )
    elif marked:
        said.append("None is sure while most of its heat lies off the object.")
    else:
        said.append("No masks or boxes were given, so heat in the border counts as suspicious.")
    for group in groups:
        if group.energy is not None and group.energy < 0.5 and group.is_right:
            name = classes[group.truth] if group.truth < len(classes) else f"class {group.truth}"
            said.append(f"{name}: only {group.energy:.0%} of the heat lies on the object.")
    return tuple(said)
