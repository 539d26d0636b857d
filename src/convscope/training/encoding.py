"""Encoder: a batch as `model.fit` takes it, for tasks whose truth is numbers per picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.tensors import to_numpy
from convscope.data.chance import mix_truth
from convscope.errors import DataError
from convscope.records.samples import Batch
from convscope.tasks.outputs import Head
from convscope.tasks.rules import TASKS
from convscope.training.feed import Fed

Apply = Callable[[np.ndarray, dict[str, np.ndarray], np.ndarray | None], Any]


@dataclass(frozen=True, eq=False)
class Encoder:
    """Batch -> (pictures, targets, weights) as fit takes them.

    Attributes:
        head: of the model; decides how truth is encoded.
        apply: (images, draws, partners) -> images, the compiled augmentation; None for none.
        class_weights: (k,) weight of each class, or None for equal weights.
        scale, offset: network value = pixel value x scale + offset, as in Preprocess; applied last.
    """

    head: Head
    apply: Apply | None = None
    class_weights: np.ndarray | None = None
    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, batch: Batch) -> Fed:
        """Augment, encode and weigh one batch.

        Raises:
            DataError: a batch without truth, or targets that hold NaN.
        """
        if batch.truth is None:
            raise DataError("expected pictures with truth to train on, got none; add labels")
        targets = TASKS[self.head.task].encode(batch.truth, self.head)
        if batch.draws is None or self.apply is None:
            images = np.asarray(batch.images, np.float32)
        else:
            images = to_numpy(self.apply(batch.images, batch.draws, batch.partners))
            if batch.partner_truth is not None:
                partner = TASKS[self.head.task].encode(batch.partner_truth, self.head)
                targets = mix_truth(targets, partner, batch.draws)
        if (self.scale, self.offset) != (1, 0):
            images = images * np.float32(self.scale) + np.float32(self.offset)
        if not np.isfinite(targets).all():
            raise DataError(f"expected truth without NaN, got NaN at sample {int(batch.indices[0])} or near; check it")
        if self.class_weights is None:
            return images, targets
        return images, targets, self._weights(targets)

    def _weights(self, targets: np.ndarray) -> np.ndarray:
        assert self.class_weights is not None
        if self.head.encoding == "index":
            return self.class_weights[targets]
        if self.head.encoding == "single":
            return self.class_weights[0] * (1 - targets[:, 0]) + self.class_weights[1] * targets[:, 0]
        return np.asarray(targets @ self.class_weights, np.float32)


def balanced_weights(truth: np.ndarray, classes: int) -> np.ndarray:
    """Weights (k,) float32 with which each class counts the same in sum, and all n pictures n; 0 for absent classes."""
    counts = np.bincount(np.asarray(truth, np.int64), minlength=classes)
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)
