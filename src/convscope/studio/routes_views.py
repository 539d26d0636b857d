"""Keep: views that go into the report of a run, and the report itself."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from convscope.actions.views import View, drop_view, keep_view, kept_views
from convscope.errors import DataError, RunError
from convscope.studio.asked import TheDesk
from convscope.studio.places import has_model

LONGEST = 4000
PICTURE_CHARS = 900_000  # a picture of the page, in base64; the limit of JSON bodies is 1 MiB


class Kept(BaseModel):
    """What the page sends of a view."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=1, max_length=200)
    words: str = Field(default="", max_length=LONGEST)
    code: str = Field(default="", max_length=LONGEST)
    address: str = Field(default="", max_length=LONGEST)
    picture: str = Field(default="", max_length=PICTURE_CHARS)


routes = APIRouter()


@routes.get("/runs/{id}/views")
def views(desk: TheDesk, id: str) -> list[dict[str, Any]]:
    """The views that were kept for the report of a run."""
    found = kept_views(desk.places.get(id, "run").path)
    return [{**v, "picture": bool(v["picture"])} for v in found]


@routes.post("/runs/{id}/views")
def put_view(desk: TheDesk, id: str, *, kept: Kept) -> dict[str, str]:
    """Keep one more view."""
    try:
        picture = base64.b64decode(kept.picture, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError("expected the view's picture in base64; reload the page") from error
    run = desk.places.get(id, "run").path
    file = keep_view(run, View(kept.title, kept.words, kept.code, kept.address, picture))
    return {"name": file.stem}


@routes.post("/runs/{id}/views/{name}/drop")
def take_out(desk: TheDesk, id: str, name: str) -> dict[str, bool]:
    """Take a view out again."""
    drop_view(desk.places.get(id, "run").path, name)
    return {"dropped": True}


@routes.get("/runs/{id}/views/{name}")
def picture_of_view(desk: TheDesk, id: str, name: str) -> Response:
    """The picture of a kept view."""
    for view in kept_views(desk.places.get(id, "run").path):
        if view["name"] == name and view["picture"]:
            return Response(view["picture"], media_type="image/png")
    raise RunError("expected the name of a kept view with a picture; look at the list again")


@routes.post("/runs/{id}/report")
def report(desk: TheDesk, id: str) -> dict[str, str]:
    """Write the report of a finished run, as `convscope report RUN` does."""
    from convscope.actions.run import Run

    place = desk.places.get(id, "run")
    if not has_model(place):
        raise RunError(f"{place.name}: this run is not finished; a report needs its model")
    with desk.busy:
        page = Run(place.path).report()
    return {"page": f"{place.name}/{page.name}"}
