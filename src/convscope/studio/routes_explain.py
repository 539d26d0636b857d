"""Why the network says so: any method on one picture, on a class, a box or a mask; and the judge's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Response

from convscope.errors import PlanError
from convscope.files.journal import plain
from convscope.records.attribution import Attribution
from convscope.studio.asked import TheDesk
from convscope.studio.desk import once
from convscope.studio.packing import pack
from convscope.studio.pictures import Given, given_picture
from convscope.studio.routes_look import BINARY, aim

if TYPE_CHECKING:
    from convscope.actions.look import Scope

MOST_JUDGED = 6


routes = APIRouter()


@routes.get("/methods")
def methods() -> list[dict[str, Any]]:
    """Every method with its words, source and options."""
    from convscope.explaining.method import METHODS, method

    found = [method(name) for name in METHODS.names()]
    return [
        {
            "name": m.name,
            "family": m.family,
            "words": m.words,
            "source": m.source,
            "options": plain(m.options),
            "needs_layer": m.needs_layer,
        }
        for m in found
    ]


@routes.get("/heat")
def heat(
    desk: TheDesk, model: str, *, picture: str, how: str = "grad-cam", target: str = "", layer: str = ""
) -> Response:
    """One explanation of one picture, packed; `target` is a class, a box or, for masks, a class where it is said."""

    def made() -> bytes:
        given = given_picture(desk, model, picture)
        with desk.using(model) as scope:
            found = _explained(scope, given, how, target, layer)
        limit = float(np.quantile(np.abs(found.heat[0]), 0.99)) if found.values is not None else 0.0
        facts = {
            "method": found.method,
            "signed": found.signed,
            "target": vars(found.targets[0]),
            "score": float(found.scores[0]),
            "layers": found.layers,
            "reason": found.layer_reason,
            "words": found.facts.get("words", ""),
            "source": found.facts.get("source", ""),
            "limit": limit or float(np.abs(found.heat[0]).max(initial=0.0)),
            "by_pixel": found.values is not None,
        }
        return pack(facts, {"heat": found.heat[0].astype(np.float32)})

    key = ("heat", desk.version(model), picture, how, target, layer)
    return Response(once(desk, key, made), media_type=BINARY)


def _explained(scope: Scope, given: Given, how: str, target: str, layer: str) -> Attribution:
    """One explanation by the task of the model; for a class as `convscope explain` makes it from the bundle."""
    from convscope.actions.explain import explain
    from convscope.explaining.method import method

    task = scope.card.task if scope.card else "classify"
    if task == "detect":
        from convscope.studio.marks import box_heat

        return box_heat(scope, given, how, aim(target) or 0, layer or None)
    usual = scope.card.feature_layer if scope.card else ""
    chosen = (layer or usual or None) if method(how).needs_layer else None
    if task == "segment":
        from convscope.studio.marks import mask_target

        probe, wanted = mask_target(scope, given, aim(target) or 0)
        return explain(probe, given.inputs, how, wanted, chosen, labels=(given.label,))
    return explain(scope, given.inputs, how, aim(target), chosen, labels=(given.label,))


@routes.get("/judge")
def judged(desk: TheDesk, model: str, *, picture: str, how: str, target: str = "") -> Any:
    """How far some explanations of one picture can be believed."""
    from convscope.explaining.judge import judge
    from convscope.explaining.method import METHODS

    names = [name for name in how.split(",") if name in METHODS.names()][:MOST_JUDGED]
    given = given_picture(desk, model, picture)
    with desk.using(model) as scope:
        task = scope.card.task if scope.card else "classify"
        if task == "detect":
            from convscope.studio.marks import judged_box

            return plain(judged_box(scope, given, names, aim(target) or 0).as_dict())
        if task == "segment":
            from convscope.studio.marks import mask_target

            probe, wanted = mask_target(scope, given, aim(target) or 0)
            return plain(judge(probe, given.inputs, names, wanted, sanity=False).as_dict())
        return plain(judge(scope.probe, given.inputs, names, aim(target), sanity=False).as_dict())


@routes.get("/mask")
def mask(desk: TheDesk, model: str, *, picture: str) -> Response:
    """The class of each pixel as a segmenter says it, packed."""

    def made() -> bytes:
        from convscope.studio.marks import mask_said

        given = given_picture(desk, model, picture)
        with desk.using(model) as scope:
            if scope.card is None or scope.card.task != "segment":
                raise PlanError("expected a model that segments, got one of another task; open a run on masks")
            return pack({"classes": list(scope.card.classes)}, {"mask": mask_said(scope, given)})

    return Response(once(desk, ("mask", desk.version(model), picture), made), media_type=BINARY)
