"""What a network says of pictures, and how right it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.records.samples import Task


@dataclass(frozen=True, eq=False)
class Predictions:
    """Outputs for n pictures.

    Attributes:
        keys: the pictures' names.
        scores: classify: (n, k) probabilities that sum to 1; multilabel: (n, k) probabilities;
            regress: (n, k) values. float32, calibrated where `temperature` is not 1.
        task, classes: as in Samples.
        truth: as in Samples, or None.
        temperature: what the logits were divided by (Guo et al. 2017), fitted on validation; 1 for none.
        unsure_below: a top probability below this is reported as unsure.
    """

    keys: tuple[str, ...]
    scores: np.ndarray
    task: Task
    classes: tuple[str, ...]
    truth: np.ndarray | None = None
    temperature: float = 1.0
    unsure_below: float = 0.0


@dataclass(frozen=True)
class Scored:
    """One number with its interval: value in low..high with 95 % confidence; `n` pictures; `method` in words."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""


@dataclass(frozen=True, eq=False)
class Scores:
    """How right predictions are.

    Attributes:
        task, classes: as in Samples.
        n: number of pictures.
        headline: which of `values` counts most ("balanced_accuracy", "mean_average_precision", "r2").
        values: metric name -> number with interval, e.g. accuracy, balanced_accuracy, top_5_accuracy, macro_f1,
            roc_auc, pr_auc, expected_calibration_error; regress: mean_absolute_error, rmse, r2.
        per_class: class name -> {"precision", "recall", "f1", "support", "roc_auc", "pr_auc"}.
        confusion: (k, k) int64, row = truth, column = prediction; None unless classify.
        reliability: bins of the reliability chart: {"confidence": [...], "accuracy": [...], "count": [...]}.
        majority: what always saying the most frequent class would score on the headline metric.
    """

    task: Task
    classes: tuple[str, ...]
    n: int
    headline: str
    values: dict[str, Scored]
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    confusion: np.ndarray | None = None
    reliability: dict[str, list[float]] | None = None
    majority: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {
            "task": self.task,
            "classes": list(self.classes),
            "n": self.n,
            "headline": self.headline,
            "values": {k: vars(v) for k, v in self.values.items()},
            "per_class": self.per_class,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "reliability": self.reliability,
            "majority": self.majority,
        }
