"""TrainingJob: what is trained on; its fingerprint, its loaders and its features computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.distribution import by_itself, gathered
from convscope.backend.selection import load_keras
from convscope.data.budget import CacheBudget
from convscope.data.chance import epoch_order
from convscope.data.loader import Loader
from convscope.errors import DataError
from convscope.records.augmentation import Augmentation
from convscope.records.geometry import Preprocess
from convscope.records.progress import Progress, silent
from convscope.records.samples import Batch, Samples, truth_bytes
from convscope.records.team import ALONE, Team
from convscope.training.plan import Plan
from convscope.training.weights import read_variables, write_variables


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """What is trained on and how.

    Attributes:
        train, val: the two parts of the data; val may be None (then the last epoch counts as the best).
        preprocess: the frame that pictures are fitted to.
        plan: all choices.
        data_sha256: the caller's hash of the data; "" takes one over names, truth and classes.
        team: the processes that train together; each reads its share of every batch.
    """

    train: Samples
    val: Samples | None
    preprocess: Preprocess
    plan: Plan
    data_sha256: str = ""
    team: Team = ALONE

    def fingerprint(self) -> str:
        """SHA-256 over the names, truth and classes of both parts, and `data_sha256`."""
        digest = hashlib.sha256(self.data_sha256.encode())
        for part in (self.train, self.val):
            if part is None:
                continue
            digest.update("\0".join([*part.classes, "", *part.pictures.keys]).encode("utf-8", "surrogateescape"))
            digest.update(truth_bytes(part.truth))
        return digest.hexdigest()

    def train_loader(self, cache_folder: Path | None = None, *, calm_from: int | None = None) -> Loader:
        """Shuffled, augmented as planned; from epoch `calm_from` on pictures are not mixed any more."""
        loader = self._loader(self.train, cache_folder, shuffle=True, augmentation=self.plan.augment)
        return replace(loader, calm_from=calm_from)

    def val_loader(self, cache_folder: Path | None = None) -> Loader | None:
        """In order, never augmented; None without a validation part."""
        if self.val is None or len(self.val) == 0:
            return None
        return self._loader(self.val, cache_folder, shuffle=False, augmentation=Augmentation())

    def _loader(self, part: Samples, folder: Path | None, *, shuffle: bool, augmentation: Augmentation) -> Loader:
        plan = self.plan
        total = len(self.train) + (0 if self.val is None else len(self.val))
        memory = None if plan.cache_mb is None else int(plan.cache_mb * 1e6 * len(part) / total)
        return Loader(
            part,
            self.preprocess,
            batch_size=plan.batch_size,
            seed=plan.seed,
            shuffle=shuffle,
            augmentation=augmentation,
            workers=plan.workers or None,
            cache=CacheBudget(memory_bytes=memory, folder=folder),
            fast_decode=plan.reduced_decoding,
            unreadable="raise" if plan.strict else "replace",
            team=self.team,
        )


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Features in memory as batches, in the loader's order for the same seed and epoch; a BatchSource.

    Attributes:
        features: (n, f) float32; truth: (n, ...).
    """

    features: np.ndarray
    truth: np.ndarray
    batch_size: int
    seed: int
    shuffle: bool
    team: Team = ALONE

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._cuts())

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from place `start` on."""
        order = epoch_order(self.seed, epoch, len(self.features), self.shuffle)
        for cut in self._cuts()[start:]:
            chosen = order[cut]
            if not self.team.is_alone:
                chosen = chosen[self.team.rows(len(chosen))]
            yield Batch(self.features[chosen], self.truth[chosen], chosen, epoch)

    def _cuts(self) -> list[slice]:
        return self.team.cuts(len(self.features), self.batch_size, even=not self.shuffle)


def compute_features(
    extractor: Any, loader: Loader, *, shuffle: bool, what: str, progress: Progress = silent
) -> FeatureSource:
    """Run a frozen network once over all pictures, unaugmented; a team shares the pictures out.

    Args:
        extractor: Keras model, pictures -> (n, f).
        loader: its draws are left unused.
        shuffle: whether the result comes in a new order in each epoch.
        what: name of the step for `progress`.
        progress: told after every batch.

    Raises:
        DataError: pictures without truth.
    """
    truth, team = loader.samples.truth, loader.team
    if truth is None:
        raise DataError("expected pictures with truth to train on, got none; add labels")
    if team.is_alone:
        features, done = _run_over(extractor, loader, what, progress)
    else:
        mine = np.arange(team.rank, len(truth), team.processes)
        own = replace(loader, samples=loader.samples.subset(mine), team=ALONE, shuffle=False)
        with by_itself():  # every process runs its own pictures on a copy of its own
            found, whether = _run_over(_copy(extractor), own, what, progress)
        features = np.zeros((len(truth), found.shape[1]), np.float32)
        done = np.zeros(len(truth), bool)
        for rank, (rows, read) in enumerate(zip(gathered(team, found), gathered(team, whether))):
            features[rank :: team.processes], done[rank :: team.processes] = rows, read
    return FeatureSource(features[done], truth[done], loader.batch_size, loader.seed, shuffle, team)


def _copy(model: Any) -> Any:
    copy = load_keras().models.clone_model(model)
    write_variables(copy.variables, read_variables(model.variables), "copy")
    return copy


def _run_over(extractor: Any, loader: Loader, what: str, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Features of all pictures (n, f), and (n,) which of them could be read."""
    features: np.ndarray | None = None
    done = np.zeros(len(loader.samples), bool)
    for number, batch in enumerate(loader.batches(0), start=1):
        out = np.asarray(extractor.predict_on_batch(np.asarray(batch.images, np.float32)), np.float32)
        if features is None:
            features = np.zeros((len(loader.samples), out.shape[1]), np.float32)
        features[batch.indices] = out
        done[batch.indices] = True
        progress(what, number, len(loader))
    assert features is not None  # a loader has at least one batch
    return features, done
