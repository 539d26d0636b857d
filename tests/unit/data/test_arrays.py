"""(x, y) arrays: the rule that gives the task, ranges, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from convscope.data.arrays import check_pixels, read_arrays
from convscope.data.opening import Reading, read_data
from convscope.errors import DataError, DataNotFoundError
from convscope.records.geometry import Preprocess

X = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
LABELS = np.array([0, 2, 1, 2, 0, 1])


@pytest.mark.parametrize(
    ("y", "task", "classes", "truth"),
    [
        (LABELS, "classify", ("0", "1", "2"), LABELS),
        (LABELS[:, None].astype(np.uint8), "classify", ("0", "1", "2"), LABELS),
        (np.eye(3)[LABELS], "classify", ("0", "1", "2"), LABELS),
        (np.array(["b", "a", "b", "a", "a10", "a9"]), "classify", ("a", "a9", "a10", "b"), [3, 0, 3, 0, 2, 1]),
        (LABELS > 0, "classify", ("False", "True"), LABELS > 0),
        (np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1], [1, 1]]), "multilabel", ("0", "1"), None),
        (np.linspace(0, 3, 6), "regress", ("value",), np.linspace(0, 3, 6)[:, None]),
        (np.random.default_rng(1).random((6, 2)), "regress", ("value 1", "value 2"), None),
    ],
)
def test_the_rule(y: np.ndarray, task: str, classes: tuple[str, ...], truth: object) -> None:
    samples = read_arrays(X, y)
    assert samples.task == task and samples.classes == classes
    np.testing.assert_allclose(samples.truth, y if truth is None else truth, rtol=1e-6)
    assert samples.truth is not None and samples.truth.dtype == (np.int64 if task == "classify" else np.float32)


def test_gaps_keep_their_numbers() -> None:
    samples = read_arrays(X, np.array([0, 4, 4, 0, 4, 0]))
    assert samples.classes == ("0", "1", "2", "3", "4") and samples.truth is not None and samples.truth.max() == 4
    assert read_arrays(X, LABELS, classes=("a", "b", "c")).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("x", "y", "options", "expected"),
    [
        (X, LABELS[:5], {}, "6 pictures, got 5"),
        (X, np.array([0, 1, 0, 1, 0, 1.0]), {}, "say task="),
        (X, np.array([0, np.nan, 0, 1, 0, 1.0]), {}, "row 1"),
        (X, np.zeros(6, int), {}, "two classes"),
        (X, np.array([0, -1, 0, 1, 0, 1]), {}, "-1"),
        (X, LABELS, {"classes": ("a",)}, "at least 3 names"),
        (X[:0], LABELS[:0], {}, "at least one picture"),
        (X.astype(object), LABELS, {}, "numbers"),
        (np.zeros((6, 5)), LABELS, {}, "shape"),
        (X, LABELS, {"pixels": (1, 0)}, "black below white"),
        (X, np.array([[0, 2], [1, 0], [1, 1], [0, 0], [1, 1], [2, 2]]), {}, "say task="),
    ],
)
def test_refusals(x: np.ndarray, y: np.ndarray, options: dict, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read_arrays(x, y, **options)


def test_as_given_or_brought_to_255() -> None:
    floats = X / 255.0
    source = read_arrays(floats, LABELS).pictures
    assert source.read(1, 3).values.dtype == np.float64
    np.testing.assert_array_equal(source.read(1, 3).values, floats[1])
    np.testing.assert_allclose(read_arrays(floats, LABELS, pixels=(0, 1)).pictures.read(2, 3).values, X[2], atol=1e-3)
    deep = (X.astype(np.uint16) * 257)[..., 0]
    np.testing.assert_allclose(read_arrays(deep, LABELS).pictures.read(0, 1).values[..., 0], X[0, ..., 0], atol=1e-3)
    assert read_arrays(deep, LABELS).pictures.read(0, 3).values.shape == (5, 4, 3)
    ragged = [X[0], X[1, :3], X[2], X[3], X[4], X[5]]
    assert read_arrays(ragged, LABELS).pictures.read(1, 3).source_hw == (3, 4)


def test_floats_of_0_to_1_are_refused_where_pixels_are_needed() -> None:
    samples = read_arrays(X / 255.0, LABELS)
    with pytest.raises(DataError, match=r"pixels=\(0, 1\)"):
        check_pixels(samples, Preprocess(8, 8))
    check_pixels(samples, Preprocess(None, None, fit="as-is"))
    check_pixels(read_arrays(X, LABELS), Preprocess(8, 8))


def test_subsets_of_subsets_and_pickling() -> None:
    part = read_arrays(X, LABELS).subset(np.array([5, 3, 1])).subset(np.array([2, 0]))
    copy = pickle.loads(pickle.dumps(part))
    assert list(copy.pictures.keys) == ["array/000001", "array/000005"]
    np.testing.assert_array_equal(copy.pictures.read(1, 3).values, X[5])
    assert copy.truth.tolist() == [2, 1]


def test_the_one_door(tmp_path) -> None:
    assert read_data((X, LABELS)).task == "classify"
    assert read_data(X).truth is None
    samples = read_data((X, LABELS), reading=Reading(classes=("x", "y", "z")))
    assert read_data(samples) is samples
    with pytest.raises(DataError, match="got dict"):
        read_data({"a": 1})
    with pytest.raises(DataNotFoundError, match="nothing there"):
        read_data(tmp_path / "gone")
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="one picture"):
        read_data(tmp_path / "a.png")
    with pytest.raises(DataError, match="give a table"):
        read_data(tmp_path, task="regress")
