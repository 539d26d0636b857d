"""Which pictures stand in one batch, for messages about it: by name, and those with NaN before all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.draw.numbers import short, visible
from convscope.training.job import TrainingJob

_SHOWN, _LENGTH = 4, 60


def batch_keys(job: TrainingJob, epoch: int, place: int) -> list[str]:
    """Names of the pictures of training batch `place` of `epoch`, both from 0, in order."""
    keys = job.train.pictures.keys
    return [keys[i] for i in job.train_loader().indices(epoch, place).tolist()]


def batch_words(job: TrainingJob, epoch: int, place: int) -> str:
    """The pictures of a batch in words; only those that hold NaN or infinity, where there are such."""
    batch = job.train_loader().batch(epoch, place)
    keys = [job.train.pictures.keys[i] for i in batch.indices.tolist()]
    if batch.images.dtype.kind == "f":
        finite = np.isfinite(batch.images.reshape(len(keys), -1)).all(axis=1)
        if not finite.all():
            return f"NaN or infinity in {_listed([k for k, fine in zip(keys, finite, strict=True) if not fine])}"
    return f"pictures {_listed(keys)}"


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(short(visible(k), _LENGTH) for k in keys[:_SHOWN])
    return f"{shown} and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else shown
