"""The chapters on a detector: how right it is, what kinds of mistakes it makes, and the pictures that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.draw.bars import interval_figure
from convscope.draw.box_marks import Shown, told
from convscope.draw.boxes import boxes_picture
from convscope.draw.numbers import count, percent, short, three
from convscope.draw.thresholds import threshold_figure
from convscope.draw.tiles import picture_tile
from convscope.errors import DataError
from convscope.metrics.detect_curves import Curve, threshold_curve
from convscope.metrics.detect_errors import KINDS, MISSED, ErrorAnalysis
from convscope.metrics.detect_matches import Matches
from convscope.records.boxes import Boxes, Detections, Found
from convscope.records.figure import Figure
from convscope.records.prediction import Scores
from convscope.records.report import Section, Sheet, Table, Tile, Words
from convscope.reporting.words import interval_words, metric_words, value_words

PICTURE_PX, CROP_PX = 320, 150
_ROUND_BOX = 1.6  # a mistake is shown with this many times its own size around it
MEANINGS = {
    "wrong class": "in the right place, but called something else",
    "badly placed": "the right class, but overlapping its object by 10 to 50 % only",
    "both": "another class and badly placed",
    "double": "a second box on an object that was found already",
    "background": "where nothing is marked",
    MISSED: "an object that no box shows",
}


def shown_of(detections: Detections, index: int, *, matches: Matches, errors: ErrorAnalysis) -> Shown:
    """What is drawn on picture `index`: found boxes with the kind of their mistake, true ones with what was missed."""
    found = detections.found[index]
    kinds = ["ignored"] * len(found)
    for column in np.flatnonzero(matches.picture == index).tolist():
        kinds[int(matches.source[column])] = str(errors.kinds[column])
    truth = None if detections.truth is None else detections.truth[index]
    missed = errors.not_found[matches.truth_picture == index] if truth is not None else None
    return Shown(found, truth, tuple(kinds), missed, detections.score_threshold)


def detection_section(scores: Scores, matches: Matches, errors: ErrorAnalysis) -> Section:
    """Headline, intervals, precision-recall curves, F1 over the threshold, kinds of mistakes, tables by class."""
    curves = [threshold_curve(matches, name, label=c) for c, name in enumerate(scores.classes)]
    overall = threshold_curve(matches, "all classes")
    usual = [n for n in ("map_50", "map", "map_75", "ar_100", "best_f1") if n in scores.values]
    rows = [(metric_words(n), scores.values[n]) for n in usual]
    caption = "Bars: 95 % intervals over pictures, where there are any."
    blocks: list[Figure | Table] = [interval_figure("Scores", rows, caption=caption), *_curve_figures(curves, overall)]
    blocks += [_error_table(errors), _class_table(scores), _values_table(scores)]
    words = (_headline(scores), _threshold_words(overall), *_error_words(errors), *_class_words(scores))
    return Section(
        "scores", "Scores", f"{count(scores.n)} pictures, {count(overall.there)} boxes", words, tuple(blocks)
    )


def _headline(scores: Scores) -> tuple[str, str]:
    best = scores.values[scores.headline]
    interval = f" 95 % interval {interval_words(scores.headline, best)}." if best.low is not None else ""
    whole = scores.values["map"]
    detail = f"On {count(scores.n)} pictures.{interval} Averaged over overlaps 0.5 to 0.95: {percent(whole.value)}."
    return f"{metric_words(scores.headline)} {percent(best.value)}.", detail


def _threshold_words(overall: Curve) -> tuple[str, str]:
    threshold, f1, precision, recall = overall.best
    if np.isnan(threshold):
        return "It found nothing.", "No box was found in any picture."
    return (
        f"Best score threshold: {three(threshold)}.",
        f"There it finds {percent(recall)} of the objects, and {percent(precision)} of its boxes are right "
        f"(F1 {percent(f1)}).",
    )


def _error_words(errors: ErrorAnalysis) -> Words:
    worst = max(errors.costs, key=lambda k: errors.costs[k])
    if errors.costs[worst] <= 0:
        return ()
    detail = f"Without these mistakes mAP at 0.5 would be {percent(errors.costs[worst])} higher: {MEANINGS[worst]}."
    return ((f"Costliest mistake: {worst}.", detail),)


def _class_words(scores: Scores) -> Words:
    known = {c: row["ap_50"] for c, row in scores.per_class.items() if "ap_50" in row}
    if len(known) < 2:
        return ()
    worst = min(known, key=lambda c: known[c])
    there = int(scores.per_class[worst]["support"])
    return (
        (f"Hardest class: {worst}.", f"Average precision at 0.5 {percent(known[worst])}, of {count(there)} boxes."),
    )


def _curve_figures(curves: Sequence[Curve], overall: Curve) -> list[Figure]:
    drawn = [c for c in curves if c.there and len(c.scores)]
    if not drawn:
        return []
    pr = [(f"{short(c.name, 14)}, {count(c.there)} boxes", c.recall, c.precision) for c in drawn]
    with_all = [*drawn, overall] if len(drawn) > 1 else drawn
    f1 = [(f"{short(c.name, 12)} {three(c.best[1])} at {three(c.best[0])}", c.scores, c.f1) for c in with_all]
    note = "At an overlap of 0.5, over all score thresholds."
    return [
        threshold_figure("Precision and recall", pr, axes=("recall: share found", "precision"), caption=note),
        threshold_figure(
            "F1 over the score threshold",
            f1,
            axes=("score threshold", "F1, highest in the legend"),
            caption=note,
            is_legend_left=True,
        ),
    ]


def _error_table(errors: ErrorAnalysis) -> Table:
    rows = tuple((k, count(errors.counts[k]), percent(errors.costs[k]), MEANINGS[k]) for k in (*KINDS, MISSED))
    note = f"counted above score {three(errors.score_threshold)}; {count(errors.counts['right'])} boxes are right"
    header = ("Mistake", "How many", "Costs in mAP at 0.5", "What it is")
    return Table("Kinds of mistakes", header, rows, numeric=(1, 2), note=note)


def _class_table(scores: Scores) -> Table:
    names = ("support", "ap_50", "ap", "precision", "recall", "f1", "score_threshold")

    def cell(row: dict[str, float], name: str) -> str:
        if name not in row:
            return "undefined"
        if name == "support":
            return count(int(row[name]))
        return three(row[name]) if name == "score_threshold" else percent(row[name])

    rows = tuple((c, *(cell(row, n) for n in names)) for c, row in scores.per_class.items())
    header = ("Class", "Boxes", "AP at 0.5", "AP", "Precision", "Recall", "F1", "at score")
    note = "precision, recall and F1 at the class's own best threshold"
    return Table("By class", header, rows, numeric=tuple(range(1, len(header))), note=note)


def _values_table(scores: Scores) -> Table:
    rows = tuple(
        (metric_words(n), value_words(n, s.value), interval_words(n, s), s.method) for n, s in scores.values.items()
    )
    return Table("All scores", ("Score", "Value", "95 % interval", "How"), rows, numeric=(1, 2))


def detected_section(
    detections: Detections,
    pictures: Mapping[str, np.ndarray],
    *,
    matches: Matches | None = None,
    errors: ErrorAnalysis | None = None,
    top: int = 12,
) -> Section:
    """Pictures with their boxes, in the order given; those without a picture in `pictures` are left out.

    Args:
        detections: with or without truth.
        pictures: key -> (h, w, 1 or 3) in 0..255, in the whole picture's pixels.
        matches: with `errors` marks false alarms and misses.
        errors: see `metrics.detect_errors`.
        top: how many at most.
    """
    tiles: list[Tile] = []
    for index, key in enumerate(detections.keys):
        if key not in pictures or len(tiles) == top:
            continue
        if matches is not None and errors is not None:
            shown = shown_of(detections, index, matches=matches, errors=errors)
        else:
            truth = None if detections.truth is None else detections.truth[index]
            shown = Shown(detections.found[index], truth, score_threshold=detections.score_threshold)
        words = told(shown, detections.classes)
        painted = boxes_picture(pictures[key], shown, detections.classes, longest_px=2 * PICTURE_PX)
        lines = tuple(words.split("; "))
        tiles.append(
            picture_tile(painted, f"{key}: {words}", head=key.rsplit("/", 1)[-1], lines=lines, longest_px=PICTURE_PX)
        )
    of = f"{len(tiles)} of {len(detections.keys)} pictures, boxes from score {three(detections.score_threshold)} on"
    note = "Solid: found, with its score. Dashed: truth. ×: a false alarm, with its kind."
    sheets = (Sheet("Found", tuple(tiles), note=of, caption=note, first=6),) if tiles else ()
    return Section("detections", "Pictures with boxes", of, (), sheets)


def box_mistakes_section(
    detections: Detections,
    pictures: Mapping[str, np.ndarray],
    *,
    matches: Matches,
    errors: ErrorAnalysis,
    top: int = 24,
) -> Section:
    """False alarms, the surest first, and missed objects, the largest first, each cut out with its surroundings.

    Args:
        detections: with truth.
        pictures: key -> (h, w, 1 or 3) in 0..255, in the whole picture's pixels.
        matches: of these detections.
        errors: of these detections.
        top: how many of each at most.

    Raises:
        DataError: no truth.
    """
    if detections.truth is None:
        raise DataError("expected detections with their truth to find mistakes, got none; give marked pictures")
    wrong = np.flatnonzero(np.isin(errors.kinds, KINDS) & (matches.score >= detections.score_threshold))
    wrong = wrong[np.argsort(-matches.score[wrong], kind="stable")]
    missed = np.flatnonzero(errors.not_found)
    sizes = np.array([_area(detections.truth, matches, int(t)) for t in missed])
    missed = missed[np.argsort(-sizes, kind="stable")] if len(missed) else missed
    alarms = [_alarm_tile(detections, pictures, matches, errors, int(c)) for c in wrong[: 4 * top]]
    misses = [_miss_tile(detections, pictures, matches, int(t)) for t in missed[: 4 * top]]
    kept = [[t for t in tiles if t is not None][:top] for tiles in (alarms, misses)]
    sheets = []
    if kept[0]:
        note = f"{len(kept[0])} of {count(len(wrong))}, the surest first"
        sheets.append(
            Sheet("False alarms", tuple(kept[0]), note=note, caption="Solid: found. Dashed: truth.", first=12)
        )
    if kept[1]:
        sheets.append(Sheet("Not found", tuple(kept[1]), note=f"{len(kept[1])} of {count(len(missed))}", first=12))
    threshold = three(detections.score_threshold)
    words = (
        (f"{count(len(wrong))} false alarms.", f"Boxes from score {threshold} on that match no object."),
        (f"{count(len(missed))} objects not found.", "Look for objects that were never marked, or marked loosely."),
    )
    return Section("mistakes", "Mistakes", f"from score {threshold} on", words, tuple(sheets))


def _area(truth: Sequence[Boxes], matches: Matches, place: int) -> float:
    left, top, right, bottom = _true_box(truth, matches, place)
    return float((right - left) * (bottom - top))


def _true_box(truth: Sequence[Boxes], matches: Matches, place: int) -> np.ndarray:
    return truth[int(matches.truth_picture[place])].xyxy[int(matches.truth_source[place])].astype(np.float64)


def _alarm_tile(
    detections: Detections, pictures: Mapping[str, np.ndarray], matches: Matches, errors: ErrorAnalysis, column: int
) -> Tile | None:
    index = int(matches.picture[column])
    found, key = detections.found[index], detections.keys[index]
    if key not in pictures or detections.truth is None:
        return None
    box = found.xyxy[int(matches.source[column])].astype(np.float64)
    one = Found(box[None], matches.label[column : column + 1], matches.score[column : column + 1], found.picture_hw)
    near = int(errors.near_truth[column])
    boxes = [box] if near < 0 else [box, _true_box(detections.truth, matches, near)]
    truth = None
    lines = [f"{errors.kinds[column]}", key.rsplit("/", 1)[-1]]
    if near >= 0:
        label = int(matches.truth_label[near])
        truth = Boxes(boxes[1][None], np.array([label]), found.picture_hw)
        lines.insert(1, f"truth {short(detections.classes[label], 14)}, IoU {errors.overlap[column]:.2f}")
    head = f"{short(detections.classes[int(matches.label[column])], 14)} {float(matches.score[column]):.2f}"
    return _cut_tile(pictures[key], Shown(one, truth, score_threshold=0.0), boxes, (head, tuple(lines)), detections)


def _miss_tile(detections: Detections, pictures: Mapping[str, np.ndarray], matches: Matches, place: int) -> Tile | None:
    index = int(matches.truth_picture[place])
    key = detections.keys[index]
    if key not in pictures or detections.truth is None:
        return None
    box, label = _true_box(detections.truth, matches, place), int(matches.truth_label[place])
    truth = Boxes(box[None], np.array([label]), detections.truth[index].picture_hw)
    sides = f"{box[2] - box[0]:.0f} × {box[3] - box[1]:.0f} px"
    words = (short(detections.classes[label], 18), (sides, key.rsplit("/", 1)[-1]))
    return _cut_tile(pictures[key], Shown(None, truth), [box], words, detections)


def _cut_tile(
    picture: np.ndarray,
    shown: Shown,
    boxes: Sequence[np.ndarray],
    words: tuple[str, tuple[str, ...]],
    detections: Detections,
) -> Tile:
    """The part of the picture around the boxes, enlarged where it is small, with the boxes and scores alone."""
    head, lines = words
    whole = np.stack(boxes)
    low, high = whole[:, :2].min(axis=0), whole[:, 2:].max(axis=0)
    middle, side = (low + high) / 2, float((high - low).max()) * _ROUND_BOX + 8
    tall, wide = picture.shape[:2]
    first = np.clip(np.floor(middle - side / 2), 0, [wide - 1, tall - 1]).astype(int)
    last = np.clip(np.ceil(middle + side / 2), first + 1, [wide, tall]).astype(int)
    part = picture[first[1] : last[1], first[0] : last[0]]
    times = max(1, int(2 * CROP_PX // max(part.shape[:2])))
    part = part.repeat(times, axis=0).repeat(times, axis=1)
    shift = np.tile(first, 2)
    moved = Shown(_moved(shown.found, shift, times), _moved_truth(shown.truth, shift, times), score_threshold=0.0)
    painted = boxes_picture(part, moved, [""] * len(detections.classes), longest_px=2 * CROP_PX)
    return picture_tile(
        painted, f"{head}: {', '.join(lines)}", head=head, lines=lines, tone="wrong", longest_px=CROP_PX
    )


def _moved(found: Found | None, shift: np.ndarray, times: int) -> Found | None:
    if found is None:
        return None
    return Found((found.xyxy - shift) * times, found.labels, found.scores, found.picture_hw)


def _moved_truth(truth: Boxes | None, shift: np.ndarray, times: int) -> Boxes | None:
    return None if truth is None else Boxes((truth.xyxy - shift) * times, truth.labels, truth.picture_hw)
