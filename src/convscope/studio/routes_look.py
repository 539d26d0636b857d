"""Looking inside: layers, maps, what the network says, one number."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response

from convscope.files.journal import plain
from convscope.studio.desk import Desk, once
from convscope.studio.pictures import given_picture

BINARY = "application/octet-stream"
RankBy = Literal["relevance", "activation", "variance", "index"]


def aim(target: str) -> int | None:
    """A class index from the address; "" for the highest class."""
    return int(target) if target.isdigit() else None


def place_of(at: str) -> tuple[int, ...]:
    """A place from the address, row and column with a comma between; empty for none."""
    return tuple(int(part) for part in at.split(",") if part.strip().isdigit())


def router(desk: Desk) -> APIRouter:
    """Routes over one model and one picture."""
    routes = APIRouter()

    @routes.get("/network")
    def layers(model: str) -> dict[str, Any]:
        from convscope.studio.layers import (
            network,  # here and below: what brings Keras is imported when it is asked for
        )

        scope = desk.scope(model)
        with desk.busy:
            found = network(scope)
        card = scope.card
        found["card"] = card and {
            "task": card.task,
            "classes": list(card.classes),
            "network": card.network,
            "preprocess": card.preprocess.as_dict(),
            "provenance": card.provenance.line(),
            "feature_layer": card.feature_layer,
        }
        return found

    @routes.get("/activity")
    def active(model: str, picture: str) -> dict[str, Any]:
        from convscope.studio.layers import activity

        given = given_picture(desk, model, picture)
        with desk.busy:
            return activity(desk.scope(model), given.inputs)

    @routes.get("/maps")
    def maps(model: str, picture: str, layer: str, rank: RankBy = "relevance", target: str = "") -> Response:
        def made() -> bytes:
            from convscope.studio.maps import packed_maps

            given = given_picture(desk, model, picture)
            return packed_maps(desk.scope(model), given, layer, rank_by=rank, target=aim(target))

        key = ("maps", desk.version(model), picture, layer, rank, target)
        return Response(once(desk, key, made), media_type=BINARY)

    @routes.get("/says")
    def says(model: str, picture: str) -> dict[str, Any]:
        from convscope.studio.maps import prediction

        given = given_picture(desk, model, picture)
        with desk.busy:
            return prediction(desk.scope(model), given)

    @routes.get("/number")
    def one_number(model: str, picture: str, layer: str, channel: int, at: str = "") -> Any:
        from convscope.studio.maps import number

        given = given_picture(desk, model, picture)
        with desk.busy:
            return plain(number(desk.scope(model), given, layer, at=place_of(at), channel=channel))

    return routes
