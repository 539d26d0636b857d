"""The application: routes over the actions, errors as one JSON line, the page itself; all behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from convscope.errors import ConvscopeError, RunLockedError
from convscope.studio import (
    routes_data,
    routes_explain,
    routes_look,
    routes_places,
    routes_runs,
    routes_units,
    routes_views,
)
from convscope.studio.desk import Desk
from convscope.studio.guard import Guard
from convscope.studio.places import Places, UnknownPlaceError


def build_app(
    places: Places, *, token: str, hosts: Iterable[str], cookie: str = "convscope", page: Path | None = None
) -> FastAPI:
    """The studio as an ASGI application.

    Args:
        places: what may be opened.
        token: what the link carries.
        hosts: accepted Host headers, with the port.
        cookie: name of the cookie.
        page: folder of the built page (index.html and assets); None serves the answers only.
    """
    desk = Desk(places)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(title="convscope studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.desk = desk
    for routes in (routes_places, routes_look, routes_units, routes_explain, routes_data, routes_runs, routes_views):
        app.include_router(routes.routes, prefix="/api")
    app.add_exception_handler(ConvscopeError, _told)
    if page is not None:
        app.mount("/", StaticFiles(directory=page, html=True), name="page")
    app.add_middleware(Guard, token=token, hosts=tuple(hosts), cookie=cookie)
    return app


async def _told(request: Request, error: Exception) -> JSONResponse:
    """A mistake that its message explains, as the command line would say it."""
    status = 404 if isinstance(error, UnknownPlaceError) else 409 if isinstance(error, RunLockedError) else 400
    return JSONResponse({"error": str(error), "kind": type(error).__name__}, status)
