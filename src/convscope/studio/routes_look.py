"""Looking inside: layers, maps, what the network says, one number.

What brings Keras is imported inside the routes, here and in the other routes: the page is there before it.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response

from convscope.files.journal import plain
from convscope.studio.asked import TheDesk
from convscope.studio.desk import once, once_told
from convscope.studio.pictures import given_picture
from convscope.studio.variant import parse_variant

BINARY = "application/octet-stream"
RankBy = Literal["relevance", "activation", "variance", "index"]


def aim(target: str) -> int | None:
    """A class index from the address; "" for the highest class."""
    return int(target) if target.isdecimal() else None


def place_of(at: str) -> tuple[int, ...]:
    """A place from the address, row and column with a comma between; empty for none."""
    return tuple(int(part) for part in at.split(",") if part.strip().isdecimal())


routes = APIRouter()


@routes.get("/network")
def layers(desk: TheDesk, model: str) -> dict[str, Any]:
    """Every layer with shape, cost, field and inputs."""
    from convscope.studio.layers import network

    with desk.using(model) as scope:
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
def active(desk: TheDesk, model: str, *, picture: str) -> Response:
    """How strongly each layer answers to one picture, and how strongly the answer depends on it."""
    from convscope.studio.layers import activity

    def made() -> dict[str, Any]:
        given = given_picture(desk, model, picture)
        with desk.using(model) as scope:
            return activity(scope, given.inputs)

    return once_told(desk, ("activity", desk.version(model), picture), made)


@routes.get("/epochs")
def epochs(desk: TheDesk, model: str) -> dict[str, Any]:
    """The epochs of a run that can be opened: those whose checkpoint is kept."""
    from convscope.actions.epochs import kept_epochs

    place = desk.places.get(parse_variant(model).place, "run", "model")
    return {"kept": kept_epochs(place.path) if place.kind == "run" else []}


@routes.get("/maps")
def maps(
    desk: TheDesk, model: str, *, picture: str, layer: str, rank: RankBy = "relevance", target: str = "",
    steps: bool = False,
) -> Response:  # fmt: skip
    """All maps of a layer, packed: exact, or with `steps` in 256 steps, which are there sooner."""

    def made() -> bytes:
        from convscope.studio.maps import packed_maps

        given = given_picture(desk, model, picture)
        with desk.using(model) as scope:
            return packed_maps(scope, given, layer, rank_by=rank, target=aim(target))

    def in_steps() -> bytes:
        from convscope.studio.maps import stepped

        return stepped(once(desk, key, made))

    key = ("maps", desk.version(model), picture, layer, rank, target)
    found = desk.answers.get((*key, "steps"), in_steps) if steps else once(desk, key, made)
    return Response(found, media_type=BINARY)


@routes.get("/says")
def says(desk: TheDesk, model: str, *, picture: str) -> Response:
    """What the network says of a picture."""
    from convscope.studio.maps import prediction

    def made() -> dict[str, Any]:
        given = given_picture(desk, model, picture)
        with desk.using(model) as scope:
            return prediction(scope, given)

    return once_told(desk, ("says", desk.version(model), picture), made)


@routes.get("/number")
def one_number(desk: TheDesk, model: str, *, picture: str, layer: str, channel: int, at: str = "") -> Any:
    """One value with every factor behind it."""
    from convscope.studio.maps import number

    given = given_picture(desk, model, picture)
    with desk.using(model) as scope:
        return plain(number(scope, given, layer, at=place_of(at), channel=channel))
