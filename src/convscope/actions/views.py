"""`convscope keep`: a picture with words that a person wants in the report of a run."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.decode import decode_picture
from convscope.draw.png import png_bytes, shrink
from convscope.errors import DataError, RunError
from convscope.files.atomic import write_bytes, write_json
from convscope.records.report import Section, Sheet, Table, Tile

FOLDER = "views"
MOST, LONGEST_PX, LONGEST_TEXT = 60, 1600, 4000


@dataclass(frozen=True)
class View:
    """One kept view.

    Attributes:
        title: one line; words: what is to be seen; code: Python lines that make it again; address: of the studio.
        picture: PNG, JPEG or WebP bytes; empty for words alone.
    """

    title: str
    words: str = ""
    code: str = ""
    address: str = ""
    picture: bytes = b""


def keep_view(run: Path, view: View) -> Path:
    """Write a view into the run folder, under a name made here; the report shows it when it is written next.

    The picture is decoded and written anew, so that nothing but pixels goes into the page.

    Raises:
        DataError: no title, too long a text, or a picture that can't be read. RunError: too many views.
    """
    if not view.title.strip() or any(len(t) > LONGEST_TEXT for t in (view.title, view.words, view.code, view.address)):
        raise DataError(f"expected a title, and no text longer than {LONGEST_TEXT} characters; shorten it")
    taken = [int(p.stem) for p in (run / FOLDER).glob("*.json") if p.stem.isdecimal()]
    if len(taken) >= MOST:
        raise RunError(f"{run.name}: {MOST} views are kept already; remove some from {run / FOLDER}")
    name = f"{max(taken, default=0) + 1:04d}"
    if view.picture:
        values = np.clip(decode_picture(view.picture, view.title, 3).values, 0, 255).astype(np.uint8)
        write_bytes(run / FOLDER / f"{name}.png", png_bytes(shrink(values, LONGEST_PX)))
    facts = {"title": view.title, "words": view.words, "code": view.code, "address": view.address,
             "time": datetime.now(UTC).isoformat(timespec="seconds")}  # fmt: skip
    write_json(run / FOLDER / f"{name}.json", facts)
    return run / FOLDER / f"{name}.json"


def kept_views(run: Path) -> list[dict[str, Any]]:
    """Kept views in order: name and facts, `picture` (bytes) where there is one; a damaged one is left out."""
    found = []
    for file in sorted((run / FOLDER).glob("*.json")):
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            facts = {k: str(facts.get(k, "")) for k in ("title", "words", "code", "address", "time")}
        except (OSError, ValueError, AttributeError):
            continue
        picture = file.with_suffix(".png")
        found.append({"name": file.stem, **facts, "picture": picture.read_bytes() if picture.is_file() else b""})
    return found


def drop_view(run: Path, name: str) -> None:
    """Take a view out again.

    Raises:
        RunError: no such view.
    """
    file = run / FOLDER / f"{name}.json"
    if not name.isdecimal() or not file.is_file():
        raise RunError(f"{run.name}: expected the name of a kept view, got {name[:20]!r}; look at the list again")
    file.unlink()
    file.with_suffix(".png").unlink(missing_ok=True)


def view_sections(run: Path) -> list[Section]:
    """The chapter of a report; nothing where no view was kept."""
    views = kept_views(run)
    if not views:
        return []
    blocks: list[Sheet | Table] = []
    for view in views:
        if view["picture"]:
            width, height = _size(view["picture"])
            tile = Tile(
                view["picture"], "png", width, height, alt=view["title"], head=view["title"], lines=(view["words"],)
            )
            blocks.append(Sheet(view["title"], (tile,), note=view["time"][:16].replace("T", " ")))
    rows = tuple((v["title"], v["words"], v["code"]) for v in views)
    blocks.append(Table("How to make them again", ("view", "words", "Python"), rows))
    return [
        Section("views", "What was kept while looking", f"{len(views)} views, put here by hand", blocks=tuple(blocks))
    ]


def _size(picture: bytes) -> tuple[int, int]:
    """Width and height at which a tile is shown: at most 960 px wide."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        width, height = image.size
    return (width, height) if width <= 960 else (960, round(height * 960 / width))
