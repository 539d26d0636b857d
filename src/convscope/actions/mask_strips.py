"""Strips through volumes kept in a run folder as small pictures, since the volumes themselves stay where they are."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convscope.arrays.orientation import joined
from convscope.data.medical_whole import WholeVolume, whole_volumes
from convscope.data.slices import SlicesSource, open_volume
from convscope.draw.volume import volume_strip
from convscope.files.atomic import write_json
from convscope.records.masks import Segmentations
from convscope.records.report import Section, Sheet, Tile
from convscope.records.samples import Samples

STRIPS = "strips.json"
MOST = 2  # volumes


def keep_strips(folder: Path, found: Segmentations, samples: Samples, worst: Sequence[int]) -> None:
    """Draw axial, coronal and sagittal slices of the worst volumes that were segmented whole.

    Args:
        folder: of the run.
        found: masks of `samples`, with truth.
        samples: the pictures.
        worst: indices into `found`, worst first.
    """
    volumes = {volume.file.name: volume for volume in whole_volumes(samples)}
    if not volumes or found.truth is None:
        return
    named = [found.keys[i].rpartition("/")[0] for i in worst]
    chosen = [name for name in dict.fromkeys([*named, *volumes]) if name in volumes][:MOST]
    sheets = [sheet for name in chosen for sheet in _strip(volumes[name], found, samples)]
    write_json(folder / STRIPS, [_plain(sheet) for sheet in sheets])


def _strip(volume: WholeVolume, found: Segmentations, samples: Samples) -> tuple[Sheet, ...]:
    source = samples.pictures
    assert isinstance(source, SlicesSource)
    assert found.truth is not None
    place = {key: i for i, key in enumerate(found.keys)}
    rows = [place.get(source.keys[i]) for i in volume.members]
    if any(row is None for row in rows):
        return ()
    at = [row for row in rows if row is not None]
    opened = open_volume(volume.file)
    return volume_strip(
        opened.greys.apply(opened.lps),
        volume.grid,
        found=joined([found.masks[i] for i in at], source.plane),
        truth=joined([found.truth[i].read() for i in at], source.plane),
        classes=len(found.classes),
        name=volume.file.name,
    )


def _plain(sheet: Sheet) -> dict[str, Any]:
    tiles = [asdict(t) | {"image": base64.b64encode(t.image).decode("ascii")} for t in sheet.tiles]
    return {"title": sheet.title, "note": sheet.note, "tiles": tiles}


def strips_section(folder: Path) -> Section | None:
    """The chapter with what `keep_strips` kept; None where there is nothing."""
    path = folder / STRIPS
    if not path.is_file():
        return None
    sheets = []
    for facts in json.loads(path.read_text(encoding="utf-8")):
        tiles = tuple(
            Tile(**{**t, "image": base64.b64decode(t["image"]), "lines": tuple(t["lines"])}) for t in facts["tiles"]
        )
        sheets.append(Sheet(facts["title"], tiles, note=facts["note"], is_strip=True))
    if not sheets:
        return None
    words = (
        ("Three ways through a volume.", "Solid colour: found; dashed white and black: true. The worst volumes first."),
    )
    return Section("volumes", "Through the volumes", f"{len(sheets) // 3} volumes", words, tuple(sheets))
