"""Training, validation and test: seeded, stratified, and never the same picture or group on two sides.

Pictures that are tied (identical, or of one group) form a unit. Units of one stratum (class; for several labels the
rarest one; for numbers the tenth of the range) are put in the order of a hash of seed and name, and dealt from there:
the order does not depend on the other pictures, so adding one moves hardly any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.data.naming import some
from convscope.errors import DataError, PlanError
from convscope.records.samples import Samples, Split

Ties = Iterable[Sequence[int]]


@dataclass(frozen=True)
class _Unit:
    """Tied pictures: their indices, their stratum, and their place in the order of chance."""

    members: tuple[int, ...]
    stratum: int
    chance: bytes


def split_samples(
    samples: Samples, *, val_share: float = 0.2, test_share: float = 0.0, seed: int, same: Ties = ()
) -> Split:
    """Divide samples into train, val and test.

    Args:
        samples: with `given_split` where the data itself says; that is kept, and only a missing val part is taken
            from train.
        val_share: share of the pictures for validation.
        test_share: share for the test; both from 0, together below 1.
        seed: same seed and data, same split.
        same: groups of indices that must stay together besides `samples.groups`: identical pictures, look-alikes.

    Returns:
        Sorted indices; `rule` says how it was made and warns of classes that a part lacks.

    Raises:
        PlanError: shares that can't work.
        DataError: a class with one picture, or a part that stays empty.
    """
    if not (0 <= val_share < 1 and 0 <= test_share < 1 and val_share + test_share < 1):
        raise PlanError(f"expected val and test shares from 0 to below 1 together, got {val_share} and {test_share}")
    if len(samples) == 0:
        raise DataError("expected pictures to split, got none")
    ties = [tuple(int(i) for i in group) for group in same]
    part = np.full(len(samples), "train", dtype="<U5")
    open_to_chance = np.ones(len(samples), bool)
    if samples.given_split is not None:
        part = np.array(samples.given_split, dtype="<U5")
        open_to_chance = part == "train"
        val_share = 0.0 if (part == "val").any() else val_share
        test_share = 0.0 if (part != "train").any() else test_share
    elif val_share or test_share:
        _refuse_lone_classes(samples)
    for stratum in _strata(_units(samples, ties, seed, np.flatnonzero(open_to_chance))):
        _deal(stratum, part, {"test": test_share, "val": val_share})
    found = {name: np.flatnonzero(part == name).astype(np.int64) for name in ("train", "val", "test")}
    if found["train"].size == 0 or (val_share and found["val"].size == 0):
        independent = len(_units(samples, ties, seed, np.arange(len(samples))))
        raise DataError(
            f"expected enough pictures to split, got {len(samples)} in {independent} independent groups; add pictures"
        )
    return Split(**found, rule=_rule(samples, found, ties, seed))


def fold_samples(samples: Samples, k: int, *, seed: int, val_share: float = 0.1, same: Ties = ()) -> list[Split]:
    """k-fold cross-validation: each picture is in `test` exactly once.

    Args:
        samples: `given_split` is ignored.
        k: number of folds, at least 2.
        seed: enters the hash of the file names that fixes the folds.
        val_share: share of each fold's remaining pictures for early stopping and calibration; 0 for none.
        same: as in `split_samples`.

    Raises:
        PlanError: k below 2, or more folds than independent groups.
    """
    ties = [tuple(int(i) for i in group) for group in same]
    units = _units(samples, ties, seed, np.arange(len(samples)))
    if not 2 <= k <= len(units):
        raise PlanError(f"expected folds between 2 and {len(units)} (the independent groups of pictures), got {k}")
    fold = _folds(units, k, len(samples))
    splits = []
    for number in range(k):
        part = np.where(fold == number, "test", "train").astype("<U5")
        rest = [unit for unit in units if fold[unit.members[0]] != number]
        # another order in each fold, so that not the same pictures validate every time
        rest.sort(key=lambda unit: hashlib.sha256(b"%d" % number + unit.chance).digest())
        for stratum in _strata(rest):
            _deal(stratum, part, {"val": val_share})
        found = {name: np.flatnonzero(part == name).astype(np.int64) for name in ("train", "val", "test")}
        rule = _rule(samples, found, ties, seed)
        splits.append(Split(**found, rule=f"fold {number + 1} of {k}; {rule}"))
    return splits


def _folds(units: list[_Unit], k: int, n: int) -> np.ndarray:
    """(n,) int64 fold numbers: each unit goes to the fold that has least of its stratum, then least of all."""
    fold = np.zeros(n, np.int64)
    totals = [0] * k
    for stratum in _strata(units):
        counts = [0] * k
        for unit in stratum:
            chosen = min(range(k), key=lambda f: (counts[f], totals[f]))
            fold[list(unit.members)] = chosen
            counts[chosen] += len(unit.members)
            totals[chosen] += len(unit.members)
    return fold


def _refuse_lone_classes(samples: Samples) -> None:
    if samples.task != "classify" or samples.truth is None:
        return
    counts = np.bincount(samples.truth, minlength=len(samples.classes))
    lone = [name for name, count in zip(samples.classes, counts) if count == 1]
    if lone:
        raise DataError(
            f"expected at least two pictures per class, found one in {some(lone)}; add pictures or leave the class out"
        )


def _units(samples: Samples, ties: list[tuple[int, ...]], seed: int, among: np.ndarray) -> list[_Unit]:
    """Tied pictures among the given indices, in the order of chance."""
    keys, strata = samples.pictures.keys, _stratum_of(samples)
    sizes = np.bincount(strata)
    units = []
    for members in tied(samples, ties, among):
        rarest = min({int(strata[i]) for i in members}, key=lambda s: (sizes[s], s))
        name = min(keys[i] for i in members)
        chance = hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogateescape")).digest()
        units.append(_Unit(members, rarest, chance))
    return sorted(units, key=lambda u: u.chance)


def tied(samples: Samples, ties: Ties, among: np.ndarray) -> list[tuple[int, ...]]:
    """Connected components of "same group" and "same picture" among the given indices, each sorted."""
    parent = list(range(len(samples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    links = [list(group) for group in ties]
    if samples.groups is not None:
        by_name: dict[str, list[int]] = {}
        for i, name in enumerate(samples.groups):
            by_name.setdefault(name, []).append(i)
        links += by_name.values()
    for group in links:
        for i in group[1:]:
            parent[root(i)] = root(group[0])
    components: dict[int, list[int]] = {}
    for i in among:
        components.setdefault(root(int(i)), []).append(int(i))
    return [tuple(sorted(members)) for members in components.values()]


def _stratum_of(samples: Samples) -> np.ndarray:
    """(n,) int64: what each picture is balanced by."""
    truth, n = samples.truth, len(samples)
    if truth is None:
        return np.zeros(n, np.int64)
    if samples.task == "classify":
        return truth.astype(np.int64)
    if samples.task == "multilabel":
        rarity = np.where(truth > 0, truth.sum(axis=0), np.inf)
        return np.where(truth.any(axis=1), rarity.argmin(axis=1), truth.shape[1]).astype(np.int64)
    if samples.task == "detect":
        return _rarest_object(truth, len(samples.classes))
    if samples.task == "segment":
        return np.zeros(n, np.int64)  # masks are read when they are needed, not to divide them
    bins = max(1, min(10, n // 5))
    inner = np.quantile(truth[:, 0], np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(inner, truth[:, 0], side="right").astype(np.int64)


def _rarest_object(truth: np.ndarray, classes: int) -> np.ndarray:
    """(n,) int64: of the classes on each picture the one with fewest boxes in all; `classes` for background."""
    counts = sum((np.bincount(boxes.labels, minlength=classes) for boxes in truth), np.zeros(classes, np.int64))
    return np.array([min(boxes.labels, key=lambda c: counts[c], default=classes) for boxes in truth], np.int64)


def _strata(units: list[_Unit]) -> list[list[_Unit]]:
    """Units by stratum, in the order of chance within each."""
    by_stratum: dict[int, list[_Unit]] = {}
    for unit in units:
        by_stratum.setdefault(unit.stratum, []).append(unit)
    return [by_stratum[s] for s in sorted(by_stratum)]


def _deal(units: list[_Unit], part: np.ndarray, shares: dict[str, float]) -> None:
    """Give each named part its share of the stratum's pictures; at least one unit always stays in train."""
    total = sum(len(u.members) for u in units)
    free = list(units)
    for name, share in shares.items():
        chosen = _choose(free, share * total, total) if share > 0 else set()
        for place in chosen:
            part[list(free[place].members)] = name
        free = [unit for place, unit in enumerate(free) if place not in chosen]


