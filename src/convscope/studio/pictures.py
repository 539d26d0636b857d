"""Pictures by id, as the network takes them and as the eye sees them.

An id is "PLACE.NUMBER" (a picture kept in a run, or one of a data folder) or "up.NAME" (an uploaded one).
"""

from __future__ import annotations

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
from convscope.errors import DataError
from convscope.records.card import Opened
from convscope.records.geometry import Preprocess
from convscope.records.prediction import Predictions
from convscope.studio.desk import Desk
from convscope.studio.places import Place

UPLOADED = "up"


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
    scope = desk.scope(model)
    how = known_card(Opened(scope.model, scope.card, model)).preprocess
    if source != UPLOADED and desk.places.get(source).kind == "run":
        label, truth, values, eye = _kept(desk.places.get(source), int(rest), how)
    else:
        label, truth, file = _file(desk, source, rest)
        frame = None if how.height is None or how.width is None else (how.height, how.width)
        values = fit_picture(decode_file(file, how.channels, frame, key=label), how)[0]
        eye = visible(values)
    return Given(label, truth, as_model_input(values[None], how), eye)


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


def _file(desk: Desk, source: str, rest: str) -> tuple[str, str, Path]:
    if source == UPLOADED:
        return "your picture", "", desk.uploaded(rest)
    samples, index = desk.samples(source), int(rest)
    file = desk.data_file(source, index)
    is_class = samples.task == "classify" and samples.truth is not None
    truth = samples.classes[int(samples.truth[index])] if is_class and samples.truth is not None else ""
    return shown(samples.pictures.keys[index]), truth, file


def thumbnail(desk: Desk, id: str, longest_px: int) -> bytes:
    """A picture as JPEG, re-encoded, at most `longest_px` on its longer side."""
    source, rest = split_id(id)
    if source != UPLOADED and desk.places.get(source).kind == "run":
        keepsakes = kept(desk.places.get(source).path)
        if not 0 <= int(rest) < len(keepsakes.images):
            raise DataError(f"expected a kept picture from 0 to {len(keepsakes.images) - 1}, got {rest}")
        return jpeg_bytes(shrink(keepsakes.shown(int(rest)), longest_px))
    label, _, file = _file(desk, source, rest)
    values = decode_file(file, 3, (longest_px, longest_px), key=label).values
    return jpeg_bytes(shrink(values, longest_px))


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
