"""The chapter on the layers while they learned: gradients, saturation, step sizes, and how the weights began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convscope.draw.learning import learning_figure
from convscope.draw.numbers import percent, three
from convscope.records.figure import Figure
from convscope.records.learning import LearningHistory, Trouble
from convscope.records.report import Section, Table, Words

MOST_ROWS = 24
_HELP = {
    "vanishing": "ReLU, batch normalisation, residual connections or another initialisation let more of it through.",
    "exploding": "A lower learning rate, clipnorm, batch normalisation or another initialisation hold it back.",
    "saturated": "They pass no gradient: smaller weights or a lower learning rate help; ReLU layers may be sparse.",
    "still": "Too small a learning rate, or too little gradient reaches them.",
    "fast": "A lower learning rate or a warm-up keeps steps small.",
}
_TITLE = {
    "vanishing": "The gradient vanishes",
    "exploding": "The gradient explodes",
    "saturated": "Most units are saturated",
    "still": "The weights hardly move",
    "fast": "Steps are too large",
}


def learning_words(history: LearningHistory) -> Words:
    """What to think of it: one pair of words for each kind of trouble that lasted, or that all is well."""
    lasting = history.lasting()
    kinds = dict.fromkeys(t.kind for t in lasting)
    if kinds:
        return tuple(_words(kind, [t for t in lasting if t.kind == kind]) for kind in kinds)
    norms = history.table("gradient_norm")[:, -1]
    known = norms[np.isfinite(norms)]
    if not len(known):
        detail = "Gradients are not judged before batch normalisation has settled, about 300 steps from random weights."
        return (("It is too early to say whether gradient reaches every layer.", detail),)
    ends = f"In the last epoch its norm lies between {three(float(known.min()))} and {three(float(known.max()))}."
    return (("Gradient reaches every layer.", ends),)


def learning_section(
    history: LearningHistory, *, start: Sequence[Mapping[str, Any]] | None = None, checked: int = 0
) -> Section:
    """Words, the maps of all layers over all epochs, and a table of what lasted.

    Args:
        history: at least one epoch.
        start: the kernels whose variance was odd before training, as the journal holds them; None where the weights
            were pretrained and nothing was checked.
        checked: how many kernels were checked.
    """
    words: Words = learning_words(history)
    if start is not None and checked:
        words = (*words, _start_words(start, checked))
    lasting = history.lasting()
    blocks: list[Figure | Table] = [learning_figure(history)]
    if lasting:
        shown = lasting[:MOST_ROWS]
        note = "in at least half of the epochs" + (
            f"; {len(shown)} of {len(lasting)}" if len(shown) < len(lasting) else ""
        )
        rows = tuple((t.layer, t.kind if t.kind != "still" else "hardly moves", _value(t)) for t in shown)
        blocks.append(Table("What lasted", ("Layer", "What", "Seen last"), rows, numeric=(2,), note=note))
    if start:
        began = tuple(
            (c["layer"], three(c["variance"]), three(c["expected"]), "He" if c["rule"] == "he" else "Glorot")
            for c in start[:MOST_ROWS]
        )
        header = ("Layer", "Variance of the kernel", "Expected", "After")
        blocks.append(Table("Odd starts", header, began, numeric=(1, 2)))
    note = f"{len(history.layers)} layers, one fixed batch of training pictures, the middle step of each epoch"
    return Section("layers-learning", "Every layer while it learns", note, words, tuple(blocks))


def _words(kind: str, found: Sequence[Trouble]) -> tuple[str, str]:
    worst = (
        max(found, key=lambda t: t.value)
        if kind in ("exploding", "saturated", "fast")
        else min(found, key=lambda t: t.value)
    )
    where = f"at {worst.layer}" if len(found) == 1 else f"in {len(found)} layers"
    against = f", at the last layer {three(worst.against)}" if worst.against else ""
    number = f"{_value(worst)} at {worst.layer}{against}."
    return f"{_TITLE[kind]} {where}.", f"{number} {_HELP[kind]}"


def _value(trouble: Trouble) -> str:
    return percent(trouble.value) if trouble.kind == "saturated" else three(trouble.value)


def _start_words(start: Sequence[Mapping[str, Any]], checked: int) -> tuple[str, str]:
    rule = "The variance of each kernel is compared with 2 / fan in (He) or 2 / (fan in + fan out) (Glorot)."
    if not start:
        return f"All {checked} kernels began as they should.", rule
    one = start[0]
    return (
        f"{len(start)} of {checked} kernels began with an odd variance.",
        f"{one['layer']} had {three(one['variance'])}, expected {three(one['expected'])}. {rule}",
    )