def _choose(free: list[_Unit], target: float, total: int) -> set[int]:
    """Places of the first units that fill `target` pictures as nearly as they can, leaving at least one."""
    chosen: set[int] = set()
    have = 0
    for place, unit in enumerate(free):
        if have >= target or len(chosen) + 1 >= len(free):
            break
        if have + len(unit.members) / 2 <= target:
            chosen.add(place)
            have += len(unit.members)
    if not chosen and len(free) > 1:  # a small class: rather one unit too many than none to validate on
        least = min(range(len(free)), key=lambda place: len(free[place].members))
        if len(free[least].members) * 2 <= total:
            chosen.add(least)
    return chosen


def _rule(samples: Samples, found: dict[str, np.ndarray], ties: list[tuple[int, ...]], seed: int) -> str:
    """How the split was made and what is wrong with it, in words."""
    parts = [f"seed {seed}"]
    if samples.given_split is not None:
        parts = ["as the data says", f"rest by seed {seed}"]
    by = {"classify": "class", "multilabel": "rarest label", "regress": "quantile", "detect": "rarest class"}
    if samples.truth is None:
        parts.append("no truth to stratify by")
    elif samples.task in by:
        parts.append(f"stratified by {by[samples.task]}")
    if samples.groups is not None:
        parts.append(f"{len(set(samples.groups))} groups kept together")
    if ties:
        parts.append(f"{sum(len(t) for t in ties)} same pictures kept together")
    side = np.zeros(len(samples), np.int64)
    for number, name in enumerate(found):
        side[found[name]] = number
    groups = tied(samples, ties, np.arange(len(samples))) if ties or samples.groups is not None else []
    torn = [t for t in groups if len({int(side[i]) for i in t}) > 1]
    if torn:
        parts.append(f"WARNING: {len(torn)} groups of same pictures stand on two sides as the data says")
    parts += _lacking(samples, found)
    return "; ".join(parts)


def _lacking(samples: Samples, found: dict[str, np.ndarray]) -> list[str]:
    if samples.truth is None or samples.task in ("regress", "segment"):
        return []
    truth, words = samples.truth, []
    if samples.task == "detect":
        k = len(samples.classes)
        truth = np.stack([np.bincount(boxes.labels, minlength=k) for boxes in truth]) if len(truth) else truth
    for name, indices in found.items():
        if not indices.size:
            continue
        rows = truth[indices]
        present = np.bincount(rows, minlength=len(samples.classes)) if rows.ndim == 1 else rows.sum(axis=0)
        missing = [c for c, count in zip(samples.classes, present) if count == 0]
        if missing:
            words.append(f"WARNING: no {some(missing)} in {name}")
    return words
