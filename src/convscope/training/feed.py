"""Feed: batches of pictures as `model.fit` takes them, equal on all back ends, made ahead in a thread.

Augmentation happens here, outside the model, so any Keras model is fitted as it is. Pictures leave as float32; the
last batch of an epoch is shorter (JAX compiles once more for it, seconds per run; padding would change batch norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.data.chance import mix_truth
from convscope.errors import DataError
from convscope.records.samples import Batch
from convscope.tasks.outputs import Head
from convscope.tasks.rules import TASKS
from convscope.training.ahead import Ahead

_PyDataset: Any = load_keras().utils.PyDataset

Fed = tuple[np.ndarray, ...]
Apply = Callable[[np.ndarray, dict[str, np.ndarray], np.ndarray | None], Any]

_REPLAYED = 2  # Keras reads the first two batches once to learn their shapes, before the epoch begins


class BatchSource(Protocol):
    """What a feed needs of a loader: a pure function of (epoch, place)."""

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from place `start` on, in order."""
        ...


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


class Feed(_PyDataset):
    """One epoch after the other, made ahead.

    Args:
        source: the loader.
        encode: Batch -> what fit takes.
        epoch: the first epoch.
        start: the first place in that epoch (after a resume in its middle); later epochs are whole.
        is_fixed: every pass is epoch 0 (validation).
    """

    def __init__(
        self,
        source: BatchSource,
        encode: Callable[[Batch], Fed],
        *,
        epoch: int = 0,
        start: int = 0,
        is_fixed: bool = False,
    ) -> None:
        """Nothing is read before Keras asks."""
        super().__init__(workers=1)
        self._source, self._encode, self._is_fixed = source, encode, is_fixed
        self._epoch, self._start = epoch, start
        self._ahead: Ahead[Fed] | None = None
        self._next = 0
        self._replay: dict[int, Fed] = {}

    @property
    def num_batches(self) -> int:
        """Batches of the present epoch."""
        return len(self._source) - self._start

    def begin_epoch(self, epoch: int) -> None:
        """Say which epoch comes; what was made ahead for it stays, and so does its start."""
        if not self._is_fixed and epoch != self._epoch:
            self.close()
            self._epoch, self._start = epoch, 0

    def __getitem__(self, index: int) -> Fed:
        """Batch `index` of the present epoch; in order, or again one of the first two."""
        if index in self._replay and self._next <= _REPLAYED:
            return self._replay[index]
        if self._ahead is None or index != self._next:
            self.close()
            self._ahead = Ahead(map(self._encode, self._source.batches(self._epoch, self._start + index)))
            self._next = index
        fed = next(self._ahead, None)
        if fed is None:
            raise DataError(f"expected {self.num_batches} batches, the data ended after {self._next}")
        self._next += 1
        if index < _REPLAYED:
            self._replay[index] = fed
        elif self._replay:
            self._replay = {}
        if self._next == self.num_batches:
            self._turn_over()
        return fed

    def _turn_over(self) -> None:
        """After the last batch: begin the next epoch at once, while Keras validates; a fixed feed waits to be asked."""
        epoch, replay = self._epoch, self._replay
        self.close()
        self._replay = replay
        self._next = len(self._source)
        if not self._is_fixed and not replay:
            self._epoch, self._start, self._next = epoch + 1, 0, 0
            self._ahead = Ahead(map(self._encode, self._source.batches(self._epoch, 0)))

    def close(self) -> None:
        """Stop working ahead."""
        if self._ahead is not None:
            self._ahead.close()
        self._ahead, self._next, self._replay = None, 0, {}
