"""Feed: batches of pictures as `model.fit` takes them, equal on all back ends, made ahead in a thread.

Augmentation happens here, outside the model, so any Keras model is fitted as it is. Pictures leave as float32; the
last batch of an epoch is shorter (JAX compiles once more for it, seconds per run; padding would change batch norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from convscope.backend.selection import load_keras
from convscope.errors import DataError
from convscope.records.samples import Batch
from convscope.training.ahead import Ahead

_PyDataset: Any = load_keras().utils.PyDataset

Fed = tuple[Any, ...]  # pictures and targets, as arrays or dicts of arrays; weights where there are some

_REPLAYED = 2  # Keras reads the first two batches once to learn their shapes, before the epoch begins


class BatchSource(Protocol):
    """What a feed needs of a loader: a pure function of (epoch, place)."""

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from place `start` on, in order."""
        ...


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
