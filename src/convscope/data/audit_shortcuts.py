"""Shortcuts: does brightness, size, a spot at the edge or the file's name alone tell the classes apart?

Each feature is a score; its area under the ROC curve is the Mann-Whitney statistic with ties counted half, one class
against the rest. The interval is Hanley and McNeil's (1982), with Bonferroni's correction for deciding and 95 % for
showing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from scipy.stats import norm, rankdata

from convscope.data.audit_edges import find_edge_spot
from convscope.data.audit_facts import Facts
from convscope.data.files_source import FilesSource
from convscope.data.naming import shown
from convscope.records.audit import Finding
from convscope.records.samples import Samples

MIN_AUC = 0.65
MIN_PER_CLASS = 5
_FOLDS = 5


@dataclass(frozen=True)
class Shortcut:
    """How well one feature tells one class from the rest.

    Attributes:
        feature: its name; `reads` says where it is taken from: "picture", "size", "edge" or "name".
        label: the class.
        auc: 0.5 to 1; the share of pairs that the feature puts in the right order.
        low, high: 95 % interval.
        direction: "higher" or "lower", "brighter" or "darker" in that class; "" for a feature without order.
        is_clear: the corrected interval lies above chance and `auc` is at least 0.65.
    """

    feature: str
    reads: str
    label: str
    auc: float
    low: float
    high: float
    direction: str
    is_clear: bool


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in order, ties counted half.

    Args:
        scores: (n,) any real numbers.
        positive: (n,) bool, both kinds present.
    """
    ranks = rankdata(scores)
    p = int(positive.sum())
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * (len(scores) - p)))


def auc_error(area: float, positives: int, negatives: int) -> float:
    """Standard error of an area under the ROC curve; a perfect one counts as half a pair short of it, not as certain.

    Source: Hanley and McNeil 1982, eq. 1 and 2.
    """
    area = min(area, 1 - 0.5 / min(positives, negatives))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return float(np.sqrt(max(variance, 0.0) / (positives * negatives)))


def find_shortcuts(samples: Samples, facts: Sequence[Facts]) -> list[Shortcut]:
    """The best class for each feature, clear or not, best first; empty without classes or with too few pictures."""
    if samples.truth is None or samples.task not in ("classify", "multilabel") or not facts:
        return []
    rows = samples.truth[[f.index for f in facts]]
    member = rows[:, None] == np.arange(len(samples.classes)) if rows.ndim == 1 else rows > 0
    usable = [k for k in range(member.shape[1]) if MIN_PER_CLASS <= member[:, k].sum() <= len(facts) - MIN_PER_CLASS]
    numbers, categories = _numbers(facts), _categories(samples, facts)
    tests = max(1, len(usable) * (len(numbers) + len(categories)))
    limit = float(norm.ppf(1 - 0.025 / tests))
    best: list[Shortcut] = []
    for name, (reads, values) in {**numbers, **categories}.items():
        found = []
        for k in usable:
            positive = member[:, k]
            if values.dtype.kind in "US":
                area, direction = auc(_out_of_fold(values, positive), positive), ""
            else:
                area = auc(values, positive)
                area, direction = (area, "higher") if area >= 0.5 else (1 - area, "lower")
            error = auc_error(area, int(positive.sum()), int((~positive).sum()))
            low, high = max(0.0, area - 1.96 * error), min(1.0, area + 1.96 * error)
            clear = area >= MIN_AUC and area - limit * error > 0.5
            found.append(Shortcut(name, reads, samples.classes[k], area, low, high, direction, clear))
        if found:
            best.append(max(found, key=lambda s: (round(s.auc, 9), s.direction == "higher")))
    best += _edge(samples, facts, member)
    return sorted(best, key=lambda s: -s.auc)


def _edge(samples: Samples, facts: Sequence[Facts], member: np.ndarray) -> list[Shortcut]:
    spot = find_edge_spot(np.stack([f.thumb for f in facts]), member)
    if spot is None:
        return []
    positives = int(member[:, spot.label].sum())
    error = auc_error(spot.auc, positives, len(member) - positives)
    direction = "brighter" if spot.is_brighter else "darker"
    low, high = max(0.0, spot.auc - 1.96 * error), min(1.0, spot.auc + 1.96 * error)
    return [Shortcut(spot.words, "edge", samples.classes[spot.label], spot.auc, low, high, direction, True)]


