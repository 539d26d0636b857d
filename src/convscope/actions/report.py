"""`convscope report`: everything a run folder holds, as one HTML page that needs nothing else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from convscope.actions.inside import heat, inside_sections, overlays
from convscope.actions.keepsakes import Keepsakes, kept
from convscope.actions.network import as_model_input
from convscope.actions.predict import read_predictions
from convscope.actions.run_folder import RunFolder
from convscope.actions.scan_report import read_audit
from convscope.files.atomic import write_text
from convscope.layers.augment import Augmenter
from convscope.records.prediction import Predictions
from convscope.records.progress import Progress, silent
from convscope.records.report import Facts, Report, Section, Words
from convscope.reporting.audit import audit_section
from convscope.reporting.pictures import answer_words, augmentation_section, mistakes_section, samples_section
from convscope.reporting.render import render_report
from convscope.reporting.scores import headline_words, scores_section
from convscope.reporting.training import training_section

REPORT = "report.html"
CHANGED, VERSIONS = 3, 6


def write_report(run: RunFolder, *, out: Path | None = None, progress: Progress = silent) -> Path:
    """Write the report of a finished run; return where it is.

    Raises:
        RunError: the run is not finished. StorageError: it can't be written.
    """
    path = out or run.path / REPORT
    write_text(path, render_report(build_report(run, progress=progress)))
    return path


def build_report(run: RunFolder, *, progress: Progress = silent) -> Report:
    """Assemble the page from what the run folder holds."""
    scores, card, start = run.scores, run.card, run.events[0]
    predictions, keepsakes = read_predictions(run.path), kept(run.path)
    provenance = card.provenance
    n_val = start["split"]["val"]
    which = "that training never saw" if start["split"]["test"] else ""
    sections = [
        training_section(run.history, run.verdicts, n_val=n_val, chance=scores.majority, provenance=provenance),
        scores_section(scores, predictions=predictions, provenance=provenance, which=which),
        _mistakes(run, predictions, keepsakes, progress),
        *_inside(run, predictions, keepsakes, progress),
        *_augmentation(run, predictions, keepsakes),
        *_data(run, predictions, keepsakes),
    ]
    verdict: Words = tuple((v.title, v.detail) for v in run.verdicts)
    notes: Words = tuple((note, "") for note in start.get("notes", []))
    return Report(
        title=f"run {run.path.name}",
        subtitle=f"{start.get('name') or card.provenance.data} · {card.network}",
        words=(headline_words(scores, which=which), *verdict, *notes),
        facts=_facts(run),
        sections=tuple(sections),
        provenance=provenance,
        made=run.events[-1]["time"][:16].replace("T", " ") + " UTC",
    )


def _facts(run: RunFolder) -> tuple[Facts, ...]:
    start, card, plan = run.events[0], run.card, run.plan
    split = start["split"]
    data = (
        ("data", start["data"]),
        ("read as", start["source"]),
        ("training", str(split["train"])),
        ("validation", str(split["val"])),
        ("test", str(split["test"])),
        ("split", start["split_rule"]),
        ("set aside", str(start["set_aside"])),
    )
    size = "as given" if card.preprocess.height is None else f"{card.preprocess.height}×{card.preprocess.width} px"
    network = (
        ("network", card.network),
        ("parameters", f"{start['parameters']:,}".replace(",", " ")),
        ("input", f"{size}, {card.preprocess.channels} channels, {card.preprocess.fit}"),
        ("temperature", f"{card.temperature:.3g}"),
        ("unsure below", f"{card.unsure_below:.3g}"),
        ("seed", str(start["seed"])),
        ("back end", f"{start['backend']}, {start['backend_rule']}"),
    )
    usual = type(plan)()
    shown = {k: v for k, v in plan.model_dump().items() if v != getattr(usual, k) and k != "augment"}
    changes = {k: v for k, v in asdict(plan.augment).items() if v != getattr(usual.augment, k)}
    chosen = tuple((k.replace("_", " "), str(v)) for k, v in (shown | changes).items())
    facts = (Facts("Data", data), Facts("Network", network))
    return (
        (*facts, Facts("Plan", chosen, "what differs from the defaults; all of it in plan.toml")) if chosen else facts
    )


def _says(predictions: Predictions, keepsakes: Keepsakes, places: tuple[int, ...]) -> list[str]:
    if predictions.truth is None:
        return []
    return [answer_words(predictions, int(keepsakes.rows[p]))[0] for p in places]


def _mistakes(run: RunFolder, predictions: Predictions, keepsakes: Keepsakes, progress: Progress) -> Section:
    """The worst mistakes, each with its heat."""
    keys = [predictions.keys[int(r)] for r in keepsakes.rows]
    pictures = [keepsakes.shown(p) for p in range(len(keys))]
    inputs = as_model_input(keepsakes.images, run.card.preprocess)
    found = heat(run.opened, inputs, keys, progress=progress) if keys else None
    drawn = overlays(found, pictures) if found is not None else []
    by_key = dict(zip(keys, pictures, strict=True))
    return mistakes_section(predictions, by_key, overlays=dict(zip(keys, drawn, strict=False)))


def _inside(run: RunFolder, predictions: Predictions, keepsakes: Keepsakes, progress: Progress) -> list[Section]:
    places = keepsakes.looked_at
    if not places:
        return []
    return inside_sections(
        run.opened,
        keepsakes.images[list(places)],
        [keepsakes.shown(p) for p in places],
        labels=[predictions.keys[int(keepsakes.rows[p])] for p in places],
        says=_says(predictions, keepsakes, places),
        progress=progress,
    )


def _augmentation(run: RunFolder, predictions: Predictions, keepsakes: Keepsakes) -> list[Section]:
    """What the plan's random changes make of kept pictures."""
    plan = run.plan
    if plan.augment.is_off or not len(keepsakes.rows):
        return []
    from convscope.backend.tensors import to_numpy
    from convscope.data.chance import draw

    count = min(CHANGED, len(keepsakes.rows))
    images, before = keepsakes.images[:count], [keepsakes.shown(p) for p in range(count)]
    low, high = keepsakes.limits
    frame = (images.shape[1], images.shape[2])
    change = Augmenter(plan.augment, frame_hw=frame, channels=images.shape[3], value_range=(low, high)).compiled()
    partners = np.roll(images, 1, axis=0)
    after: list[list[np.ndarray]] = [[] for _ in before]
    from convscope.actions.keepsakes import visible

    for epoch in range(VERSIONS):
        draws = draw(plan.augment, seed=plan.seed, epoch=epoch, indices=np.arange(count))
        for place, changed in enumerate(to_numpy(change(images, draws, partners))):
            after[place].append(visible(changed, keepsakes.limits))
    on = {k: v for k, v in asdict(plan.augment).items() if v and k != "rand_augment_strength"}
    how: Words = (
        ("Drawn for each picture by itself.", ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in on.items())),
    )
    labels = [predictions.keys[int(r)] for r in keepsakes.rows[:count]]
    return [augmentation_section(before, after, labels=labels, how=how)]


