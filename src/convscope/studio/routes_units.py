"""Filters and units: kernels, what fires them, what is lost without them."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from convscope.actions.predict import known_card
from convscope.errors import ModelError
from convscope.files.journal import plain
from convscope.records.card import Opened
from convscope.records.samples import Samples
from convscope.studio.asked import TheDesk
from convscope.studio.desk import Desk, once
from convscope.studio.packing import pack
from convscope.studio.pictures import given_picture
from convscope.studio.routes_look import BINARY


def some_samples(desk: Desk, model: str, data: str) -> tuple[Samples, np.ndarray]:
    """At most 400 readable pictures of a data place, in the model's class order; and their numbers."""
    from convscope.actions.inspect import fitting_samples

    scope = desk.scope(model)
    samples, chosen = fitting_samples(scope, desk.samples(data)), desk.readable(data)
    return samples.subset(chosen), chosen


routes = APIRouter()


@routes.get("/kernels")
def kernels(desk: TheDesk, model: str, *, layer: str) -> Response:
    """The kernels of a layer, packed."""

    def made() -> bytes:
        from convscope.scope.filters import filters

        found = filters(desk.scope(model).model, layer)
        arrays = {"kernels": found.kernels, "norms": found.norms}
        if found.bias is not None:
            arrays["bias"] = found.bias
        return pack({"layer": found.layer, "kind": found.kind}, arrays)

    return Response(once(desk, ("kernels", desk.version(model), layer), made), media_type=BINARY)


@routes.get("/units")
def units(desk: TheDesk, model: str, *, layer: str, data: str) -> dict[str, Any]:
    """What the filters of a layer do over a data set."""
    from convscope.scope.feed import as_feed
    from convscope.scope.units import measure_units

    scope = desk.scope(model)
    samples, _ = some_samples(desk, model, data)
    with desk.busy:
        found = measure_units(
            scope.probe, as_feed(samples, known_card(Opened(scope.model, scope.card)).preprocess), layer
        )
    return {
        "layer": found.layer,
        "n": found.n,
        "maximum": plain(found.maximum),
        "mean": plain(found.mean),
        "zeros": plain(found.zeros),
        "dead": found.dead(),
        "saturated": found.mostly_saturated(),
        "twins": found.twins()[:100],
    }


@routes.get("/top")
def top(desk: TheDesk, model: str, *, layer: str, channel: int, data: str, count: int = 9) -> dict[str, Any]:
    """The pictures that fire one filter most."""
    scope = desk.scope(model)
    samples, chosen = some_samples(desk, model, data)
    with desk.busy:
        found = scope.top_activations(samples, layer, channel, count=max(1, min(count, 24)))
    rows = [
        {
            "id": f"{data}.{int(chosen[f.index])}",
            "label": f.key,
            "value": f.value,
            "at": list(f.at),
            "box": plain(f.box),
        }
        for f in found.most
    ]
    return {"layer": found.layer, "channel": channel, "n": len(samples), "rows": rows}


@routes.get("/silence")
def silence(desk: TheDesk, model: str, *, picture: str, layer: str, channels: str) -> dict[str, Any]:
    """What the network would say without some channels."""
    from convscope.scope.target import Target
    from convscope.studio.silence import without_channels

    scope = desk.scope(model)
    wanted = [int(c) for c in channels.split(",") if c.strip().isdecimal()]
    if scope.card is None or scope.card.task != "classify":
        raise ModelError("expected a classifier to silence filters of; open a run that classifies")
    given = given_picture(desk, model, picture)
    with desk.busy:
        return without_channels(scope, given.inputs, layer, wanted, Target(before_activation=False))
