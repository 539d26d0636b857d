"""Why the network says so: any method on one picture, and the judge's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from convscope.files.journal import plain
from convscope.studio.asked import TheDesk
from convscope.studio.desk import once
from convscope.studio.packing import pack
from convscope.studio.pictures import given_picture
from convscope.studio.routes_look import BINARY, aim

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
    """One explanation of one picture, packed."""

    def made() -> bytes:
        from convscope.actions.explain import explain
        from convscope.explaining.method import method

        given = given_picture(desk, model, picture)
        scope = desk.scope(model)
        usual = scope.card.feature_layer if scope.card else ""  # as `convscope explain` takes it from the bundle
        chosen = (layer or usual or None) if method(how).needs_layer else None
        found = explain(scope, given.inputs, how, aim(target), chosen, labels=(given.label,))
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


@routes.get("/judge")
def judged(desk: TheDesk, model: str, *, picture: str, how: str, target: str = "") -> Any:
    """How far some explanations of one picture can be believed."""
    from convscope.explaining.judge import judge
    from convscope.explaining.method import METHODS

    names = [name for name in how.split(",") if name in METHODS.names()][:MOST_JUDGED]
    given = given_picture(desk, model, picture)
    with desk.busy:
        found = judge(desk.scope(model).probe, given.inputs, names, aim(target), sanity=False)
    return plain(found.as_dict())
