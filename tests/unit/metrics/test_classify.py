"""Classification scores against scikit-learn, with ties and absent classes."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from convscope.metrics.classify import confusion_matrix, top_k_accuracy
from convscope.metrics.score import majority_baseline, score_predictions
from convscope.records.prediction import Predictions

NAMES = tuple("abcdefgh")


def predictions(seed, n=120, k=4, ties=False, truth_classes=None, unsure_below=0.0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.arange(k) if truth_classes is None else truth_classes, n)
    raw = rng.random((n, k)) + 0.8 * np.eye(k)[truth] * rng.random((n, 1))
    if ties:
        raw = np.round(raw, 1) + 0.1
    p = raw / raw.sum(axis=1, keepdims=True)
    keys = tuple(f"{i}.png" for i in range(n))
    return Predictions(keys, p, "classify", NAMES[:k], truth, unsure_below=unsure_below)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("ties", [False, True])
def test_equal_to_scikit_learn(seed, k, ties):
    p = predictions(seed, k=k, ties=ties)
    found = score_predictions(p)
    truth, answers, labels = p.truth, p.scores.argmax(1), np.arange(k)
    precision, recall, f1, support = oracle.precision_recall_fscore_support(truth, answers, labels=labels)
    values = {name: v.value for name, v in found.values.items()}
    assert values["accuracy"] == pytest.approx(oracle.accuracy_score(truth, answers))
    assert values["balanced_accuracy"] == pytest.approx(oracle.balanced_accuracy_score(truth, answers))
    assert values["macro_f1"] == pytest.approx(oracle.f1_score(truth, answers, average="macro"))
    assert values["brier"] == pytest.approx(oracle.brier_score_loss(truth, p.scores if k > 2 else p.scores[:, 1]))
    single = [oracle.roc_auc_score(truth == c, p.scores[:, c]) for c in labels]
    assert values["roc_auc"] == pytest.approx(np.mean(single))
    assert values["pr_auc"] == pytest.approx(
        np.mean([oracle.average_precision_score(truth == c, p.scores[:, c]) for c in labels])
    )
    for c, name in enumerate(p.classes):
        row = found.per_class[name]
        assert row["precision"] == pytest.approx(precision[c])
        assert row["recall"] == pytest.approx(recall[c])
        assert row["f1"] == pytest.approx(f1[c])
        assert row["support"] == support[c]
        assert row["roc_auc"] == pytest.approx(single[c])
    np.testing.assert_array_equal(found.confusion, oracle.confusion_matrix(truth, answers, labels=labels))
    assert ("top_5_accuracy" in values) == (k > 5)
    for v in found.values.values():
        assert v.low is None or v.low <= v.value <= v.high


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
def test_absent_class_is_left_out_of_the_means_not_counted_as_zero_or_nan():
    p = predictions(0, k=4, truth_classes=[0, 1, 3])
    found = score_predictions(p)
    answers = p.scores.argmax(1)
    assert found.values["balanced_accuracy"].value == pytest.approx(oracle.balanced_accuracy_score(p.truth, answers))
    assert found.values["macro_f1"].value == pytest.approx(oracle.f1_score(p.truth, answers, average="macro"))
    assert "recall" not in found.per_class["c"] and "roc_auc" not in found.per_class["c"]
    assert found.majority == pytest.approx(1 / 3)
    json.dumps(found.as_dict(), allow_nan=False)


def test_one_class_only_has_no_areas_and_no_nan():
    p = predictions(1, k=2, truth_classes=[1], n=9)
    found = score_predictions(p)
    assert {"roc_auc", "pr_auc", "sensitivity_at_90_specificity"}.isdisjoint(found.values)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("top", [1, 2, 3])
def test_top_k_equals_scikit_learn_without_ties(top):
    p = predictions(2, k=5)
    assert top_k_accuracy(p.scores, p.truth, top) == pytest.approx(
        oracle.top_k_accuracy_score(p.truth, p.scores, k=top, labels=np.arange(5))
    )


def test_top_one_is_the_accuracy_of_argmax_also_with_ties():
    p = predictions(3, k=5, ties=True)
    assert top_k_accuracy(p.scores, p.truth, 1) == np.mean(p.scores.argmax(1) == p.truth)
    assert top_k_accuracy(np.full((5, 5), 0.2), np.arange(5), 2) == 0.4


def test_unsure_pictures_are_counted_and_the_rest_scored():
    p = predictions(4, unsure_below=0.4)
    top = p.scores.max(1)
    values = score_predictions(p).values
    assert values["unsure_share"].value == np.mean(top < 0.4)
    right = (p.scores.argmax(1) == p.truth)[top >= 0.4]
    assert values["accuracy_when_sure"].value == pytest.approx(right.mean())


def test_confusion_counts_by_hand():
    np.testing.assert_array_equal(
        confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2]), 3), [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    )


def test_majority_baseline_is_scikit_learns_dummy():
    truth = np.array([0, 1, 1, 2, 1, 0])
    assert majority_baseline(truth) == 0.5
