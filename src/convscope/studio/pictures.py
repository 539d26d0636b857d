"""Pictures by id, as the network takes them and as the eye sees them.

An id is "PLACE.NUMBER" (a picture kept in a run, or one of a data folder) or "up.NAME" (an uploaded one).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.keepsakes import Keepsakes, kept, visible
from convscope.actions.predict import known_card, read_predictions
from convscope.data.decode import decode_file
from convscope.data.fit import fit_picture
from convscope.data.naming import shown
from convscope.draw.png import jpeg_bytes, shrink
from convscope.errors import DataError, RunError
from convscope.records.geometry import Preprocess
from convscope.records.prediction import Predictions
from convscope.records.samples import Picture
from convscope.studio.desk import Desk
from convscope.studio.places import Place

UPLOADED, WHOLE = "up", "pictures.json"
_SLICE = re.compile(r"-\d{4}$")


@dataclass(frozen=True, eq=False)
class Given:
    """One picture for one model.

    Attributes:
        label: its name, for people.
        truth: name of its class, "" where it is not known.
        inputs: (1, height, width, channels) float32, exactly as the model takes it.
        eye: (height, width, 1 or 3) uint8, the same for the eye.
    """

    label: str
    truth: str
    inputs: np.ndarray
    eye: np.ndarray


def split_id(id: str) -> tuple[str, str]:
    """The two parts of a picture's id.

    Raises:
        DataError: not an id.
    """
    source, dot, rest = id.partition(".")
    is_number = source == UPLOADED or (rest.isascii() and rest.isdecimal())
    if not dot or not source.isalnum() or not rest.isalnum() or not is_number:
        raise DataError(f"expected the id of a picture, got {id[:40]!r}; choose a picture again")
    return source, rest


def given_picture(desk: Desk, model: str, id: str) -> Given:
    """A picture in the network's frame.

    Raises:
        DataError: no such picture, or one that can't be read. ModelError: a model of which no preprocessing is known.
    """
    from convscope.actions.network import as_model_input

    source, rest = split_id(id)
    how = known_card(desk.card(model)).preprocess
    if source != UPLOADED and _has_frames(desk.places.get(source)):
        label, truth, values, eye = _kept(desk.places.get(source), int(rest), how)
    else:
        frame = None if how.height is None or how.width is None else (how.height, how.width)
        label, truth, picture = _decoded(desk, source, rest, how.channels, frame)
        values = fit_picture(picture, how)[0]
        eye = visible(values)
    return Given(label, truth, as_model_input(values[None], how), eye)


def _has_frames(place: Place) -> bool:
    """Whether a run keeps its pictures in the network's frame; runs on boxes and masks keep whole pictures."""
    return place.kind == "run" and not (place.path / WHOLE).is_file()


def whole_pictures(place: Place) -> list[tuple[str, Path]]:
    """(name, file) of the whole pictures that a run on boxes or masks keeps, the worst first.

    Raises:
        RunError: the list in the run folder can't be read.
    """
    try:
        names = json.loads((place.path / WHOLE).read_text(encoding="utf-8"))
        found = [(str(key), (place.path / str(name)).resolve()) for key, name in names.items()]
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{place.name}: its kept pictures can't be read; run `convscope evaluate` anew") from error
    inside = [(key, file) for key, file in found if file.is_relative_to(place.path / "kept")]
    is_boxes = (place.path / "detections.npz").is_file()
    return [*inside[0::2], *inside[1::2][::-1]] if is_boxes else inside  # boxes: worst, best, second worst ...


def _kept(place: Place, number: int, how: Preprocess) -> tuple[str, str, np.ndarray, np.ndarray]:
    keepsakes, predictions = kept(place.path), read_predictions(place.path)
    if not 0 <= number < len(keepsakes.images):
        raise DataError(f"expected a kept picture from 0 to {len(keepsakes.images) - 1}, got {number}")
    values = keepsakes.images[number]
    frame = (how.height or values.shape[0], how.width or values.shape[1], how.channels)
    if values.shape != frame:
        raise DataError(
            f"{place.name}: its pictures are {values.shape}, this network takes {frame}; choose a picture from a folder"
        )
    row = int(keepsakes.rows[number])
    return _name(predictions, row), _truth(predictions, row), values, keepsakes.shown(number)


def _name(predictions: Predictions, row: int) -> str:
    return shown(predictions.keys[row])


def _truth(predictions: Predictions, row: int) -> str:
    if predictions.task != "classify" or predictions.truth is None:
        return ""
    return predictions.classes[int(predictions.truth[row])]


