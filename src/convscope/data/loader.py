"""Batches by number: sample i of epoch e depends on (seed, e, i) alone, whoever asks, in whatever order.

So a run can resume at any batch from two integers, and the number of threads changes nothing but the time taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from convscope.data.budget import CacheBudget
from convscope.data.chance import draw, epoch_order, is_mixed, partner_indices
from convscope.data.fit import freed_blocks_kept
from convscope.data.mosaic import Tiles, draw_tiles, with_mosaics
from convscope.data.prefetch import Submit, at_once, default_workers, prefetched
from convscope.data.rows import DROPPED, PictureRows, Taken, Unreadable
from convscope.errors import DataError, PlanError
from convscope.records.augmentation import Augmentation
from convscope.records.geometry import Preprocess
from convscope.records.samples import Batch, Samples, SetAside
from convscope.records.team import ALONE, Team

AHEAD = 3  # batches in flight beyond the one in use
_NOTHING, _SHARE = Augmentation(), CacheBudget()
_LEAST_CHUNK = 4  # pictures that one task of a thread reads at least


@dataclass(eq=False)
class Loader:
    """Serve samples as batches.

    Args:
        samples: what to serve.
        preprocess: the frame that pictures are fitted to. With fit="native" or "as-is" the pictures of one batch must
            have one size; batch_size=1 always works.
        batch_size: pictures per batch; the last batch may be smaller.
        seed: of the order and of the augmentation.
        shuffle: a new order in each epoch.
        augmentation: what to draw for each sample; the loader draws, layers/augment.py applies. Mosaics, which are
            pictures with boxes of their own, are made here.
        calm_from: from this epoch on pictures stay apart: no mosaic, MixUp or CutMix; None for never.
        workers: decoding threads; None is one for each usable core.
        cache: where decoded pictures may stay for the next epoch, and how many bytes of them.
        fast_decode: JPEGs much larger than the frame are decoded at a reduced size (by 1/255 different on average).
        drop_last: leave out a last batch that is smaller than the others.
        unreadable: a picture that can't be read is "replace"d by the next readable one in index order (batches keep
            their size; `Batch.indices` and the truth are the substitute's), "drop"ped from its batch, or "raise"s.
        team: who else reads these batches; this loader then reads its own share of each. In order (`shuffle` off) the
            pictures that can't be shared out evenly come last, as one more batch that everybody reads.

    Raises:
        PlanError: options that can't work.
        DataError: no samples.
    """

    samples: Samples
    preprocess: Preprocess
    _: KW_ONLY
    batch_size: int
    seed: int = 0
    shuffle: bool = False
    augmentation: Augmentation = _NOTHING
    calm_from: int | None = None
    workers: int | None = None
    cache: CacheBudget = _SHARE
    fast_decode: bool = True
    drop_last: bool = False
    unreadable: Unreadable = "replace"
    team: Team = ALONE
    _cuts: list[slice] = field(init=False, repr=False)
    _rows: PictureRows = field(init=False, repr=False)
    _order: tuple[int, np.ndarray] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the options; nothing is read yet."""
        n = len(self.samples)
        if n == 0:
            raise DataError("expected at least one picture to load, got none; choose another folder or split")
        if self.batch_size < 1:
            raise PlanError(f"expected a batch size of at least 1, got {self.batch_size}")
        if self.workers is not None and self.workers < 1:
            raise PlanError(f"expected at least 1 worker, got {self.workers}")
        if self.drop_last and self.batch_size > n:
            raise PlanError(
                f"expected a batch size of at most the {n} pictures, got {self.batch_size}; "
                f"choose a batch size of {n} or less"
            )
        self._cuts = self.team.cuts(n, self.batch_size, even=not self.shuffle)
        self._rows = PictureRows(
            self.samples,
            self.preprocess,
            budget=self.cache,
            fast_decode=self.fast_decode,
            unreadable=self.unreadable,
        )

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(self.samples) // self.batch_size if self.drop_last else len(self._cuts)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Pictures that could not be read so far, each once, in index order."""
        return self._rows.set_aside

    @property
    def cache_words(self) -> str:
        """Where decoded pictures are kept, in words; known after the first picture."""
        return self._rows.cache_words

    def indices(self, epoch: int, i: int) -> np.ndarray:
        """Which samples batch `i` of `epoch` asks for: (n,) int64.

        Raises:
            IndexError: there is no such batch.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"expected a batch number from 0 to {len(self) - 1}, got {i}")
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, epoch_order(self.seed, epoch, len(self.samples), self.shuffle))
        found = self._order[1][self._cuts[i]]
        return found if self.team.is_alone else found[self.team.rows(len(found))]

    def batch(self, epoch: int, i: int) -> Batch:
        """Return batch `i` of `epoch`, read in this thread.

        Raises:
            IndexError: there is no such batch.
            PictureError: a picture can't be read and unreadable="raise".
            DataError: no picture can be read, or the pictures of a batch differ in size.
        """
        return self._finish(self._start(at_once, (epoch, i)))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of `epoch` from number `start` on; threads read a few batches ahead.

        With unreadable="drop" a batch of which nothing is left is passed over.
        """
        numbers = ((epoch, i) for i in range(start, len(self)))
        workers = self.workers or default_workers()
        ready = prefetched(numbers, self._start, self._finish, workers=workers, ahead=AHEAD)
        with freed_blocks_kept(workers), closing(ready):
            for batch in ready:
                if len(batch.indices):
                    yield batch

    def _start(self, submit: Submit, number: tuple[int, int]) -> _Job:
        epoch, i = number
        indices = self.indices(epoch, i)
        job, change = _Job(epoch, self._read(submit, indices)), self._changes(epoch)
        if not change.is_off:
            job.draws = submit(_draw, change, self.seed, epoch, indices)
        if is_mixed(change):
            partners = partner_indices(change, self.seed, epoch, indices, len(self.samples))
            job.partners = self._read(submit, partners)
        if change.mosaic:
            tiles = draw_tiles(change.mosaic, seed=self.seed, epoch=epoch, indices=indices, n=len(self.samples))
            if len(tiles.rows):
                job.tiles, job.others = tiles, self._read(submit, tiles.partners)
        return job

    def _changes(self, epoch: int) -> Augmentation:
        is_calm = self.calm_from is not None and epoch >= self.calm_from
        return self.augmentation.calmed() if is_calm else self.augmentation

    def _read(self, submit: Submit, indices: np.ndarray) -> _Part:
        """Start reading pictures in chunks, straight into one array where their shape is known."""
        like = self._rows.like()
        images = None if like is None else np.empty((len(indices), *like.shape), like.dtype)
        step = max(_LEAST_CHUNK, math.ceil(len(indices) / (self.workers or default_workers())))
        chunks = range(0, len(indices), step)
        cuts = [slice(k, k + step) for k in chunks]
        taken = [submit(self._rows.take, indices[cut], None if images is None else images[cut]) for cut in cuts]
        return _Part(images, step, taken)

    def _finish(self, job: _Job) -> Batch:
        images, indices, kept = self._join(job.own)
        draws = None if job.draws is None else {name: value[kept] for name, value in job.draws.result().items()}
        truth = self._truth(indices)
        if job.tiles is not None and job.others is not None and truth is not None:
            others = self._partners(job.others, kept)
            images, truth = with_mosaics((images, truth), others, job.tiles, self.preprocess)
        if job.partners is None:
            return Batch(images, truth, indices, job.epoch, draws)
        return Batch(images, truth, indices, job.epoch, draws, *self._partners(job.partners, kept))

    def _partners(self, part: _Part, kept: np.ndarray) -> tuple[np.ndarray, Any]:
        """Partner pictures with their truth, or None; nothing may be missing."""
        pictures, chosen, has_partner = self._join(part)
        if not (kept.all() and has_partner.all()):
            raise DataError("expected every picture to be readable to be mixed with others, or unreadable='replace'")
        return pictures, self._truth(chosen)

    def _truth(self, indices: np.ndarray) -> np.ndarray | None:
        return None if self.samples.truth is None else self.samples.truth[indices]

    def _join(self, part: _Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Wait for the chunks: pictures, their indices, and which of those asked for are among them."""
        taken: list[Taken] = [future.result() for future in part.taken]
        indices = np.concatenate([t.indices for t in taken])
        others = {k * part.step + position: row for k, t in enumerate(taken) for position, row in t.others.items()}
        kept = indices != DROPPED
        if part.images is None:
            return self._stack(list(others.values()), indices[kept]), indices[kept], kept
        images = part.images
        if others:  # pictures with more than 8 bits: the whole batch becomes float32
            images = images.astype(np.float32)
            for position, row in others.items():
                images[position] = row
        return (images if kept.all() else images[kept]), indices[kept], kept

    def _stack(self, rows: list[np.ndarray], indices: np.ndarray) -> np.ndarray:
        for row, index in zip(rows, indices.tolist()):
            if row.shape != rows[0].shape:
                raise DataError(
                    f"expected pictures of one size in a batch with fit={self.preprocess.fit}, got {rows[0].shape} and "
                    f"{row.shape} ({self.samples.pictures.keys[index]}); use batch_size=1 or fit='letterbox'"
                )
        return np.stack(rows) if rows else np.empty((0, 0, 0, self.preprocess.channels), np.uint8)


@dataclass
class _Part:
    """Pictures being read: the array they go to, or None, and the chunks of `step` pictures."""

    images: np.ndarray | None
    step: int
    taken: list[Future[Taken]]


@dataclass
class _Job:
    """A batch being made."""

    epoch: int
    own: _Part
    draws: Future[dict[str, np.ndarray]] | None = None
    partners: _Part | None = None
    tiles: Tiles | None = None
    others: _Part | None = None  # the pictures that mosaics are filled with


def _draw(augmentation: Augmentation, seed: int, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    return draw(augmentation, seed=seed, epoch=epoch, indices=indices)
