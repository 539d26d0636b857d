"""Splits: every picture once, shares kept, ties never torn, and hardly anything moves when a picture is added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data.files_source import FilesSource
from convscope.data.split import fold_samples, split_samples
from convscope.errors import DataError, PlanError
from convscope.records.samples import Samples, Split


def made(counts: list[int], groups: list[str] | None = None, given_split: list[str] | None = None) -> Samples:
    truth = np.repeat(np.arange(len(counts)), counts)
    keys = tuple(f"{c}/{i:05d}.png" for i, c in enumerate(truth))
    return Samples(
        FilesSource(Path(), keys),
        truth,
        "classify",
        tuple(f"c{i}" for i in range(len(counts))),
        groups=None if groups is None else tuple(groups),
        given_split=None if given_split is None else tuple(given_split),
    )


def covers(split: Split, n: int) -> None:
    joined = np.concatenate([split.train, split.val, split.test])
    assert sorted(joined.tolist()) == list(range(n))


def side_of(split: Split, n: int) -> np.ndarray:
    side = np.zeros(n, int)
    side[split.val], side[split.test] = 1, 2
    return side


COUNTS = st.lists(st.integers(3, 60), min_size=1, max_size=5)


@settings(deadline=None, max_examples=80)
@given(COUNTS, st.floats(0.05, 0.4), st.floats(0, 0.4), st.integers(0, 9))
def test_shares_hold_in_every_class(counts: list[int], val: float, test: float, seed: int) -> None:
    samples = made(counts)
    split = split_samples(samples, val_share=val, test_share=test, seed=seed)
    covers(split, len(samples))
    assert samples.truth is not None
    for c, count in enumerate(counts):
        for part, share in ((split.val, val), (split.test, test)):
            got = int((samples.truth[part] == c).sum())
            assert abs(got - share * count) <= 1.01 or got == 0
        assert (samples.truth[split.train] == c).any(), "each class is learnt"
        assert (samples.truth[split.val] == c).any(), "and scored"


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_ties_are_never_torn(data: st.DataObject) -> None:
    n = data.draw(st.integers(12, 80))
    groups = [f"g{data.draw(st.integers(0, n // 3))}" for _ in range(n)]
    same = data.draw(st.lists(st.lists(st.integers(0, n - 1), min_size=2, max_size=4, unique=True), max_size=6))
    samples = made([n // 2, n - n // 2], groups)
    try:
        split = split_samples(samples, seed=1, same=same)
    except DataError:  # everything hangs together
        return
    covers(split, n)
    side = side_of(split, n)
    for name in set(groups):
        assert len({side[i] for i in range(n) if groups[i] == name}) == 1
    for group in same:
        assert len({side[i] for i in group}) == 1
    if len(components(groups, same)) >= 4:
        folds = fold_samples(samples, 2, seed=1, same=same)
        for fold in folds:
            assert all(len({side_of(fold, n)[i] for i in group}) == 1 for group in same)


def components(groups: list[str], same: list[list[int]]) -> list[set[int]]:
    """The literal twin: merge overlapping sets until none overlap."""
    sets = [{i for i, g in enumerate(groups) if g == name} for name in set(groups)] + [set(s) for s in same]
    merged = True
    while merged:
        merged = False
        for a in range(len(sets)):
            for b in range(a + 1, len(sets)):
                if sets[a] & sets[b]:
                    sets[a] |= sets.pop(b)
                    merged = True
                    break
            if merged:
                break
    return sets


def test_adding_a_picture_moves_few_others() -> None:
    old, new = made([300, 200]), made([301, 200])
    keys_old, keys_new = list(old.pictures.keys), list(new.pictures.keys)
    one, two = split_samples(old, seed=4), split_samples(new, seed=4)
    before = dict(zip(keys_old, side_of(one, 500)))
    # the added picture shifts numbers in the keys after it, so compare by the keys that both have
    after = dict(zip(keys_new, side_of(two, 501)))
    common = set(before) & set(after)
    assert len(common) >= 300
    assert sum(before[k] != after[k] for k in common) <= 3


def test_same_seed_same_split_other_seed_another() -> None:
    samples = made([60, 60])
    first, again, other = (split_samples(samples, seed=s).val.tolist() for s in (1, 1, 2))
    assert first == again != other
    order = np.random.default_rng(0).permutation(120)
    shuffled = split_samples(samples.subset(order), seed=1)
    assert {samples.pictures.keys[order[i]] for i in shuffled.val} == {samples.pictures.keys[i] for i in first}


def test_given_split_is_kept_and_a_missing_val_is_taken_from_train() -> None:
    parts = (["train"] * 20 + ["test"] * 10) * 2
    split = split_samples(made([30, 30], given_split=parts), seed=0)
    assert split.test.tolist() == [i for i, p in enumerate(parts) if p == "test"]
    assert len(split.val) == 8 and "as the data says" in split.rule
    whole = (["train"] * 20 + ["val"] * 10) * 2
    kept = split_samples(made([30, 30], given_split=whole), seed=0, test_share=0.3, same=[(0, 20)])
    assert kept.val.tolist() == [i for i, p in enumerate(whole) if p == "val"] and kept.test.size == 0
    assert "WARNING: 1 groups of same pictures stand on two sides" in kept.rule


@settings(deadline=None, max_examples=40)
@given(COUNTS, st.integers(2, 5), st.integers(0, 5))
def test_folds_test_each_picture_once_and_are_even(counts: list[int], k: int, seed: int) -> None:
    samples = made(counts)
    if k > len(samples):
        return
    folds = fold_samples(samples, k, seed=seed)
    assert len(folds) == k
    assert sorted(np.concatenate([f.test for f in folds]).tolist()) == list(range(len(samples)))
    assert samples.truth is not None
    for c in range(len(counts)):
        per_fold = [int((samples.truth[f.test] == c).sum()) for f in folds]
        assert max(per_fold) - min(per_fold) <= 1
    sizes = [len(f.test) for f in folds]
    assert max(sizes) - min(sizes) <= len(counts)
    for fold in folds:
        covers(fold, len(samples))


def test_regression_is_balanced_over_the_range() -> None:
    values = np.random.default_rng(0).gamma(2, 2, (400, 1)).astype(np.float32)
    samples = Samples(FilesSource(Path(), tuple(f"{i}.png" for i in range(400))), values, "regress", ("v",))
    split = split_samples(samples, seed=0)
    for q in (0.1, 0.5, 0.9):
        limit = np.quantile(values, q)
        assert abs((values[split.val] <= limit).mean() - q) < 0.03


def test_several_labels_are_balanced_by_the_rarest() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((300, 3)) < (0.5, 0.3, 0.04)).astype(np.float32)
    samples = Samples(FilesSource(Path(), tuple(f"{i}.png" for i in range(300))), truth, "multilabel", ("a", "b", "c"))
    split = split_samples(samples, seed=0)
    rare = truth[:, 2].sum()
    assert abs(truth[split.val][:, 2].sum() - 0.2 * rare) <= 1


def test_refusals() -> None:
    with pytest.raises(DataError, match="found one in c1"):
        split_samples(made([9, 1]), seed=0)
    with pytest.raises(PlanError, match="shares"):
        split_samples(made([9, 9]), seed=0, val_share=0.7, test_share=0.3)
    with pytest.raises(DataError, match="enough pictures"):
        split_samples(made([5, 5], groups=["one"] * 10), seed=0)
    with pytest.raises(PlanError, match="between 2 and 3"):
        fold_samples(made([5, 5], groups=["a", "b", "c", "a", "b"] * 2), 4, seed=0)
    lacking = split_samples(made([40, 2], groups=[f"g{i}" for i in range(40)] + ["z", "z"]), seed=0)
    assert "WARNING: no c1 in val" in lacking.rule


@pytest.mark.timeout(120)  # seconds; comparing all pairs would take an hour
def test_a_hundred_thousand_pictures_are_split() -> None:
    split = split_samples(made([50_000, 50_000]), seed=0, test_share=0.1)
    assert len(split.test) == pytest.approx(10_000, rel=0.02)
