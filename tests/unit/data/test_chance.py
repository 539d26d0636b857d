"""Chance: the same numbers for the same (seed, epoch, index), whatever the batch; and numbers that are fair."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from convscope.data.chance import draw, epoch_order, mix_truth, partner_indices, uniforms
from convscope.errors import PlanError
from convscope.records.augmentation import RAND_AUGMENT_OPS, Augmentation

ALL = Augmentation(True, True, 20, 0.2, 0.1, 0.3, 0.2, 0.2, 0.2, 0.1, 1.0, 0.05, 0.3, 8, 0.5, 0.3, 1.0)
MANY = np.arange(4000)


def test_order_is_pinned() -> None:
    assert epoch_order(7, 3, 12, True).tolist() == [3, 8, 7, 6, 2, 1, 10, 0, 11, 9, 5, 4]
    assert epoch_order(7, 3, 4, False).tolist() == [0, 1, 2, 3]


def test_draws_are_pinned() -> None:
    """Philox as published: counter (position, index, epoch, purpose), key = seed; 53 bits."""
    raw = np.random.Philox(key=7, counter=[0, 5, 2, 1]).random_raw(3)
    assert uniforms(7, 2, np.array([5]))[0, :3].tolist() == [(int(r) >> 11) / 2**53 for r in raw]
    assert np.round(uniforms(7, 2, np.array([5]))[0, :3], 6).tolist() == [0.593569, 0.465999, 0.062269]


def test_each_order_is_a_permutation_and_epochs_differ() -> None:
    orders = [epoch_order(0, epoch, 1000, True) for epoch in range(3)]
    assert all(sorted(o.tolist()) == list(range(1000)) for o in orders)
    assert abs(stats.spearmanr(orders[0], orders[1]).statistic) < 0.12
    assert not np.array_equal(orders[0], epoch_order(1, 0, 1000, True))


def test_a_sample_draws_the_same_in_every_batch() -> None:
    whole = draw(ALL, seed=3, epoch=1, indices=np.arange(8))
    mixed = draw(ALL, seed=3, epoch=1, indices=np.array([6, 900, 1]))
    assert set(whole) == set(mixed)
    for name, values in whole.items():
        assert values.dtype == np.float32
        assert np.array_equal(values[[6, 1]], mixed[name][[0, 2]]), name


def test_switching_one_option_on_leaves_the_others_draws() -> None:
    only = draw(Augmentation(rotate_deg=20), seed=3, epoch=1, indices=np.arange(8))
    assert list(only) == ["rotate_deg"]
    assert np.array_equal(only["rotate_deg"], draw(ALL, seed=3, epoch=1, indices=np.arange(8))["rotate_deg"])


def test_seed_epoch_and_index_all_matter() -> None:
    seen = {tuple(uniforms(s, e, np.array([i]))[0]) for s in (0, 1) for e in (0, 1) for i in (0, 1)}
    assert len(seen) == 8
    assert len({x for row in seen for x in row}) == 8 * len(next(iter(seen)))  # streams never overlap


def test_numbers_are_uniform_and_independent() -> None:
    u = uniforms(0, 0, MANY)
    assert min(stats.kstest(u[:, k], "uniform").pvalue for k in range(u.shape[1])) > 1e-4
    related = np.corrcoef(u.T) - np.eye(u.shape[1])
    assert np.abs(related).max() < 5 / np.sqrt(len(MANY))


def test_draws_keep_to_their_strengths() -> None:
    d = draw(ALL, seed=1, epoch=0, indices=MANY)
    assert 0.45 < d["flip_horizontal"].mean() < 0.55
    for name, low, high in (
        ("rotate_deg", -20, 20),
        ("scale", 0.8, 1.2),
        ("shift", -0.1, 0.1),
        ("brightness", 0.8, 1.2),
        ("hue", -0.1, 0.1),
        ("blur", 0, 1),
        ("noise", 0, 0.05),
    ):
        span = (high - low) * 0.02
        assert low <= d[name].min() < low + span, name
        assert high - span < d[name].max() <= high + 1e-6, name
    top, left, tall, wide = d["crop"].T
    assert tall.min() >= 0.7 - 1e-6
    assert (top + tall).max() <= 1 + 1e-6
    assert (left + wide).max() <= 1 + 1e-6
    area = (d["erase"][:, 2] - d["erase"][:, 0]) * (d["erase"][:, 3] - d["erase"][:, 1])
    assert area.max() <= 0.3 + 1e-6
    assert 0.45 < (area > 0).mean() < 0.55
    assert np.array_equal(d["noise_key"], np.floor(d["noise_key"]))
    counts = np.bincount(d["rand_augment"][..., 0].astype(int).ravel(), minlength=len(RAND_AUGMENT_OPS))
    assert stats.chisquare(counts).pvalue > 1e-4
    assert set(np.unique(d["rand_augment"][..., 1])) == {-0.5, 0.5}


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_share_follows_beta(alpha: float) -> None:
    d = draw(Augmentation(mixup=alpha), seed=0, epoch=0, indices=MANY)
    assert stats.kstest(d["mix_keep"], stats.beta(alpha, alpha).cdf).pvalue > 1e-4
    assert np.array_equal(d["mix_keep"], d["mix_blend"])
    assert (d["mix_box"][:, 2] <= d["mix_box"][:, 0]).all()


def test_cutmix_keeps_what_its_box_leaves() -> None:
    d = draw(Augmentation(cutmix=1.0), seed=0, epoch=0, indices=MANY)
    box = d["mix_box"]
    assert np.allclose(d["mix_keep"], 1 - (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), atol=1e-6)
    assert (d["mix_blend"] == 1).all()


def test_partners_are_fair_and_never_oneself() -> None:
    one = Augmentation(mixup=0.2)
    partners = partner_indices(one, 0, 0, MANY, 4000)
    assert partners.dtype == np.int64
    assert (partners != MANY).all()
    assert stats.kstest(partners / 4000, "uniform").pvalue > 1e-4
    assert np.array_equal(partners[[7, 3]], partner_indices(one, 0, 0, np.array([7, 3]), 4000))
    assert partner_indices(one, 0, 0, np.array([0]), 1).tolist() == [0]
    assert partner_indices(Augmentation(), 0, 0, np.array([4, 2]), 9).tolist() == [4, 2]


def test_truth_is_mixed_by_weight() -> None:
    own, other = np.float32([[1, 0], [0, 1]]), np.float32([[0, 1], [0, 1]])
    mixed = mix_truth(own, other, {"mix_keep": np.float32([0.25, 0.6])})
    assert np.allclose(mixed, [[0.25, 0.75], [0, 1]])
    assert mixed.dtype == np.float32
    assert np.array_equal(mix_truth(own, other, {}), own)


def test_off_draws_nothing() -> None:
    assert draw(Augmentation(), seed=0, epoch=0, indices=np.arange(3)) == {}
    assert all(not v or k in ("rand_augment_strength", "mix_chance") for k, v in asdict(Augmentation()).items())


def test_negative_seed_is_refused() -> None:
    with pytest.raises(PlanError, match="seed and an epoch of at least 0, got seed -1"):
        epoch_order(-1, 0, 4, True)