def _decoded(
    desk: Desk, source: str, rest: str, channels: int, frame: tuple[int, int] | None
) -> tuple[str, str, Picture]:
    """(name, class, picture) of a picture that is a file: uploaded, kept whole, or in a data folder."""
    if source == UPLOADED:
        return "your picture", "", decode_file(desk.uploaded(rest), channels, frame, key="your picture")
    place, index = desk.places.get(source), int(rest)
    if place.kind == "run":
        whole = whole_pictures(place)
        if not 0 <= index < len(whole):
            raise DataError(f"expected a kept picture from 0 to {len(whole) - 1}, got {index}")
        return shown(whole[index][0]), "", decode_file(whole[index][1], channels, frame, key=shown(whole[index][0]))
    picture = desk.decoded(source, index, channels, frame)
    samples = desk.samples(source)
    is_class = samples.task == "classify" and samples.truth is not None
    truth = samples.classes[int(samples.truth[index])] if is_class and samples.truth is not None else ""
    return shown(samples.pictures.keys[index]), truth, picture


def thumbnail(desk: Desk, id: str, longest_px: int) -> bytes:
    """A picture as JPEG, re-encoded, at most `longest_px` on its longer side."""
    source, rest = split_id(id)
    if source != UPLOADED and _has_frames(desk.places.get(source)):
        keepsakes = kept(desk.places.get(source).path)
        if not 0 <= int(rest) < len(keepsakes.images):
            raise DataError(f"expected a kept picture from 0 to {len(keepsakes.images) - 1}, got {rest}")
        return jpeg_bytes(shrink(keepsakes.shown(int(rest)), longest_px))
    values = _decoded(desk, source, rest, 3, (longest_px, longest_px))[2].values
    return jpeg_bytes(shrink(np.clip(values, 0, 255).astype(np.uint8), longest_px))


def slices_beside(desk: Desk, id: str) -> dict[str, Any]:
    """The slices of the volume that a picture is of: first and last id's number, and which it is; {} for others."""
    source, rest = split_id(id)
    if source == UPLOADED or desk.places.get(source).kind != "data":
        return {}
    keys, index = desk.samples(source).pictures.keys, int(rest)
    if not 0 <= index < len(keys) or not _SLICE.search(keys[index]):
        return {}
    volume = _SLICE.sub("", keys[index])
    first = last = index
    while first > 0 and _SLICE.search(keys[first - 1]) and _SLICE.sub("", keys[first - 1]) == volume:
        first -= 1
    while last + 1 < len(keys) and _SLICE.search(keys[last + 1]) and _SLICE.sub("", keys[last + 1]) == volume:
        last += 1
    return {"volume": shown(volume), "place": source, "first": first, "last": last, "here": index}


def listed(desk: Desk, place: str, start: int, count: int) -> dict[str, Any]:
    """Some of a place's pictures: id, name, class, and for a run what was said of them."""
    found = desk.places.get(place)
    if found.kind == "run":
        return _listed_run(found, start, count)
    samples = desk.samples(place)
    rows = []
    for index in range(start, min(start + count, len(samples))):
        truth = ""
        if samples.task == "classify" and samples.truth is not None:
            truth = samples.classes[int(samples.truth[index])]
        rows.append({"id": f"{place}.{index}", "label": shown(samples.pictures.keys[index]), "truth": truth})
    return {"total": len(samples), "rows": rows}


def _listed_run(place: Place, start: int, count: int) -> dict[str, Any]:
    if (place.path / WHOLE).is_file():
        whole = whole_pictures(place)
        numbers = range(start, min(start + count, len(whole)))
        rows = [{"id": f"{place.id}.{n}", "label": shown(whole[n][0]), "truth": ""} for n in numbers]
        return {"total": len(whole), "rows": rows}
    if not (place.path / "pictures.npz").is_file():
        return {"total": 0, "rows": []}
    keepsakes: Keepsakes = kept(place.path)
    predictions = read_predictions(place.path)
    rows = []
    for number in range(start, min(start + count, len(keepsakes.rows))):
        row = int(keepsakes.rows[number])
        facts: dict[str, Any] = {
            "id": f"{place.id}.{number}",
            "label": _name(predictions, row),
            "truth": _truth(predictions, row),
        }
        if predictions.task == "classify":
            best = int(predictions.scores[row].argmax())
            facts |= {"says": predictions.classes[best], "probability": float(predictions.scores[row, best])}
        rows.append(facts)
    return {"total": len(keepsakes.rows), "rows": rows}
