"""Chapters that show pictures: samples, augmented pictures, the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.draw.numbers import percent, three
from convscope.draw.tiles import picture_tile
from convscope.errors import DataError
from convscope.records.prediction import Predictions
from convscope.records.report import Section, Sheet, Tile, Words

PICTURE_PX = 112
PAIR_PX = 168  # two beside each other on a phone, four on a desk


def _truth(predictions: Predictions) -> np.ndarray:
    if predictions.truth is None:
        raise DataError("expected predictions with their truth to find mistakes, got none; give labelled pictures")
    return np.asarray(predictions.truth)


def worst_mistakes(predictions: Predictions, *, top: int = 24) -> list[int]:
    """Indices of the worst pictures, worst first.

    classify: wrong answers by how sure they were; multilabel: pictures with a wrong label by their largest wrong
    probability; regress: by squared error in units of the truth's spread.
    """
    truth, scores = _truth(predictions), np.asarray(predictions.scores, np.float64)
    if predictions.task == "classify":
        wrong, badness = scores.argmax(axis=1) != truth, scores.max(axis=1)
    elif predictions.task == "multilabel":
        wrong = np.any((scores >= 0.5) != (truth >= 0.5), axis=1)
        badness = np.abs(scores - truth).max(axis=1)
    else:
        spread = truth.std(axis=0)
        badness = np.sum(((scores - truth) / np.where(spread > 0, spread, 1)) ** 2, axis=1)
        wrong = badness > 0
    return [int(i) for i in np.argsort(-badness, kind="stable") if wrong[i]][:top]


def answer_words(predictions: Predictions, index: int) -> tuple[str, tuple[str, ...]]:
    """(truth -> answer, small lines) of one picture with a truth."""
    truth, scores = _truth(predictions)[index], np.asarray(predictions.scores[index], np.float64)
    classes = predictions.classes
    if predictions.task == "classify":
        said = int(scores.argmax())
        lines = (f"says {percent(float(scores[said]))}", f"truth {percent(float(scores[truth]))}")
        return f"{classes[truth]} → {classes[said]}", lines
    if predictions.task == "multilabel":
        there, said_yes = np.asarray(truth) >= 0.5, scores >= 0.5
        missed = [classes[c] for c in np.flatnonzero(there & ~said_yes)]
        invented = [classes[c] for c in np.flatnonzero(~there & said_yes)]
        told = tuple(f"{w} {', '.join(names)}" for w, names in (("missed", missed), ("invented", invented)) if names)
        return f"{len(missed) + len(invented)} labels wrong", told
    pairs = zip(classes, np.atleast_1d(truth).tolist(), scores.tolist())
    return "", tuple(f"{name} {three(t)} → {three(s)}" for name, t, s in pairs)


def mistakes_section(
    predictions: Predictions,
    pictures: Mapping[str, np.ndarray],
    *,
    overlays: Mapping[str, np.ndarray] | None = None,
    top: int = 12,
) -> Section:
    """The worst mistakes, each with its truth, its answer and, where given, its heat map beside it.

    Args:
        predictions: with truth.
        pictures: key -> (h, w, 1 or 3) in 0..255; mistakes without a picture are counted, not drawn.
        overlays: key -> picture with heat drawn over it, uint8 (h, w, 3).
        top: how many at most.
    """
    total = len(worst_mistakes(predictions, top=len(predictions.keys)))
    tiles: list[Tile] = []
    for i in worst_mistakes(predictions, top=top):
        key = predictions.keys[i]
        if key not in pictures:
            continue
        head, lines = answer_words(predictions, i)
        name = key.rsplit("/", 1)[-1]
        alt = f"{key}: {head or 'predicted'}, {', '.join(lines)}"
        size = PAIR_PX if overlays else PICTURE_PX
        tiles.append(picture_tile(pictures[key], alt, head=head, lines=(*lines, name), tone="wrong", longest_px=size))
        if overlays and key in overlays:
            alt, lines = f"{key}: where it looked", (name,)
            tiles.append(picture_tile(overlays[key], alt, head="where it looked", lines=lines, longest_px=size))
    words = _mistake_words(predictions, total)
    note = "truth → answer; worst first"
    caption = "" if predictions.task == "regress" else "Probabilities are those of the saved model."
    sheets = (Sheet("The worst", tuple(tiles), note=note, caption=caption),) if tiles else ()
    return Section("mistakes", "Worst mistakes", f"{len(predictions.keys)} pictures", words, sheets)


def _mistake_words(predictions: Predictions, total: int) -> Words:
    n = len(predictions.keys)
    if predictions.task == "regress":
        return (("Farthest off first.", "Errors are compared in units of the spread of the true values."),)
    if total == 0:
        return (("No mistake.", f"All {n} pictures are right."),)
    return (
        (f"{total} of {n} wrong.", "Surest first: a mistake said with conviction costs most."),
        ("Look for a pattern.", "A wrong label, a border, a printed mark or one odd camera show up here first."),
    )


def samples_section(pictures: Sequence[tuple[str, str, np.ndarray]]) -> Section:
    """Some pictures as they are; each (key, class or value in words, (h, w, 1 or 3) in 0..255)."""
    tiles = tuple(
        picture_tile(p, f"{key}, {label}", head=label, lines=(key.rsplit("/", 1)[-1],)) for key, label, p in pictures
    )
    sheet = Sheet("Sample pictures", tiles, note="as they are, made smaller only")
    return Section("samples", "Pictures", f"{len(tiles)} shown", (), (sheet,))


def augmentation_section(
    before: Sequence[np.ndarray], after: Sequence[Sequence[np.ndarray]], *, labels: Sequence[str] = (), how: Words = ()
) -> Section:
    """Real pictures, each followed by what random changes make of it: what training sees.

    Args:
        before: pictures (h, w, 1 or 3) in 0..255.
        after: for each of them its changed versions.
        labels: their names.
        how: the changes in plain words.
    """
    sheets = []
    for i, (picture, changed) in enumerate(zip(before, after)):
        label = labels[i] if i < len(labels) else f"picture {i + 1}"
        tiles = [picture_tile(picture, f"{label} as it is", head="as it is", longest_px=96)]
        tiles += [
            picture_tile(c, f"{label}, changed at random, draw {n}", head=f"draw {n}", longest_px=96)
            for n, c in enumerate(changed, start=1)
        ]
        sheets.append(Sheet(label, tuple(tiles), is_strip=True))
    words = how or (
        ("Each epoch sees each picture changed anew.", "The label must still be true of every one of these."),
    )
    return Section("augmentation", "Augmentation", "real pictures, real draws", words, tuple(sheets))
