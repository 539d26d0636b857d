"""What a trained network says of each picture, calibrated, as records, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.budget import CacheBudget
from convscope.data.loader import Loader
from convscope.errors import DataError, ModelError, RunError
from convscope.files.atomic import atomic_file, write_json, write_text
from convscope.files.journal import plain
from convscope.metrics.calibrate import apply_temperature
from convscope.records.card import Card, Opened
from convscope.records.prediction import Predictions
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples

BATCH = 32
SCORED, SCORED_FACTS = "scores.npz", "scores.json"


def predict_samples(
    opened: Opened, samples: Samples, *, native_size: bool = False, progress: Progress = silent
) -> Predictions:
    """Say what a network sees in samples; `truth` is carried along where there is one."""
    card = known_card(opened)
    network, preprocess, batch_size = opened.model, card.preprocess, max(1, min(BATCH, len(samples)))
    if native_size:
        from convscope.models.sizes import takes_any_size

        network, preprocess, batch_size = takes_any_size(opened.model), replace(preprocess, fit="native"), 1
    no_cache = CacheBudget(memory_bytes=0, disk_bytes=0)
    loader = Loader(samples, preprocess, batch_size=batch_size, cache=no_cache, unreadable="drop")
    outputs, indices = run_batches(network, loader, card, progress)
    if not len(indices):
        reasons = "; ".join(f"{s.key}: {s.reason}" for s in loader.set_aside[:3])
        raise DataError(f"expected at least one readable picture, found none ({reasons}); run `convscope scan`")
    return decode(card, outputs, samples.subset(indices))


def known_card(opened: Opened) -> Card:
    """The card of an opened model, or an error that says what is missing."""
    if opened.card is None:
        raise ModelError(
            f"{opened.where or 'this model'}: expected a run or a bundle; a bare .keras file does not say its classes "
            "or how pictures become its input. Use convscope.Scope(model, preprocess=...) from Python, for a detector "
            "convscope.as_detector(model, classes, ...)"
        )
    return opened.card


def run_batches(model: Any, loader: Loader, card: Card, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs (n, units) float32 and which samples they are for."""
    from convscope.actions.network import as_model_input
    from convscope.scope.tap import Probe

    indices: list[np.ndarray] = []

    def pictures() -> Iterator[Any]:
        for place, batch in enumerate(loader.batches(0), start=1):
            if len(batch.images):
                indices.append(batch.indices)
                yield as_model_input(batch.images, card.preprocess)
            progress("pictures predicted", min(place * loader.batch_size, len(loader.samples)), len(loader.samples))

    probe = Probe(model, batch_size=loader.batch_size)  # compiled once; the last batch is padded
    count = -(-len(loader.samples) // loader.batch_size)
    is_one_size = loader.preprocess.fit != "native"
    outputs = [
        np.asarray(seen.outputs[0], np.float32) for seen in probe.each(pictures(), (), count=count, abreast=is_one_size)
    ]
    if not outputs:
        return np.empty((0, 0), np.float32), np.empty(0, np.int64)
    return np.concatenate(outputs), np.concatenate(indices)


def decode(card: Card, outputs: np.ndarray, samples: Samples) -> Predictions:
    """Raw outputs to calibrated predictions with names and truth."""
    from convscope.tasks.outputs import Encoding, Head
    from convscope.tasks.rules import TASKS

    encoding: Encoding = "values" if card.task != "classify" else "one-hot"
    head = Head(card.task, card.classes, outputs.shape[1], card.output_kind, encoding)
    found = TASKS[card.task].predictions(outputs, head, tuple(samples.pictures.keys), samples.truth)
    if card.temperature != 1:
        found = replace(found, scores=apply_temperature(found.scores, card.temperature, task=found.task))
    return replace(found, temperature=card.temperature, unsure_below=card.unsure_below)


def as_rows(predictions: Predictions) -> list[dict[str, Any]]:
    """One plain row per picture: its name, what the network says, how sure it is, and every class' number."""
    rows = []
    for key, scores in zip(predictions.keys, predictions.scores.tolist(), strict=True):
        row: dict[str, Any] = {"picture": key}
        by_class = dict(zip(predictions.classes, scores, strict=True))
        if predictions.task == "classify":
            best = max(by_class, key=by_class.__getitem__)
            row |= {"says": best, "probability": by_class[best]}
            row["unsure"] = by_class[best] < predictions.unsure_below
        elif predictions.task == "multilabel":
            row["says"] = " ".join(name for name, p in by_class.items() if p >= 0.5)
        rows.append(row | {f"p({n})" if predictions.task != "regress" else n: v for n, v in by_class.items()})
    return rows


def write_predictions(folder: Path, predictions: Predictions) -> None:
    """Write predictions.csv and predictions.json; a cell that a spreadsheet would run as a formula is quoted."""
    rows = as_rows(predictions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(_harmless(name) for name in rows[0])
        writer.writerows([_harmless(value) for value in row.values()] for row in rows)
    write_text(folder / "predictions.csv", text.getvalue())
    facts = {"task": predictions.task, "classes": list(predictions.classes), "temperature": predictions.temperature,
             "unsure_below": predictions.unsure_below, "predictions": rows}  # fmt: skip
    write_json(folder / "predictions.json", plain(facts))


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def write_scored(folder: Path, predictions: Predictions) -> None:
    """Keep predictions with their truth in a run folder, exactly (scores.npz), beside the files for people."""
    write_predictions(folder, predictions)
    truth = {} if predictions.truth is None else {"truth": predictions.truth}
    with atomic_file(folder / SCORED) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, keys=np.array(predictions.keys, dtype=str), scores=predictions.scores, **truth)  # type: ignore[arg-type]  # its stub takes names for options
    facts = {"task": predictions.task, "classes": list(predictions.classes), "temperature": predictions.temperature,
             "unsure_below": predictions.unsure_below}  # fmt: skip
    write_json(folder / SCORED_FACTS, facts)


def read_predictions(folder: Path) -> Predictions:
    """Read what `write_scored` wrote.

    Raises:
        RunError: the run has no predictions yet.
    """
    if not (folder / SCORED).is_file():
        raise RunError(f"{folder}: this run has no predictions yet; go on with `convscope train --resume {folder}`")
    facts = json.loads((folder / SCORED_FACTS).read_text(encoding="utf-8"))
    with np.load(folder / SCORED, allow_pickle=False) as stored:
        truth = stored.get("truth")
        keys = tuple(str(k) for k in stored["keys"])
        return Predictions(
            keys, stored["scores"], facts["task"], tuple(facts["classes"]), truth,
            facts["temperature"], facts["unsure_below"],
        )  # fmt: skip
