"""Runs: what their folders say, live while they are trained; begin, stop, go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from convscope.actions.catalogue import list_models
from convscope.actions.run_folder import EVALUATION, RunFolder
from convscope.errors import RunError
from convscope.files.journal import JOURNAL, plain
from convscope.studio import jobs
from convscope.studio.asked import TheDesk
from convscope.studio.decided import names_left_out
from convscope.studio.film import packed_film
from convscope.studio.places import Place
from convscope.training.plan import Plan

EVERY_S = 0.5


class Wish(BaseModel):
    """What the form sends: data, a name, and the plan's fields that were changed."""

    model_config = ConfigDict(extra="forbid")
    data: str = Field(max_length=16)
    name: str = Field(max_length=64)
    options: dict[str, Any] = Field(default_factory=dict, max_length=100)


class More(BaseModel):
    """How many epochs a resumed run gets in all; none for as planned."""

    model_config = ConfigDict(extra="forbid")
    epochs: int | None = Field(default=None, ge=1, le=100_000)


def summary(place: Place) -> dict[str, Any]:
    """One run in a few facts, for the list."""
    run = RunFolder(place.path)
    rows = run.history.epochs
    start = run.events[0] if run.events else {}
    return {
        "id": place.id,
        "name": place.name,
        "running": jobs.is_running(place.path),
        "finished": not run.stopped,
        "epochs": len(rows),
        "network": start.get("network", ""),
        "data": start.get("data", ""),
        "last": dict(rows[-1]) if rows else {},
    }


def whole(place: Place) -> dict[str, Any]:
    """Everything that a run's page shows."""
    run = RunFolder(place.path)
    events = run.events
    start = next((e for e in events if e["event"] == "start"), {})
    facts: dict[str, Any] = {
        **summary(place),
        "start": {k: v for k, v in start.items() if k not in ("data_path", "clock_s")},
        "plan": plain(run.plan.model_dump(mode="json")) if (place.path / "plan.toml").is_file() else {},
        "history": [dict(row) for row in run.history.epochs],
        "verdicts": [vars(v) for v in run.verdicts],
        "events": len(events),
        "said": jobs.last_words(place.path),
        "scores": None,
    }
    if (place.path / EVALUATION).is_file():
        facts["scores"] = json.loads((place.path / EVALUATION).read_text(encoding="utf-8"))
    return facts


routes = APIRouter()


@routes.get("/plan")
def plan() -> dict[str, Any]:
    """The plan's schema and defaults, and the networks there are."""
    models = [vars(row) for row in list_models()]
    return {"schema": Plan.model_json_schema(), "defaults": plain(Plan().model_dump(mode="json")), "models": models}


@routes.get("/runs")
def runs(desk: TheDesk) -> list[dict[str, Any]]:
    """Every open run in a few facts."""
    return [summary(p) for p in desk.places.all() if p.kind == "run"]


@routes.get("/runs/{id}")
def run(desk: TheDesk, id: str) -> dict[str, Any]:
    """Everything that a run's page shows."""
    return whole(desk.places.get(id, "run"))


@routes.get("/runs/{id}/events")
def events(desk: TheDesk, id: str, *, request: Request, after: int = 0) -> StreamingResponse:
    """The journal, live."""
    place = desk.places.get(id, "run")
    return StreamingResponse(_stream(place.path, max(0, after), request), media_type="text/event-stream")


@routes.get("/runs/{id}/film")
def film(desk: TheDesk, id: str) -> Response:
    """What a watched training looked at, epoch by epoch, packed."""
    return Response(packed_film(desk.places.get(id, "run").path), media_type="application/octet-stream")


@routes.post("/runs")
def begin(desk: TheDesk, wish: Wish) -> dict[str, str]:
    """Begin a training in a process of its own."""
    data = desk.places.get(wish.data, "data")
    names = names_left_out(desk, wish.data)
    options = {"leave_out": names, **wish.options} if names else wish.options
    folder = jobs.begin(data.path, wish.name, options, desk.places.runs)
    return {"name": folder.name}


@routes.get("/begun/{name}")
def begun(desk: TheDesk, name: str) -> dict[str, Any]:
    """Whether a training that was begun has a journal yet, and what it said where it has ended without one."""
    folder = desk.places.runs / name
    if not jobs.is_name(name) or not folder.is_dir():
        raise RunError("expected the name of a run that was begun here; begin it again")
    place = next((p for p in desk.places.all() if p.path == folder), None)
    return {"id": place.id if place else "", "running": jobs.is_running(folder), "said": jobs.last_words(folder)}


@routes.post("/runs/{id}/stop")
def stop(desk: TheDesk, id: str) -> dict[str, bool]:
    """Ask a training to stop with a checkpoint."""
    jobs.stop(desk.places.get(id, "run").path)
    return {"asked": True}


@routes.post("/runs/{id}/finish")
def finish(desk: TheDesk, id: str) -> dict[str, bool]:
    """End a training with what it has: the best epoch so far becomes the model."""
    jobs.finish(desk.places.get(id, "run").path)
    return {"asked": True}


@routes.post("/runs/{id}/resume")
def resume(desk: TheDesk, id: str, *, more: More) -> dict[str, bool]:
    """Go on with a stopped or finished run."""
    jobs.go_on(desk.places.get(id, "run").path, more.epochs)
    return {"asked": True}


async def _stream(folder: Path, after: int, request: Request) -> AsyncIterator[str]:
    """New lines of the journal as they are written, and whether it is being written."""
    sent, was_running = after, None
    while not await request.is_disconnected():
        lines = await asyncio.to_thread(_lines, folder / JOURNAL)
        for line in lines[sent:]:
            yield f"event: line\ndata: {line}\n\n"
        sent = max(sent, len(lines))
        running = await asyncio.to_thread(jobs.is_running, folder)
        if running != was_running:
            was_running = running
            yield f"event: running\ndata: {json.dumps(running)}\n\n"
        await asyncio.sleep(EVERY_S)


def _lines(journal: Path) -> list[str]:
    """Whole lines; a torn last one is left for the next look."""
    if not journal.is_file():
        return []
    return journal.read_text(encoding="utf-8").split("\n")[:-1]
