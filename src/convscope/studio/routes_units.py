"""Filters and units: kernels, what fires them, what is lost without them."""

from __future__ import annotations

import json
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
from convscope.studio.variant import parse_variant

MOST_SILENCED, MOST_STEPS = 120, 256


def some_samples(desk: Desk, model: str, data: str) -> tuple[Samples, np.ndarray]:
    """At most 400 readable pictures of a data place, in the model's class order; and their numbers."""
    from convscope.actions.inspect import fitting_samples

    chosen = desk.readable(data)
    with desk.using(parse_variant(model).place) as scope:
        return fitting_samples(scope, desk.samples(data)).subset(chosen), chosen


routes = APIRouter()


@routes.get("/kernels")
def kernels(desk: TheDesk, model: str, *, layer: str) -> Response:
    """The kernels of a layer, packed."""

    def made() -> bytes:
        from convscope.scope.filters import filters

        with desk.using(model) as scope:
            found = filters(scope.model, layer)
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

    samples, _ = some_samples(desk, model, data)
    with desk.using(model) as scope:
        found = measure_units(scope.probe, as_feed(samples, known_card(desk.card(model)).preprocess), layer)
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
    samples, chosen = some_samples(desk, model, data)
    with desk.using(model) as scope:
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

    wanted = [int(c) for c in channels.split(",") if c.strip().isdecimal()]
    given = given_picture(desk, model, picture)
    with desk.using(model) as scope:
        if scope.card is None or scope.card.task != "classify":
            raise ModelError("expected a classifier to silence filters of; open a run that classifies")
        return without_channels(scope, given.inputs, layer, wanted, Target(before_activation=False))


@routes.get("/drops")
def drops(desk: TheDesk, model: str, *, layer: str, data: str) -> Response:
    """How much accuracy goes with each filter of a layer, each silenced in turn, over at most 120 pictures."""

    def made() -> bytes:
        from convscope.scope.feed import as_feed
        from convscope.scope.silencing import accuracy_without_each_filter

        samples, chosen = some_samples(desk, model, data)
        few = np.unique(np.linspace(0, len(chosen) - 1, min(MOST_SILENCED, len(chosen))).round().astype(np.int64))
        how = known_card(desk.card(model)).preprocess
        with desk.using(model) as scope:
            found = accuracy_without_each_filter(scope.probe, as_feed(samples.subset(few), how), layer)
        return json.dumps({"layer": found.layer, "n": found.n, "accuracy": found.accuracy,
                           "drops": found.drops.tolist()}).encode()  # fmt: skip

    return Response(once(desk, ("drops", desk.version(model), layer, data), made), media_type="application/json")


@routes.get("/dream")
def dream(desk: TheDesk, model: str, *, layer: str, channel: int, steps: int = 48) -> Response:
    """A picture grown to fire one filter most, packed."""

    def made() -> bytes:
        from convscope.actions.visualise import growth, visualise

        with desk.using(model) as scope:
            opened = Opened(scope.model, scope.card, model)
            how = growth(opened, steps=max(8, min(steps, MOST_STEPS)), seed=0, holding="fourier").ascent
            found = visualise(opened, layer, [channel], ascent=how)
        first, last = float(found.grown.history[0][0]), float(found.grown.history[-1][0])
        return pack({"first": first, "last": last, "words": found.grown.words[0]}, {"picture": found.pictures[0]})

    key = ("dream", desk.version(model), layer, channel, steps)
    return Response(once(desk, key, made), media_type=BINARY)
