"""A whole report of made-up pictures, for the tests of the page and of the browser."""

from __future__ import annotations

import numpy as np

from convscope.draw.png import jpeg_bytes
from convscope.metrics.score import score_predictions
from convscope.records.attribution import Attribution
from convscope.records.audit import Audit, Finding
from convscope.records.features import FeatureMaps, Filters, TargetName
from convscope.records.prediction import Predictions
from convscope.records.provenance import Provenance
from convscope.records.report import Facts, Report
from convscope.records.run import History, Verdict
from convscope.reporting.sections import (
    Film,
    Frame,
    attribution_section,
    audit_facts,
    audit_section,
    augmentation_section,
    film_section,
    filters_section,
    folds_section,
    headline_words,
    maps_section,
    mistakes_section,
    samples_section,
    scores_section,
    training_section,
)

PROVENANCE = Provenance(
    "stripes, 40 pictures", "ab" * 32, "simple-cnn", "cd" * 32, 7, "tensorflow", (("keras", "3.15.1"),)
)


def stripes(seed: int, size: int = 64) -> np.ndarray:
    """A colour picture of stripes, (size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    wave = np.sin(rows * rng.uniform(0.1, 0.6) + columns * rng.uniform(0.1, 0.6))
    return np.clip(127 + 100 * wave[:, :, None] * rng.uniform(0.4, 1, 3), 0, 255).astype(np.uint8)


def predictions(names: tuple[str, ...], n: int = 40) -> Predictions:
    """Fairly good answers for n pictures in as many classes as names."""
    rng = np.random.default_rng(3)
    truth = np.arange(n) % len(names)
    raw = rng.random((n, len(names))) + 0.9 * np.eye(len(names))[truth] * (rng.random((n, 1)) > 0.25)
    keys = tuple(f"{names[t]}/{i:03d}.png" for i, t in enumerate(truth))
    return Predictions(
        keys, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32), "classify", names, truth, 1.3, 0.4
    )


def history() -> History:
    """Twelve epochs in two phases."""
    rng = np.random.default_rng(4)
    return History(
        tuple(
            {
                "epoch": e,
                "phase": "head" if e < 6 else "last blocks",
                "loss": 2 * 0.8**e,
                "val_loss": 2 * 0.82**e + 0.1 * rng.random(),
                "accuracy": 1 - 0.6 * 0.8**e,
                "val_accuracy": 0.95 - 0.6 * 0.8**e,
                "learning_rate": 1e-3,
                "seconds": 1.5,
            }
            for e in range(1, 13)
        )
    )


def audit(names: tuple[str, ...], keys: tuple[str, ...]) -> Audit:
    """A scan with one finding of each urgency."""
    findings = (
        Finding(
            "identical-files",
            "Identical files",
            "must fix",
            4,
            "2 pairs.",
            "keeps them together",
            (keys[:2], keys[2:4]),
        ),
        Finding("shortcut-brightness", "A shortcut: brightness", "look", 40, "AUC 0.76.", "reports it"),
        Finding("small", "Smaller than the input", "note", 3, "Shortest side 64 px.", "allows it", ((keys[5],),)),
    )
    rng, n = np.random.default_rng(5), len(keys)
    return Audit(
        "stripes", "one folder per class", "classify", n, 123456,
        {name: n // len(names) for name in names}, {"PNG, colour": n}, {".png": n},
        tuple((int(h), int(w)) for h, w in rng.integers(60, 900, (n, 2))),
        tuple(rng.uniform(40, 200, n).tolist()),
        tuple(i % len(names) for i in range(n)), findings,
        (("Usable after one fix.", "Leave out the copies."),),
    )  # fmt: skip


def features(layer: str, size: int, labels: tuple[str, ...], target: str) -> FeatureMaps:
    """Ranked maps of two pictures, 16 channels, two of them 0."""
    rng = np.random.default_rng(6)
    maps = np.maximum(rng.normal(size=(2, size, size, 16)), 0).astype(np.float32)
    maps[..., :2] = 0
    importance = rng.normal(size=(2, 16)).astype(np.float32)
    targets = (TargetName("out", 1, target, "logit"),) * 2
    order = np.argsort(-np.abs(importance), axis=1)
    return FeatureMaps(layer, "ReLU", maps, order, importance, "relevance", targets, labels, PROVENANCE)


def full_report(names: tuple[str, ...] = ("no", "yes"), title: str = "Run stripes-01") -> Report:
    """Every section there is, with class and file names made of `names`."""
    answers = predictions(names)
    scores = score_predictions(answers)
    pictures = {key: stripes(i) for i, key in enumerate(answers.keys)}
    two, labels = [stripes(0), stripes(1)], (answers.keys[0], answers.keys[1])
    maps = [features("stem/relu", 32, labels, names[1]), features("head/relu", 4, labels, names[1])]
    rng = np.random.default_rng(8)
    heat = rng.random((2, 4, 4)).astype(np.float32)
    kernels = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    norms = np.sqrt((kernels**2).sum(axis=(1, 2, 3)))
    frames = tuple(Frame(e, two[0], names[0], e > 2, 0.2 * e) for e in (1, 2, 3))
    thumbnails = {key: jpeg_bytes(p) for key, p in pictures.items()}
    attribution = Attribution(
        "grad-cam", heat, False, maps[0].targets, np.array([2.0, 1.5]), ("head/relu",), "last layer", labels, PROVENANCE
    )
    verdicts = [Verdict("healthy", "It has learnt.", "0.9")]
    sections = (
        audit_section(audit(names, answers.keys), thumbnails, input_hw=(224, 224)),
        samples_section([(k, names[0], pictures[k]) for k in answers.keys[:6]]),
        augmentation_section(two, [[two[1]] * 6, [two[0]] * 6], labels=labels),
        training_section(history(), verdicts, n_val=20, chance=0.5, provenance=PROVENANCE),
        film_section([Film(names[0], two[0], frames)], how="Grad-CAM"),
        scores_section(scores, predictions=answers, provenance=PROVENANCE),
        folds_section([scores, scores]),
        mistakes_section(answers, pictures, overlays=pictures),
        filters_section(Filters("stem/conv", "Conv2D", kernels, None, norms, PROVENANCE)),
        maps_section(maps, two),
        attribution_section(attribution, two, says=[names[0], names[1]]),
    )
    facts = (*audit_facts(audit(names, answers.keys)), Facts("Plan", (("classes", ", ".join(names)),)))
    return Report(title, "made-up pictures", (headline_words(scores),), facts, sections, PROVENANCE, "2026-01-01")
