"""What kind of mistake each false positive and each missed object is, and what each kind costs.

Source: Bolya et al. 2020, "TIDE: a general toolbox for identifying object detection errors", section 2.2 (kinds, at
overlaps 0.5 and 0.1) and 2.3 (mending one kind and measuring again).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.arrays.boxes import iou_matrix
from convscope.errors import DataError
from convscope.metrics.detect_curves import at_recalls, class_order
from convscope.metrics.detect_matches import Matches
from convscope.records.boxes import Boxes, Detections, Found

KINDS: tuple[str, ...] = ("wrong class", "badly placed", "both", "double", "background")
MISSED = "missed"
SAME, NEAR = 0.5, 0.1  # overlap that is a match, and below which a box shows nothing


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """The mistakes of a detector.

    Attributes:
        kinds: (d,) kind of each found box, in the order of `Matches`: "right", one of `KINDS`, or "ignored" where it
            lies on something that does not count.
        near_truth: (d,) index of the true box it belongs or comes nearest to, -1 for none; of `Matches`' true boxes.
        overlap: (d,) with that box, 0..1.
        missed: (g,) bool, true boxes that no found box shows, not even badly or under another class.
        not_found: (g,) bool, true boxes that were not matched.
        counts: kind -> number among the boxes at least as sure as `score_threshold`, with "missed" and "right".
        costs: kind -> by how much mAP at 0.5 would rise if this kind alone were mended.
        score_threshold: what `counts` were taken above; costs are over all scores.
    """

    kinds: np.ndarray
    near_truth: np.ndarray
    overlap: np.ndarray
    missed: np.ndarray
    not_found: np.ndarray
    counts: dict[str, int]
    costs: dict[str, float]
    score_threshold: float


def analyse_errors(detections: Detections, matches: Matches) -> ErrorAnalysis:
    """Name each mistake at an overlap of 0.5.

    Args:
        detections: with truth; `score_threshold` bounds the counts.
        matches: of these detections.

    Raises:
        DataError: no truth.
    """
    if detections.truth is None:
        raise DataError("expected detections with their truth to find mistakes, got none; give marked pictures")
    kinds, near, overlap = _name_all(detections.found, detections.truth, matches)
    not_found, missed = _missed(matches, kinds, near)
    threshold = detections.score_threshold
    shown = matches.score >= threshold
    counts = {kind: int(((kinds == kind) & shown).sum()) for kind in ("right", *KINDS)}
    seen_not_found, seen_missed = _missed(matches, np.where(shown, kinds, "ignored"), near, shown)
    counts[MISSED] = int(seen_missed.sum())
    return ErrorAnalysis(
        kinds=kinds,
        near_truth=near,
        overlap=overlap,
        missed=seen_missed,
        not_found=seen_not_found,
        counts=counts,
        costs=_costs(matches, kinds, near, (not_found, missed)),
        score_threshold=threshold,
    )


def _name_all(
    found: tuple[Found, ...], truth: tuple[Boxes, ...], matches: Matches
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d = len(matches.label)
    kinds, near, overlap = np.full(d, "background", dtype="U12"), np.full(d, -1, np.int64), np.zeros(d)
    hit, ignored = matches.is_hit[0, 0], matches.is_ignored[0, 0]
    ends = np.searchsorted(matches.picture, np.arange(len(truth) + 1))
    truth_ends = np.searchsorted(matches.truth_picture, np.arange(len(truth) + 1))
    for picture, boxes in enumerate(truth):
        columns = np.arange(ends[picture], ends[picture + 1])
        counted = np.flatnonzero(matches.truth_counts[0, truth_ends[picture] : truth_ends[picture + 1]])
        if not len(columns) or not len(counted):
            continue
        iou = iou_matrix(found[picture].xyxy[matches.source[columns]], boxes.xyxy[counted])
        same = boxes.labels[counted][None] == matches.label[columns][:, None]
        kind, place = _kinds(iou, same)
        kinds[columns] = kind
        near[columns] = np.where(place >= 0, truth_ends[picture] + counted[place], -1)
        overlap[columns] = iou.max(axis=1)
        overlap[columns[place >= 0]] = iou[np.flatnonzero(place >= 0), place[place >= 0]]
    kinds[hit] = "right"
    near[hit] = matches.truth_of[0, hit]
    kinds[ignored] = "ignored"
    return kinds, near, overlap


def _kinds(iou: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(kind, nearest true box) of each found box as if none were right; (n, m) overlaps and equal classes."""
    own, other = np.where(same, iou, -1.0), np.where(same, -1.0, iou)
    own_best, other_best = own.max(axis=1), other.max(axis=1)
    tests = [
        (own_best >= NEAR) & (own_best < SAME),
        other_best >= SAME,
        own_best >= SAME,
        iou.max(axis=1) < NEAR,
    ]
    kinds = np.select(tests, ["badly placed", "wrong class", "double", "background"], "both")
    places = np.select(tests, [own.argmax(axis=1), other.argmax(axis=1), own.argmax(axis=1), -1], iou.argmax(axis=1))
    return kinds, places


