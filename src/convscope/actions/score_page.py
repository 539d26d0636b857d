"""The page's sections for tasks with one answer per picture: scores, mistakes, the inside, changes, samples."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from convscope.actions.inside import heat, inside_sections, overlays
from convscope.actions.keepsakes import Keepsakes, kept, visible
from convscope.actions.network import as_model_input
from convscope.actions.predict import read_predictions
from convscope.actions.run_folder import RunFolder
from convscope.layers.augment import Augmenter
from convscope.records.prediction import Predictions
from convscope.records.progress import Progress
from convscope.records.report import Section, Words
from convscope.reporting.pictures import answer_words, augmentation_section, mistakes_section, samples_section
from convscope.reporting.scores import scores_section

CHANGED, VERSIONS = 3, 6


def score_sections(run: RunFolder, *, which: str, progress: Progress) -> list[Section]:
    """Scores, the worst mistakes, what the network looks at, what augmentation does, and some samples.

    Raises:
        RunError: the run has no predictions.
    """
    predictions, keepsakes = read_predictions(run.path), kept(run.path)
    return [
        scores_section(run.scores, predictions=predictions, provenance=run.card.provenance, which=which),
        _mistakes(run, predictions, keepsakes, progress),
        *_inside(run, predictions, keepsakes, progress),
        *_augmentation(run, predictions, keepsakes),
        *_samples(predictions, keepsakes),
    ]


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
    for epoch in range(VERSIONS):
        draws = draw(plan.augment, seed=plan.seed, epoch=epoch, indices=np.arange(count))
        for place, changed in enumerate(to_numpy(change(images, draws, partners))):
            after[place].append(visible(changed, keepsakes.limits))
    usual = asdict(type(plan.augment)())
    on = {k.replace("_", " "): v for k, v in asdict(plan.augment).items() if v and v != usual[k]}
    said = ", ".join(name if value is True else f"{name} {value:g}" for name, value in on.items())
    how: Words = (("Drawn for each picture by itself.", said),)
    labels = [predictions.keys[int(r)] for r in keepsakes.rows[:count]]
    return [augmentation_section(before, after, labels=labels, how=how)]


def _samples(predictions: Predictions, keepsakes: Keepsakes) -> list[Section]:
    """Sample pictures with their truth."""
    right = [p for p in range(len(keepsakes.rows)) if not _is_wrong(predictions, int(keepsakes.rows[p]))][:12]
    rows = [(predictions.keys[int(keepsakes.rows[p])], _truth_words(predictions, int(keepsakes.rows[p])),
             keepsakes.shown(p)) for p in right or range(min(12, len(keepsakes.rows)))]  # fmt: skip
    return [samples_section(rows)] if rows else []


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
