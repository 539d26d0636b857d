"""TaskRules: how one kind of truth becomes a head, a loss, targets, scores; and the three kinds there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.errors import DataError, UnknownNameError
from convscope.metrics.score import score_predictions
from convscope.records.card import OutputKind
from convscope.records.prediction import Predictions, Scores
from convscope.records.samples import Task
from convscope.registry import nearest
from convscope.tasks.outputs import Head, to_scores


@dataclass(frozen=True)
class TaskRules:
    """One kind of job.

    Attributes:
        name: "classify", "multilabel" or "regress".
        activation: of the last layer of a network that convscope builds.
        loss: Keras name of the loss that `Plan(loss="auto")` takes.
        kind: what the outputs of such a network are.
        monitor_best: the logged number that people read first, and "max" or "min".
    """

    name: Task
    activation: str
    loss: str
    kind: OutputKind
    monitor_best: tuple[str, str]

    def units(self, classes: tuple[str, ...]) -> int:
        """Outputs of the last layer: one per class or target column."""
        return len(classes)

    def metrics(self, keras: Any, head: Head) -> list[Any]:
        """New Keras metric objects for `model.compile`; `keras` is the loaded module."""
        if self.name == "classify":
            kinds = {"index": "SparseCategoricalAccuracy", "single": "BinaryAccuracy"}
            return [getattr(keras.metrics, kinds.get(head.encoding, "CategoricalAccuracy"))(name="accuracy")]
        if self.name == "multilabel":
            auc = keras.metrics.AUC(curve="PR", multi_label=True, num_labels=len(head.classes), name="pr_auc")
            return [keras.metrics.BinaryAccuracy(name="accuracy"), auc]
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]

    def encode(self, truth: np.ndarray, head: Head) -> np.ndarray:
        """Turn truth into the targets that the head's loss takes.

        Args:
            truth: as in Samples: (n,) int64 for classify, else (n, k) float.
            head: of the model that is trained.

        Returns:
            "index": (n,) int32; "single": (n, 1) float32 of 0 and 1; "one-hot" and "values": (n, k) float32.

        Raises:
            DataError: a class index that the head has no output for.
        """
        if self.name != "classify":
            return np.asarray(truth, np.float32)
        index = np.asarray(truth, np.int64)
        if index.size and (index.min() < 0 or index.max() >= len(head.classes)):
            raise DataError(
                f"expected class indices 0 to {len(head.classes) - 1}, got {index.min()} to {index.max()}; "
                "check the labels"
            )
        if head.encoding == "index":
            return index.astype(np.int32)
        if head.encoding == "single":
            return index.astype(np.float32)[:, None]
        return np.eye(len(head.classes), dtype=np.float32)[index]

    def decode(self, outputs: np.ndarray, head: Head) -> np.ndarray:
        """Turn raw outputs (n, units) into the scores of Predictions, float32 (see `outputs.to_scores`)."""
        return to_scores(outputs, head)

    def predictions(
        self, outputs: np.ndarray, head: Head, keys: tuple[str, ...], truth: np.ndarray | None = None
    ) -> Predictions:
        """Outputs of n pictures, decoded and named."""
        return Predictions(keys, self.decode(outputs, head), self.name, head.classes, truth)

    def score(self, predictions: Predictions) -> Scores:
        """How right predictions with truth are."""
        return score_predictions(predictions)


TASKS: dict[str, TaskRules] = {
    "classify": TaskRules("classify", "softmax", "categorical_crossentropy", "probabilities", ("accuracy", "max")),
    "multilabel": TaskRules("multilabel", "sigmoid", "binary_crossentropy", "probabilities", ("pr_auc", "max")),
    "regress": TaskRules("regress", "linear", "mean_squared_error", "values", ("mean_absolute_error", "min")),
}


def task_rules(name: str) -> TaskRules:
    """The rules of a task by name.

    Raises:
        UnknownNameError: naming the nearest known task.
    """
    if name not in TASKS:
        raise UnknownNameError(f"unknown task {name!r}; {nearest(name, TASKS)}")
    return TASKS[name]
