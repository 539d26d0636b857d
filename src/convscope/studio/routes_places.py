"""What is open, its pictures, and pictures that are dropped in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

import convscope
from convscope.data.decode import decode_picture
from convscope.draw.png import png_bytes
from convscope.studio.asked import TheDesk
from convscope.studio.pictures import UPLOADED, given_picture, listed, slices_beside, thumbnail
from convscope.studio.places import has_model

MOST_LISTED, LARGEST_PX = 200, 1024


routes = APIRouter()


@routes.get("/places")
def places(desk: TheDesk) -> dict[str, Any]:
    """Everything that is open, by id and name."""
    found = desk.places.all()
    rows = [{"id": p.id, "kind": p.kind, "name": p.name, "has_model": has_model(p)} for p in found]
    desk.asked.set()
    return {"first": desk.places.first, "places": rows, "version": convscope.__version__}


@routes.get("/pictures")
def pictures(desk: TheDesk, place: str, *, start: int = 0, count: int = 60) -> dict[str, Any]:
    """Some of a place's pictures."""
    return listed(desk, place, max(0, start), max(1, min(count, MOST_LISTED)))


@routes.post("/pictures")
async def put(desk: TheDesk, request: Request) -> dict[str, str]:
    """Keep a picture that was dropped in, painted or taken; what is no picture is refused."""
    data = await request.body()

    def checked() -> str:
        decode_picture(data, "your picture", 3)  # what can't be read is refused now, not at its first use
        return desk.put(data)

    return {"id": f"{UPLOADED}.{await run_in_threadpool(checked)}"}


@routes.get("/picture/{id}")
def picture(desk: TheDesk, id: str, *, model: str = "", longest: int = 160) -> Response:
    """A picture: re-encoded and small, or as the network sees it."""
    if model:
        return Response(png_bytes(given_picture(desk, model, id).eye), media_type="image/png")
    data = thumbnail(desk, id, max(16, min(longest, LARGEST_PX)))
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


@routes.get("/slices")
def slices(desk: TheDesk, picture: str) -> dict[str, Any]:
    """Where a slice lies in its volume; nothing for other pictures."""
    return slices_beside(desk, picture)
