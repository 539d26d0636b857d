"""Sections: the right words and numbers from the records."""

from itertools import pairwise

import numpy as np
import pytest

from convscope.draw.png import jpeg_bytes
from convscope.errors import DataError
from convscope.metrics.score import score_predictions
from convscope.records.figure import Figure
from convscope.records.prediction import Predictions
from convscope.records.report import Sheet, Table
from convscope.records.run import History, Verdict
from convscope.reporting.sections import (
    audit_facts,
    audit_section,
    augmentation_section,
    folds_section,
    headline_words,
    lowest_loss_epoch,
    maps_section,
    mistakes_section,
    scores_section,
    training_section,
    worst_mistakes,
)
from convscope.reporting.words import duration, interval_words, metric_words
from unit.reporting.made import audit, features, history, predictions, stripes


def plain(text):
    return text.replace("\u00a0", " ")


def block(section, title):
    return next(b for b in section.blocks if b.title == title)


def test_training_draws_each_metric_the_rate_and_the_phases():
    section = training_section(history(), [Verdict("healthy", "Fine.", "loss 0.1")], n_val=20, chance=0.5)
    assert [b.title for b in section.blocks] == ["Loss", "Accuracy", "Learning rate", "Phases"]
    assert section.words == (("Fine.", "loss 0.1"),)
    assert block(section, "Phases").rows[1][:2] == ("last blocks", "6 to 12")
    assert block(section, "Phases").rows[1][3] == "0.00100"  # a rate that stays is one number
    falling = History(tuple({**row, "learning_rate": 1e-3 / row["epoch"]} for row in history().epochs))
    assert block(training_section(falling, []), "Phases").rows[0][3] == "0.00100 to 0.000200"
    assert "95 % interval on 20 pictures" in block(section, "Accuracy").caption
    assert section.note == "12 epochs · 18 s"


def test_training_without_validation_or_epochs_still_works():
    rows = ({"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": float("nan")})
    assert [b.title for b in training_section(History(rows), []).blocks] == ["Loss"]
    assert training_section(History(), []).blocks == ()


def test_best_epoch_is_the_lowest_validation_loss():
    rows = ({"loss": 3.0, "val_loss": 2.0}, {"loss": 2.0, "val_loss": 1.0}, {"loss": 1.0, "val_loss": 1.5})
    assert lowest_loss_epoch(History(rows)) == 2
    assert lowest_loss_epoch(History(())) is None


def test_scores_say_headline_hardest_class_and_calibration():
    truth = np.array([0] * 10 + [1] * 10)
    p = np.where(truth == 1, 0.9, 0.1)
    p[10:14] = 0.2
    scores = score_predictions(
        Predictions(tuple(map(str, range(20))), np.stack([1 - p, p], 1), "classify", ("fine", "crack"), truth)
    )
    section = scores_section(scores)
    (title, detail), (hardest, why), _ = section.words
    assert plain(title) == "Balanced accuracy 80.0 %."
    assert "20 pictures" in detail and "Guessing gives 50.0 %" in plain(detail)
    assert hardest == "Hardest class: crack." and "6 of 10" in why and "taken for fine (4 times)" in why
    assert headline_words(scores, which="that training never saw")[1].startswith(
        "On 20 pictures that training never saw."
    )
    table = block(section, "By class")
    assert plain(table.rows[1][table.header.index("Recall")]) == "60.0 %"


def test_scores_no_better_than_guessing_say_so():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1], 20)
    keys, truth = tuple(map(str, range(20))), rng.integers(0, 2, 20)
    scores = score_predictions(Predictions(keys, p, "classify", ("a", "b"), truth))
    assert "not shown to have learnt" in headline_words(scores)[1] and "Never found" not in headline_words(scores)[1]
    p = np.where(truth[:, None] == 0, (0.9, 0.1), (0.6, 0.4))
    scores = score_predictions(Predictions(keys, p, "classify", ("a", "b"), truth))
    assert headline_words(scores)[1].endswith("Never found: b.")


@pytest.mark.parametrize("task", ["multilabel", "regress"])
def test_scores_of_the_other_tasks(task):
    rng = np.random.default_rng(1)
    truth = rng.random((30, 2)) * 9 if task == "regress" else (rng.random((30, 2)) < 0.5).astype(float)
    noise = rng.normal(0, 0.4, truth.shape)
    p = truth + noise if task == "regress" else np.clip(truth + noise, 0, 1)
    answers = Predictions(tuple(map(str, range(30))), p, task, ("x", "y"), truth)
    section = scores_section(score_predictions(answers), predictions=answers)
    assert any(isinstance(b, Table) and b.title == "All scores" for b in section.blocks)
    assert mistakes_section(answers, {k: stripes(0) for k in answers.keys}, top=3).blocks[0].tiles


