"""Data: what a scan found, and what augmentation does to a picture."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from convscope.actions.scan import scan
from convscope.actions.scan_report import read_audit
from convscope.data.naming import shown
from convscope.errors import PlanError, RunError
from convscope.files.journal import plain
from convscope.records.audit import Audit
from convscope.studio.asked import TheDesk
from convscope.studio.augmented import augmented_strip
from convscope.studio.decided import left_out, write_left_out
from convscope.studio.packing import pack
from convscope.studio.routes_look import BINARY

routes = APIRouter()


@routes.get("/scan")
def scanned(desk: TheDesk, place: str) -> Response:
    """What a scan found, or what a run kept of one."""
    found = desk.places.get(place, "data", "run")

    def made() -> bytes:
        if found.kind == "data":
            audit = scan(desk.samples(place))
            keys = {key: i for i, key in enumerate(desk.samples(place).pictures.keys)}
            return _facts(audit, {key: f"{place}.{i}" for key, i in keys.items()})
        kept = read_audit(found.path)
        if kept is None:
            raise RunError(f"{found.name}: this run kept no scan; open its data: convscope studio RUN DATA")
        return _facts(kept[0], {})

    return Response(desk.answers.get(("scan", place), made), media_type="application/json")


@routes.get("/augmented")
def augmented(
    desk: TheDesk, picture: str, *, changes: str = "{}", seed: int = 0, count: int = 8, size: int = 160
) -> Response:
    """One picture changed by chance, packed."""
    try:
        chosen = json.loads(changes[:2000])
    except ValueError as error:
        raise PlanError("expected changes as JSON, name and strength") from error
    if not isinstance(chosen, dict):
        raise PlanError("expected changes as JSON, name and strength")
    found = augmented_strip(desk, picture, chosen, seed=seed, count=count, size=size)
    return Response(pack({"count": len(found)}, {"pictures": found}), media_type=BINARY)


def _facts(audit: Audit, ids: dict[str, str]) -> bytes:
    """A scan as JSON; the pictures behind a finding as (id, name) pairs, "" where they can't be shown."""
    facts = audit.as_dict()
    facts["classes"] = list(audit.classes.items())  # pairs keep their order; a page sorts keys that look like numbers
    for finding in facts["findings"]:
        finding["pictures"] = [[[ids.get(key, ""), shown(key)] for key in group] for group in finding["pictures"]]
    return json.dumps(plain(facts), ensure_ascii=False, allow_nan=False).encode()


class Decided(BaseModel):
    """Numbers of the pictures of a data set that a person leaves out."""

    model_config = ConfigDict(extra="forbid")
    left_out: list[int] = Field(max_length=20_000)


@routes.get("/decisions/{id}")
def decisions(desk: TheDesk, id: str) -> dict[str, Any]:
    """What a person decided about a data set: the pictures that trainings begun here leave out."""
    return {"left_out": left_out(desk, id)}


@routes.post("/decisions/{id}")
def decide(desk: TheDesk, id: str, *, decided: Decided) -> dict[str, Any]:
    """Write the decisions beside the runs; the data itself is never changed."""
    return {"left_out": write_left_out(desk, id, decided.left_out)}
