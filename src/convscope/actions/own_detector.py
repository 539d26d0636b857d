"""A detector of one's own: a Keras model and how its outputs say boxes; then it is predicted, looked at, explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from convscope.actions.network import OWN, own_preprocess
from convscope.backend.selection import load_keras
from convscope.errors import ModelError, PlanError, UnknownLayerError
from convscope.records.card import Card, Opened
from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance
from convscope.registry import nearest
from convscope.training.plan import Plan

ReadBoxes = Callable[[Any], Any]


def as_detector(
    model: Any,
    classes: Sequence[str],
    *,
    boxes: ReadBoxes | None = None,
    layers: Sequence[str] = (),
    preprocess: Preprocess | None = None,
    unsure_below: float = 0.25,
) -> Opened:
    """Take a Keras detector that was made elsewhere, with what it does not say of itself.

    Args:
        model: one picture input (n, height, width, channels) of fixed size. It is not changed; layers are shared.
        classes: names, in the order of the scores.
        boxes: the model's outputs, in their own nesting -> (boxes, scores), written with keras.ops: boxes (n, k, 4)
            float, left, top, right, bottom in pixels of the model's frame, or (n, k, classes, 4) with one for each
            class; scores (n, k, classes) in 0..1. Best before suppression, which is done here. None where the model
            itself gives a dictionary with "boxes" and "scores" of this kind.
        layers: those that its heads read, fine to coarse, for methods that need one (Grad-CAM, Layer-CAM ...).
        preprocess: how pictures become its input. None: letterbox to its frame; values 0..255 where it begins with a
            layer that rescales, else 0..1.
        unsure_below: boxes of a lower score are not shown.

    Returns:
        What `convscope.explain`, `convscope.Scope`, `actions.look.look` and `actions.say.predict_files` take.

    Raises:
        ModelError: an input, outputs or layers of another kind, in one line.

    Example:
        >>> read = lambda out: (out["box"] * 320, keras.ops.sigmoid(out["logit"]))  # doctest: +SKIP
        >>> detector = convscope.as_detector(model, ("cat", "dog"), boxes=read, layers=("p3", "p4"))  # doctest: +SKIP
        >>> convscope.explain(detector, ["a.jpg"], method="layer-cam").save("explained")  # doctest: +SKIP
    """
    keras = load_keras()
    frame = _frame(model, preprocess)
    found = _said(model.output, boxes, str(model.name))
    _check(found, len(classes), str(model.name))
    whole = keras.Model(model.inputs[0], found, name=model.name)
    known = [layer.name for layer in whole.layers]
    for name in layers:
        if name not in known:
            raise UnknownLayerError(f"unknown layer {name!r}; {nearest(name, known)}")
    card = Card("detect", tuple(classes), frame, OWN, "boxes", unsure_below=unsure_below,
                provenance=Provenance(model=str(model.name)))  # fmt: skip
    return Opened(whole, card, str(model.name), tuple(layers))


def _frame(model: Any, preprocess: Preprocess | None) -> Preprocess:
    """How pictures become the model's input, as stated or by the rule for one's own models."""
    sides = (None, None) if preprocess is None else (preprocess.height, preprocess.width)
    try:
        size = None if None in sides else sides
        usual, _ = own_preprocess(model, Plan(image_size=size))
    except PlanError as error:
        raise ModelError(f"expected preprocess= with height and width, {model.name} takes any size") from error
    return preprocess or usual


def _said(outputs: Any, boxes: ReadBoxes | None, name: str) -> dict[str, Any]:
    """The outputs as "boxes" and "scores"."""
    if boxes is None:
        if not isinstance(outputs, Mapping) or not {"boxes", "scores"} <= set(outputs):
            raise ModelError(
                f"expected a detector that gives a dictionary with boxes and scores, {name} gives {_shapes(outputs)}; "
                "pass boxes=f, a function of its outputs that returns (boxes, scores)"
            )
        return {"boxes": outputs["boxes"], "scores": outputs["scores"]}
    try:
        found = boxes(outputs)
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"boxes= failed on the outputs of {name}, {_shapes(outputs)}: {words}; write it with keras.ops"
        ) from error
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise ModelError(f"expected boxes= to return (boxes, scores), got {_shapes(found)}")
    return {"boxes": found[0], "scores": found[1]}


def _shapes(outputs: Any) -> str:
    """Shapes for people, in the outputs' own nesting."""
    shapes = load_keras().tree.map_structure(
        lambda x: getattr(x, "shape", type(x).__name__), outputs, none_is_leaf=False
    )
    return str(shapes)


def _check(found: dict[str, Any], classes: int, name: str) -> None:
    """Both of the shapes that `as_detector` states."""
    shapes = [tuple(getattr(found[key], "shape", ())) for key in ("boxes", "scores")]
    box, score = shapes
    fits = len(score) == 3 and score[2] == classes and box[-1:] == (4,) and len(box) in (3, 4) and box[1] == score[1]
    if not fits or (len(box) == 4 and box[2] != classes):
        raise ModelError(
            f"expected boxes (n, k, 4) and scores (n, k, {classes}), one for each of {classes} classes, {name} gives "
            f"{box} and {score}"
        )
