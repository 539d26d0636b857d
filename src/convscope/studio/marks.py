"""Boxes and masks that a network says of one picture, in the frame that it sees; and why it says one of them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.actions.explain_boxes import WORDS, first_output, layers_for, one_box_model, score_model
from convscope.actions.look import Scope
from convscope.actions.predict import known_card
from convscope.errors import TargetError
from convscope.explaining.engine import Wish, explain
from convscope.explaining.judge import judge
from convscope.explaining.method import method as registered
from convscope.models.detector_outputs import decode_outputs
from convscope.records.attribution import Attribution
from convscope.records.card import Opened
from convscope.records.judgement import Judgement
from convscope.scope.aims import region
from convscope.scope.tap import Probe
from convscope.scope.target import Target, TargetLike
from convscope.studio.pictures import Given

MOST_BOXES = 60
_SCORED: weakref.WeakKeyDictionary[Any, Probe] = weakref.WeakKeyDictionary()


def boxes_said(scope: Scope, given: Given) -> dict[str, Any]:
    """The boxes above the detector's own threshold, the surest first: xyxy in pixels of the frame, class, score."""
    card = known_card(Opened(scope.model, scope.card))
    outputs = {k: np.asarray(v) for k, v in scope.model.predict_on_batch(given.inputs).items()}
    hw = (int(given.eye.shape[0]), int(given.eye.shape[1]))
    found = decode_outputs(outputs, hw, score_threshold=card.unsure_below, max_detections=MOST_BOXES)[0]
    rows = [
        {
            "box": [round(v, 2) for v in box],
            "index": int(label),
            "name": card.classes[int(label)],
            "value": float(score),
        }
        for box, label, score in zip(found.xyxy.tolist(), found.labels, found.scores, strict=True)
    ]
    return {"boxes": sorted(rows, key=lambda row: -float(row["value"]))}


def mask_said(scope: Scope, given: Given) -> np.ndarray:
    """(height, width) uint8: the class of each pixel of the frame."""
    outputs = np.asarray(scope.probe.outputs(given.inputs)[0], np.float32)[0]
    if outputs.shape[-1] == 1:
        return (outputs[..., 0] > 0.5).astype(np.uint8)
    return outputs.argmax(axis=-1).astype(np.uint8)


def mask_shares(scope: Scope, given: Given) -> dict[str, Any]:
    """How much of the picture each class takes, in the order of the classes."""
    card, mask = known_card(Opened(scope.model, scope.card)), mask_said(scope, given)
    shares = np.bincount(mask.ravel(), minlength=len(card.classes)) / mask.size
    return {"rows": [{"index": i, "name": n, "value": float(s)} for i, (n, s) in enumerate(zip(card.classes, shares))]}


def box_heat(scope: Scope, given: Given, how: str, number: int, layer: str | None) -> Attribution:
    """Why the detector says this box: the score of D-RISE's equation 3, by any method.

    Args:
        scope: a detector.
        given: the picture.
        how: name of a method.
        number: place among `boxes_said`.
        layer: for methods that read one; None for the map of the neck that fits the size of the box.

    Raises:
        TargetError: no such box.
    """
    row, wanted = _chosen_box(scope, given, number)
    if scope.model not in _SCORED:
        _SCORED[scope.model] = Probe(score_model(scope.model), batch_size=8)
    _, layers = layers_for(Opened(scope.model, scope.card), wanted, layer, registered(how).needs_layer)[0]
    aim = Target(function=first_output, words=WORDS)
    label = f"{row['name']} {row['value']:.2f}"
    return explain(_SCORED[scope.model], [given.inputs, wanted], how, aim, wish=Wish(layer=layers), labels=(label,))


def _chosen_box(scope: Scope, given: Given, number: int) -> tuple[dict[str, Any], np.ndarray]:
    boxes = boxes_said(scope, given)["boxes"]
    if not 0 <= number < len(boxes):
        raise TargetError(f"expected a box from 0 to {len(boxes) - 1} of this picture, got {number}; choose a box")
    row = boxes[number]
    return row, np.array([[*row["box"], row["index"]]], np.float32)


def judged_box(scope: Scope, given: Given, hows: Sequence[str], number: int) -> Judgement:
    """How far the heat of these methods for one box can be believed: what hiding its pixels does to the box's score.

    Raises:
        TargetError: no such box.
    """
    _, wanted = _chosen_box(scope, given, number)
    heats = {how: box_heat(scope, given, how, number, None) for how in hows}
    probe = Probe(one_box_model(scope.model, wanted[0]), batch_size=8)
    aim = Target(function=first_output, words=WORDS)
    return judge(probe, given.inputs, heats, aim, sanity=False)


def largest_region(scope: Scope, given: Given) -> tuple[TargetLike, str]:
    """The score of the class that takes most of the picture, the background left out, and its name."""
    rows = mask_shares(scope, given)["rows"]
    row = max(rows, key=lambda r: (r["index"] > 0 and r["value"] > 0, r["value"]))
    return mask_target(scope, given, row["index"])[1], row["name"]


def mask_target(scope: Scope, given: Given, label: int) -> tuple[Probe, TargetLike]:
    """A Probe of its own and the mean score of one class where the network says it.

    Raises:
        TargetError: it says this class nowhere.
    """
    outputs = np.asarray(scope.probe.outputs(given.inputs)[0], np.float32)[0]
    inside = (outputs[..., 0] > 0.5) == bool(label) if outputs.shape[-1] == 1 else outputs.argmax(axis=-1) == label
    if not inside.any():
        raise TargetError("expected a class that the network says somewhere in this picture; choose another class")
    column = 0 if outputs.shape[-1] == 1 else label
    return Probe(scope.model, classes=scope.probe.classes), region(inside, column)
