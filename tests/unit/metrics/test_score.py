"""What can't be scored is refused in one line."""

import numpy as np
import pytest

from convscope.errors import DataError
from convscope.metrics.score import score_predictions
from convscope.records.prediction import Predictions

GOOD = np.array([[0.7, 0.3], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("keys", "scores", "truth", "says"),
    [
        (("a", "b"), GOOD, None, "truth"),
        ((), np.zeros((0, 2)), np.zeros(0, int), "at least one picture"),
        (("a", "b"), GOOD, np.array([0]), "2 truths"),
        (("a", "b"), np.ones((2, 3)), np.array([0, 1]), r"shape \(2, 2\)"),
        (("a", "b"), np.array([[0.7, 0.3], [np.nan, 0.8]]), np.array([0, 1]), "for b"),
        (("a", "b"), GOOD, np.array([0, 2]), "class numbers 0 to 1"),
    ],
)
def test_refusals(keys, scores, truth, says):
    with pytest.raises(DataError, match=says) as caught:
        score_predictions(Predictions(keys, scores, "classify", ("no", "yes"), truth))
    assert "\n" not in str(caught.value)
