"""Tasks: targets for every loss, scores from every kind of output, the task of a user's own model."""

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from convscope.errors import DataError, ModelError, UnknownNameError
from convscope.tasks.outputs import Head, encoding_for, loss_name, output_kind, read_head
from convscope.tasks.recover import recover_task
from convscope.tasks.rules import TASKS, task_rules

pytestmark = pytest.mark.backend

ABC = ("a", "b", "c")


def model(units=3, last="softmax", loss=None):
    built = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation=last)])
    if loss is not None:
        built.compile("sgd", loss)
    return built


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("categorical_crossentropy", "categorical_crossentropy"),
        (keras.losses.SparseCategoricalCrossentropy(), "sparse_categorical_crossentropy"),
        (keras.losses.SparseCategoricalCrossentropy, "sparse_categorical_crossentropy"),
        (keras.losses.binary_crossentropy, "binary_crossentropy"),
        ("mse", "mean_squared_error"),
        (None, ""),
    ],
)
def test_the_name_of_a_loss(loss, expected):
    assert loss_name(loss) == expected


@pytest.mark.parametrize(
    ("loss", "units", "classes", "expected"),
    [
        ("categorical_crossentropy", 3, ABC, [[1, 0, 0], [0, 0, 1]]),
        ("sparse_categorical_crossentropy", 3, ABC, [0, 2]),
        ("categorical_focal_crossentropy", 3, ABC, [[1, 0, 0], [0, 0, 1]]),
        ("binary_crossentropy", 1, ("a", "b"), [[0], [1]]),
        ("binary_crossentropy", 2, ("a", "b"), [[1, 0], [0, 1]]),
    ],
)
def test_targets_for_the_loss_in_use(loss, units, classes, expected):
    head = read_head(model(units, "sigmoid" if units == 1 else "softmax", loss), "classify", classes)
    truth = np.array([0, len(classes) - 1])
    encoded = TASKS["classify"].encode(truth, head)
    np.testing.assert_array_equal(encoded, expected)
    assert np.isfinite(float(keras.ops.sum(keras.losses.get(loss)(encoded, np.full((2, units), 0.4, np.float32)))))


def test_a_class_without_an_output_is_an_error():
    head = read_head(model(), "classify", ABC)
    with pytest.raises(DataError, match="0 to 2, got 0 to 3"):
        TASKS["classify"].encode(np.array([0, 3]), head)
    with pytest.raises(ModelError, match="expected 4 outputs for 4 classes, the model has 3"):
        encoding_for("classify", None, 3, (*ABC, "d"))
    with pytest.raises(ModelError, match="2 target columns"):
        encoding_for("regress", "mse", 1, ("x", "y"))


def test_scores_from_logits_and_probabilities():
    raw = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    logits = read_head(model(3, None, loss), "classify", ABC)
    np.testing.assert_allclose(TASKS["classify"].decode(raw, logits), softmax(raw, axis=1), rtol=1e-5)
    probabilities = read_head(model(), "classify", ABC)
    np.testing.assert_allclose(
        TASKS["classify"].decode(softmax(raw, axis=1), probabilities), softmax(raw, axis=1), rtol=1e-5
    )
    one = read_head(model(1, None, keras.losses.BinaryCrossentropy(from_logits=True)), "classify", ("a", "b"))
    expected = np.stack([1 - expit(raw[:, 0]), expit(raw[:, 0])], axis=1)
    np.testing.assert_allclose(TASKS["classify"].decode(raw[:, :1], one), expected, atol=1e-6)
    several = Head("multilabel", ABC, 3, "logits", "values")
    np.testing.assert_allclose(TASKS["multilabel"].decode(raw, several), expit(raw), rtol=1e-5)
    values = Head("regress", ABC, 3, "values", "values")
    np.testing.assert_array_equal(TASKS["regress"].decode(raw * 100, values), raw * 100)


def test_numbers_that_are_no_probabilities_are_refused():
    head = read_head(model(3, None, "categorical_crossentropy"), "classify", ABC)
    with pytest.raises(ModelError, match=r"expected probabilities in 0\.\.1, got -1 to 3"):
        TASKS["classify"].decode(np.array([[-1.0, 3, 0]]), head)
    with pytest.raises(ModelError, match="shape"):
        TASKS["classify"].decode(np.zeros((2, 5)), head)


def test_what_outputs_are_is_never_guessed():
    assert output_kind(model(), "classify") == "probabilities"
    assert output_kind(model(3, None), "regress") == "values"
    with pytest.raises(ModelError, match="say what they are"):
        output_kind(model(3, None), "classify")
    stacked = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Softmax()])
    assert output_kind(stacked, "classify") == "probabilities"


@pytest.mark.parametrize(
    ("units", "last", "loss", "task"),
    [
        (3, "softmax", None, "classify"),
        (3, None, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "classify"),
        (1, "sigmoid", "binary_crossentropy", "classify"),
        (3, "sigmoid", "binary_crossentropy", "multilabel"),
        (2, None, "mse", "regress"),
        (1, None, keras.losses.Huber(), "regress"),
    ],
)
def test_the_task_of_a_users_own_model(units, last, loss, task):
    assert recover_task(model(units, last, loss)) == task


@pytest.mark.parametrize(("units", "last", "loss"), [(3, None, None), (3, "softmax", "mse")])
def test_an_undecided_task_is_asked_for(units, last, loss):
    with pytest.raises(ModelError, match="say task="):
        recover_task(model(units, last, loss))


def test_several_outputs_and_unbuilt_models_are_errors():
    inputs = keras.Input((4,))
    two = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(3)(inputs)])
    with pytest.raises(ModelError, match="one output"):
        recover_task(two)
    with pytest.raises(ModelError, match="built"):
        recover_task(keras.Sequential([keras.layers.Dense(2)]))


def test_predictions_carry_names_and_are_scored():
    head = read_head(model(), "classify", ABC)
    outputs = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    found = TASKS["classify"].predictions(outputs, head, ("p", "q", "r", "s"), np.array([0, 1, 2, 1]))
    assert TASKS["classify"].score(found).values["accuracy"].value == pytest.approx(0.75)


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean classify"):
        task_rules("clasify")


@pytest.mark.parametrize("task", TASKS)
def test_metrics_of_each_task_compute(task):
    head = Head(task, ABC, 3, "probabilities", "one-hot" if task == "classify" else "values")
    for metric in TASKS[task].metrics(keras, head):
        metric.update_state(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
        assert float(metric.result()) == pytest.approx(0.0 if task == "regress" else 1.0, abs=1e-3)