def test_worst_mistakes_are_wrong_and_surest_first():
    answers = predictions(("a", "b", "c"))
    worst = worst_mistakes(answers, top=100)
    top = answers.scores.max(1)
    assert sorted(worst) == np.flatnonzero(answers.scores.argmax(1) != answers.truth).tolist()
    assert all(top[i] >= top[j] for i, j in pairwise(worst))


def test_mistakes_show_truth_answer_and_only_given_pictures():
    answers = predictions(("a", "b"))
    first = worst_mistakes(answers)[0]
    key = answers.keys[first]
    section = mistakes_section(answers, {key: stripes(0)})
    (tile,) = section.blocks[0].tiles
    names = answers.classes
    assert tile.head == f"{names[answers.truth[first]]} → {names[answers.scores[first].argmax()]}"
    assert plain(tile.lines[0]) == f"says {100 * answers.scores[first].max():.1f} %"
    with pytest.raises(DataError, match="truth"):
        mistakes_section(Predictions(("a",), np.ones((1, 1)), "classify", ("a",)), {})


def test_audit_orders_findings_by_urgency_and_shows_pairs_together():
    keys = tuple(f"no/{i}.png" for i in range(40))
    section = audit_section(audit(("no", "yes"), keys), {k: jpeg_bytes(stripes(0)) for k in keys})
    table = section.blocks[0]
    assert [row[-1] for row in table.rows] == ["▲ must fix", "◆ look", "○ note"]
    assert table.note == "1 to fix before training, 1 to look at, 1 noted"
    pairs = block(section, "Identical files")
    assert isinstance(pairs, Sheet)
    assert [t.lines[0] for t in pairs.tiles] == ["group 1", "group 1", "group 2", "group 2"]
    assert {"Classes", "Sizes", "Mean brightness"} <= {b.title for b in section.blocks if isinstance(b, Figure)}
    assert dict(audit_facts(audit(("no", "yes"), keys))[0].rows)["pictures"] == "40, 0.123 MB"


def test_audit_refuses_a_thumbnail_that_is_none():
    keys = tuple(f"no/{i}.png" for i in range(40))
    with pytest.raises(DataError, match=r"thumbnail of no/0\.png"):
        audit_section(audit(("no", "yes"), keys), {keys[0]: b"not a picture"})


def test_maps_begin_with_the_picture_and_want_one_picture_each():
    f = features("stem/relu", 8, ("a.png", "b.png"), "crack")
    section = maps_section([f], [stripes(0), stripes(1)])
    assert len(section.blocks) == 2 and section.blocks[0].tiles[0].head == "the picture"
    assert len(section.blocks[0].tiles) == 1 + 11
    with pytest.raises(DataError, match="one picture for each of the 2"):
        maps_section([f], [stripes(0)])


def test_augmentation_shows_each_draw_beside_its_picture():
    section = augmentation_section([stripes(0)], [[stripes(1), stripes(2)]], labels=["a.png"])
    assert [t.head for t in section.blocks[0].tiles] == ["as it is", "draw 1", "draw 2"]


def test_folds_average_and_stay_inside_what_a_share_can_be():
    perfect = score_predictions(Predictions(("a", "b"), np.eye(2), "classify", ("x", "y"), np.array([0, 1])))
    poor = score_predictions(Predictions(("a", "b"), np.eye(2), "classify", ("x", "y"), np.array([0, 0])))
    table = block(folds_section([perfect, poor]), "Folds")
    row = next(r for r in table.rows if r[0] == "Accuracy")
    assert [plain(c) for c in row[1:]] == ["100 %", "50.0 %", "75.0 %", "0 % to 100 %"]


def test_words():
    assert metric_words("balanced_accuracy") == "Balanced accuracy"
    assert metric_words("val_my_metric") == "Val my metric"
    assert [duration(s) for s in (0.5, 12.4, 200, 3900)] == ["0.500 s", "12 s", "3 min 20 s", "1 h 05 min"]
    scores = score_predictions(predictions(("a", "b"))).values
    assert interval_words("expected_calibration_error", scores["expected_calibration_error"]) == "none"