def _missed(
    matches: Matches, kinds: np.ndarray, near: np.ndarray, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(g,) true boxes without a match, and of these the ones that no badly placed or wrongly named box shows."""
    counted = matches.truth_counts[0]
    usable = np.ones(len(kinds), bool) if among is None else among
    matched = np.zeros(len(counted), bool)
    matched[near[(kinds == "right") & usable]] = True
    shown = np.zeros(len(counted), bool)
    shown[near[np.isin(kinds, ("badly placed", "wrong class")) & usable & (near >= 0)]] = True
    return counted & ~matched, counted & ~matched & ~shown


def _costs(
    matches: Matches, kinds: np.ndarray, near: np.ndarray, lost: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Gain in mAP at 0.5 when one kind alone is mended.

    A badly placed or wrongly named box becomes right if its object was not found otherwise (of all such boxes on one
    object only the surest), else it is taken away; doubles, background and both are taken away; missed objects are
    taken out of the truth.
    """
    not_found, missed = lost
    labels = matches.label
    usual = _map_50(matches, labels, kinds == "right", kinds != "ignored", matches.truth_counts[0])
    costs = {}
    able = np.flatnonzero(np.isin(kinds, ("badly placed", "wrong class")))
    able = able[not_found[near[able]]]
    able = able[np.argsort(-matches.score[able], kind="stable")]
    _, firsts = np.unique(near[able], return_index=True)
    surest = able[firsts]
    for kind in KINDS:
        mine = kinds == kind
        right, counts, new = kinds == "right", (kinds != "ignored") & ~mine, labels.copy()
        if kind in ("badly placed", "wrong class"):
            mended = surest[mine[surest]]
            right[mended], counts[mended] = True, True
            new[mended] = matches.truth_label[near[mended]]
        costs[kind] = _map_50(matches, new, right, counts, matches.truth_counts[0]) - usual
    left = matches.truth_counts[0] & ~missed
    costs[MISSED] = _map_50(matches, labels, kinds == "right", kinds != "ignored", left) - usual
    return {kind: max(0.0, cost) for kind, cost in costs.items()}


def _map_50(
    matches: Matches, labels: np.ndarray, right: np.ndarray, counts: np.ndarray, truth_counts: np.ndarray
) -> float:
    parts = []
    for label in range(matches.n_classes):
        there = int((truth_counts & (matches.truth_label == label)).sum())
        if not there:
            continue
        if labels is matches.label:
            columns = class_order(matches, label)
        else:
            mine = np.flatnonzero(labels == label)
            columns = mine[np.argsort(-matches.score[mine], kind="stable")]
        columns = columns[counts[columns]]
        hits = np.cumsum(right[columns])
        parts.append(float(at_recalls(hits, np.arange(1, len(columns) + 1) - hits, there).mean()))
    return float(np.mean(parts)) if parts else 0.0
