"""Multi-label scores against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from convscope.metrics.score import score_predictions
from convscope.records.prediction import Predictions


def made(seed, n=80, k=3, ties=False):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, k)) < [0.2, 0.5, 0.7]).astype(np.float32)
    p = np.clip(0.5 * rng.random((n, k)) + 0.4 * truth * rng.random((n, k)) + 0.1, 0, 1)
    return Predictions(tuple(map(str, range(n))), np.round(p, 1) if ties else p, "multilabel", ("x", "y", "z"), truth)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ties", [False, True])
def test_equal_to_scikit_learn(seed, ties):
    p = made(seed, ties=ties)
    found = score_predictions(p)
    answers = (p.scores >= 0.5).astype(int)
    values = {name: v.value for name, v in found.values.items()}
    assert found.headline == "mean_average_precision"
    assert values["mean_average_precision"] == pytest.approx(oracle.average_precision_score(p.truth, p.scores))
    assert values["roc_auc"] == pytest.approx(oracle.roc_auc_score(p.truth, p.scores))
    assert values["exact_match"] == pytest.approx(oracle.accuracy_score(p.truth, answers))
    assert values["label_accuracy"] == pytest.approx(1 - oracle.hamming_loss(p.truth, answers))
    assert values["macro_f1"] == pytest.approx(oracle.f1_score(p.truth, answers, average="macro", zero_division=0))
    assert found.majority == pytest.approx(p.truth.mean())


def test_label_that_never_occurs_has_no_area():
    p = made(0)
    p.truth[:, 0] = 0
    found = score_predictions(p)
    assert "pr_auc" not in found.per_class["x"]
    assert found.values["mean_average_precision"].value == pytest.approx(
        oracle.average_precision_score(p.truth[:, 1:], p.scores[:, 1:])
    )
    json.dumps(found.as_dict(), allow_nan=False)