def _numbers(facts: Sequence[Facts]) -> dict[str, tuple[str, np.ndarray]]:
    high = np.array([f.hw[0] for f in facts], float)
    wide = np.array([f.hw[1] for f in facts], float)
    return {
        "mean brightness": ("picture", np.array([f.brightness for f in facts])),
        "width": ("size", wide),
        "height": ("size", high),
        "width/height": ("size", wide / high),
        "file size": ("size", np.array([f.size for f in facts], float)),
    }


def _categories(samples: Samples, facts: Sequence[Facts]) -> dict[str, tuple[str, np.ndarray]]:
    if not isinstance(samples.pictures, FilesSource):
        return {}
    paths = [PurePosixPath(samples.pictures.keys[f.index]) for f in facts]
    return {
        "extension": ("name", np.array([p.suffix for p in paths])),
        "leading letters": ("name", np.array([leading_letters(p.stem) for p in paths])),
        "length of the name": ("name", np.array([str(len(p.stem)) for p in paths])),
    }


def leading_letters(stem: str) -> str:
    """The name up to its first digit or mark: "IMG_" of "IMG_1260"."""
    return re.match(r"[^\W\d]*", stem).group()[:20]  # type: ignore[union-attr]  # the pattern matches the empty text


def _out_of_fold(values: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Share of positives among the same value in the other folds: a category as a score without looking at itself."""
    fold = np.empty(len(values), np.int64)
    for kind in (positive, ~positive):  # dealt within each kind, so that no fold is richer by chance
        fold[kind] = np.arange(int(kind.sum())) % _FOLDS
    _, code = np.unique(values, return_inverse=True)
    scores = np.empty(len(values))
    for number in range(_FOLDS):
        inside, outside = fold == number, fold != number
        total = np.bincount(code[outside], minlength=code.max() + 1)
        hits = np.bincount(code[outside], weights=positive[outside], minlength=code.max() + 1)
        prior = positive[outside].mean()
        scores[inside] = ((hits + prior) / (total + 1))[code[inside]]
    return scores


def shortcut_findings(shortcuts: Sequence[Shortcut], samples: Samples, n: int) -> list[Finding]:
    """One finding per place that clear shortcuts are read from."""
    findings = []
    for reads, kind, title, does in _PLACES:
        clear = [s for s in shortcuts if s.reads == reads and s.is_clear]
        if clear:
            what = _sentence(clear, two=len(samples.classes) == 2, classes=samples.classes)
            numbers = {s.feature: {"class": s.label, "auc": s.auc, "low": s.low, "high": s.high} for s in clear}
            title = f"{title}: {', '.join(s.feature for s in clear[:2])}"
            findings.append(Finding(kind, title, "look", n, what, does, (), numbers))
    return findings


_PLACES = (
    ("picture", "shortcut-brightness", "A shortcut", "reports it beside the accuracy"),
    ("size", "shortcut-size", "A shortcut", "brings all to one frame; reports it beside the accuracy"),
    ("edge", "shortcut-edge", "A shortcut", "reports it; look whether the heat of Grad-CAM lies there"),
    ("name", "shortcut-name", "A shortcut", "never uses names as input"),
)


def _sentence(clear: Sequence[Shortcut], *, two: bool, classes: Sequence[str]) -> str:
    parts = []
    for s in clear:
        rest = next(c for c in classes if c != s.label) if two else "the rest"
        interval = f"{100 * s.low:.0f} to {100 * s.high:.0f}"
        which = f" ({s.direction} in {shown(s.label)})" if s.direction else ""
        sides = f"{shown(s.label)} from {shown(rest)}"
        parts.append(f"{s.feature}{which} tells {sides} in {100 * s.auc:.0f} % of pairs (95 % {interval})")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "; 50 % is chance."