def _data(run: RunFolder, predictions: Predictions, keepsakes: Keepsakes) -> list[Section]:
    """Sample pictures, and what the scan found."""
    right = [p for p in range(len(keepsakes.rows)) if not _is_wrong(predictions, int(keepsakes.rows[p]))][:12]
    rows = [(predictions.keys[int(keepsakes.rows[p])], _truth_words(predictions, int(keepsakes.rows[p])),
             keepsakes.shown(p)) for p in right or range(min(12, len(keepsakes.rows)))]  # fmt: skip
    sections = [samples_section(rows)] if rows else []
    found = read_audit(run.path)
    if found is not None:
        audit, thumbnails = found
        frame = run.card.preprocess.size
        sections.append(audit_section(audit, thumbnails, input_hw=frame, class_order=run.card.classes))
    return sections


def _is_wrong(predictions: Predictions, row: int) -> bool:
    if predictions.truth is None or predictions.task != "classify":
        return False
    return int(predictions.scores[row].argmax()) != int(predictions.truth[row])


def _truth_words(predictions: Predictions, row: int) -> str:
    if predictions.truth is None:
        return ""
    if predictions.task == "classify":
        return predictions.classes[int(predictions.truth[row])]
    if predictions.task == "multilabel":
        return (
            ", ".join(c for c, t in zip(predictions.classes, predictions.truth[row], strict=True) if t >= 0.5) or "none"
        )
    pairs = zip(predictions.classes, predictions.truth[row], strict=True)
    return ", ".join(f"{name} {value:.3g}" for name, value in pairs)
