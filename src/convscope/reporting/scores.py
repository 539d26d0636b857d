"""The chapter on scores: how right, how sure, for which classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.draw.agreement import agreement_figure
from convscope.draw.bars import interval_figure
from convscope.draw.confusion import confusion_figure
from convscope.draw.numbers import count, percent, short, three
from convscope.draw.reliability import reliability_figure
from convscope.draw.thresholds import threshold_figure
from convscope.metrics.intervals import fold_interval
from convscope.metrics.ranking import average_precision, is_defined, pr_curve, roc_auc, roc_curve
from convscope.records.figure import Figure
from convscope.records.prediction import Predictions, Scores
from convscope.records.provenance import Provenance
from convscope.records.report import Section, Table, Words
from convscope.reporting.words import interval_words, is_share, metric_words, value_words

LOWER_IS_BETTER = frozenset({"expected_calibration_error", "brier", "mean_absolute_error", "rmse", "unsure_share"})
WELL_CALIBRATED = 0.05
MOST_COLUMNS = 6


def headline_words(scores: Scores, *, which: str = "") -> tuple[str, str]:
    """The one number that counts, what guessing would give, and what not to believe, as (sentence, detail).

    `which` says which pictures ("that training never saw"); only the caller knows.
    """
    best = scores.values[scores.headline]
    name = metric_words(scores.headline)
    interval = f" 95 % interval {interval_words(scores.headline, best)}." if best.low is not None else ""
    how = "Always saying the mean" if scores.task == "regress" else "Guessing"
    guess = "" if scores.majority is None else f" {how} gives {value_words(scores.headline, scores.majority)}."
    title = f"{name} {value_words(scores.headline, best.value)}."
    beaten = best.low is not None and scores.majority is not None and best.low <= scores.majority
    warning = " The interval reaches down to guessing: not shown to have learnt." if beaten else ""
    never = [c for c, row in scores.per_class.items() if row.get("sensitivity", row.get("recall")) == 0]
    missed = f" Never found: {short(', '.join(never), 60)}." if never else ""
    return title, f"On {count(scores.n)} pictures{' ' * bool(which)}{which}.{interval}{guess}{warning}{missed}"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _class_words(scores: Scores) -> Words:
    recalls = {c: row["recall"] for c, row in scores.per_class.items() if "recall" in row}
    if scores.task != "classify" or len(recalls) < 2:
        return ()
    worst = min(recalls, key=lambda c: recalls[c])
    n = int(scores.per_class[worst]["support"])
    right = round(recalls[worst] * n)
    detail = f"{right} of {n} are found ({percent(recalls[worst])})."
    if scores.confusion is not None:
        row = scores.confusion[scores.classes.index(worst)].copy()
        row[scores.classes.index(worst)] = 0
        if row.max() > 0:
            detail += f" Most often taken for {scores.classes[int(row.argmax())]} ({_times(int(row.max()))})."
    return ((f"Hardest class: {worst}.", detail),)


def _calibration_words(scores: Scores) -> Words:
    error = scores.values.get("expected_calibration_error")
    if error is None or not scores.reliability:
        return ()
    gaps = np.asarray(scores.reliability["confidence"]) - np.asarray(scores.reliability["accuracy"])
    lean = float(np.average(gaps, weights=scores.reliability["count"]))
    detail = f"Probabilities are off by {percent(error.value)} on average (expected calibration error)."
    if error.value < WELL_CALIBRATED:
        return (("Its probabilities can be taken at their word.", detail),)
    return (("It is too sure of itself." if lean > 0 else "It is more often right than it says.", detail),)


def _values_table(scores: Scores) -> Table:
    rows = tuple(
        (
            metric_words(name) + (" (lower is better)" if name in LOWER_IS_BETTER else ""),
            value_words(name, s.value),
            interval_words(name, s),
            s.method,
        )
        for name, s in scores.values.items()
    )
    return Table("All scores", ("Score", "Value", "95 % interval", "How"), rows, numeric=(1, 2))


def _class_table(scores: Scores) -> Table:
    names = [
        n
        for n in ("support", "precision", "recall", "f1", "roc_auc", "pr_auc", "mean_absolute_error", "rmse", "r2")
        if any(n in row for row in scores.per_class.values())
    ]

    def cell(row: dict[str, float], name: str) -> str:
        if name not in row:
            return "undefined"
        return count(int(row[name])) if name == "support" else value_words(name, row[name])

    rows = tuple((c, *(cell(row, n) for n in names)) for c, row in scores.per_class.items())
    first = "Value" if scores.task == "regress" else "Class"
    header = (first, *(metric_words(n) for n in names))
    return Table("By " + first.lower(), header, rows, numeric=tuple(range(1, len(header))))


def _answer_figures(predictions: Predictions) -> list[Figure]:
    truth, scores, classes = predictions.truth, np.asarray(predictions.scores), predictions.classes
    if truth is None:
        return []
    if predictions.task == "regress":
        columns = np.asarray(truth, np.float64).reshape(len(scores), -1)
        caption = "On the dashed line prediction and truth are equal."
        return [
            agreement_figure(name, columns[:, c], scores[:, c].astype(np.float64), caption=caption)
            for c, name in enumerate(classes[:MOST_COLUMNS])
        ]
    yes = np.eye(len(classes), dtype=bool)[truth] if predictions.task == "classify" else np.asarray(truth) >= 0.5
    chosen = [1] if predictions.task == "classify" and len(classes) == 2 else range(len(classes))
    defined = [c for c in chosen if is_defined(yes[:, c])]
    if not defined:
        return []
    roc = [
        (
            f"{short(classes[c], 12)}, area {three(roc_auc(yes[:, c], scores[:, c]))}",
            *roc_curve(yes[:, c], scores[:, c]),
        )
        for c in defined
    ]
    pr = [
        (
            f"{short(classes[c], 12)}, area {three(average_precision(yes[:, c], scores[:, c]))}",
            *pr_curve(yes[:, c], scores[:, c]),
        )
        for c in defined
    ]
    return [
        threshold_figure(
            "ROC",
            roc,
            axes=("false alarms, share of the others", "found, share of the class"),
            diagonal=True,
            caption="Dashed diagonal: guessing.",
        ),
        threshold_figure("Precision and recall", pr, axes=("recall: share found", "precision")),
    ]


def scores_section(
    scores: Scores,
    *,
    predictions: Predictions | None = None,
    provenance: Provenance | None = None,
    name: str = "scores",
    title: str = "Scores",
    which: str = "",
) -> Section:
    """Headline in words, intervals, confusion, calibration, curves and the tables of all numbers.

    Args:
        scores: what `score_predictions` gave.
        predictions: adds ROC and precision-recall curves, or predicted against true numbers.
        provenance: printed below the confusion matrix.
        name: anchor of the section, unique in a report.
        title: its heading.
        which: which pictures these are ("that training never saw"); "" claims nothing.
    """
    line = provenance.line() if provenance else ""
    shares = [(metric_words(n), s) for n, s in scores.values.items() if is_share(n) and n not in LOWER_IS_BETTER]
    blocks: list[Figure | Table] = []
    if scores.confusion is not None:
        caption = " · ".join(p for p in ("Shade: share of the row. Grey: right. Red: wrong.", line) if p)
        blocks.append(confusion_figure(scores.confusion, scores.classes, caption=caption))
    if shares:
        guess = scores.majority if scores.headline in ("balanced_accuracy", "mean_average_precision") else None
        caption = "Bars: 95 % intervals." + ("" if guess is None else f" Dashed: guessing, {percent(guess)}.")
        blocks.append(interval_figure("Scores", shares, guess=guess, caption=caption))
    if scores.reliability:
        caption = "Grey bars: how many pictures. On the dashed line a probability means what it says."
        blocks.append(reliability_figure(scores.reliability, caption=caption))
    if predictions is not None:
        blocks += _answer_figures(predictions)
    blocks += [_values_table(scores), _class_table(scores)]
    words = (headline_words(scores, which=which), *_class_words(scores), *_calibration_words(scores))
    return Section(name, title, f"{count(scores.n)} pictures", words, tuple(blocks))


def folds_section(folds: Sequence[Scores]) -> Section:
    """Cross-validation: every score per fold, their mean and 95 % t interval."""
    shared = [n for n in folds[0].values if all(n in f.values for f in folds)]
    rows, means = [], {}
    for name in shared:
        values = [f.values[name].value for f in folds]
        means[name] = fold_interval(values, limits=(0.0, 1.0) if is_share(name) else None)
        cells = tuple(value_words(name, v) for v in values)
        rows.append(
            (metric_words(name), *cells, value_words(name, means[name].value), interval_words(name, means[name]))
        )
    header = ("Score", *(f"Fold {i}" for i in range(1, len(folds) + 1)), "Mean", "95 % interval")
    table = Table("Folds", header, tuple(rows), numeric=tuple(range(1, len(header))))
    head = folds[0].headline
    best = means[head]
    detail = (
        f"95 % interval {interval_words(head, best)} over {len(folds)} folds, "
        f"{three(sum(f.n for f in folds))} pictures in all, each tested once."
    )
    words = ((f"{metric_words(head)} {value_words(head, best.value)}.", detail),)
    shares = [(metric_words(n), means[n]) for n in shared if is_share(n) and n not in LOWER_IS_BETTER]
    figures = (interval_figure("Mean over folds", shares, caption="Bars: 95 % t intervals."),) if shares else ()
    return Section("folds", "Cross-validation", f"{len(folds)} folds", words, (*figures, table))
