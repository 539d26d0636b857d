"""The fast look-alike search against all pairs compared one by one, and the AUC against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from convscope.data.audit_shortcuts import auc, auc_error
from convscope.data.perceptual import candidate_pairs, difference_hashes, mirrored, near_duplicates, thumbnail


def all_pairs(table: np.ndarray, queries: np.ndarray) -> set[tuple[int, int]]:
    return {
        (q, e)
        for q in range(len(queries))
        for e in range(len(table))
        if bin(int(queries[q]) ^ int(table[e])).count("1") <= 7
    }


@pytest.mark.parametrize("seed", range(3))
def test_candidates_are_exactly_the_pairs_within_seven_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 2**64, 150, np.uint64)
    queries = []
    for h in table[:100]:  # neighbours at every distance from 0 to 10
        for bit in rng.choice(64, rng.integers(0, 11), replace=False):
            h ^= np.uint64(1) << np.uint64(bit)
        queries.append(h)
    wanted = np.array(queries, np.uint64)
    found = {(int(a), int(b)) for q, e in candidate_pairs(table, wanted) for a, b in zip(q, e)}
    assert found == all_pairs(table, wanted)


def test_a_crowded_table_stays_bounded() -> None:
    """20,000 equal hashes would be 200 million pairs; only the nearest in hash order are compared."""
    table = np.full(20_000, 12345, np.uint64)
    assert sum(len(q) for q, _ in candidate_pairs(table, table)) <= 20_000 * 256 * 4


def slow_hash(grey: np.ndarray) -> int:
    """Shrink by area-weighted means written out, then compare neighbours bit by bit (whole reductions only)."""
    rows, columns = grey.shape[0] // 8, grey.shape[1] // 9
    bits = 0
    from PIL import Image

    cells = np.asarray(Image.fromarray(grey.astype(np.float32)).resize((9, 8), Image.Resampling.BILINEAR))
    assert rows >= 1 and columns >= 1
    for r in range(8):
        for c in range(8):
            if cells[r, c + 1] > cells[r, c] + 1.0:
                bits |= 1 << (8 * r + c)
    return bits


def test_hash_bit_by_bit_and_its_mirror() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 63, 1), np.uint8)
    ours, mirror = difference_hashes(grey)
    assert ours == slow_hash(grey[:, :, 0])
    assert mirror == difference_hashes(grey[:, ::-1].copy())[0]


def photographs(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    from PIL import Image

    out = []
    for _ in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9), np.uint8))
        out.append(np.asarray(coarse.resize((180, 140), Image.Resampling.BICUBIC))[:, :, None])
    return out


def test_re_encoded_resized_and_mirrored_copies_are_found_and_nothing_else() -> None:
    import io

    from PIL import Image

    pictures = photographs(120)
    n = len(pictures)
    for p in pictures[:40]:
        buffer = io.BytesIO()
        Image.fromarray(p[:, :, 0]).save(buffer, "JPEG", quality=60)
        pictures.append(np.asarray(Image.open(buffer))[:, :, None])
    for p in pictures[40:80]:
        pictures.append(np.asarray(Image.fromarray(p[:, :, 0]).resize((97, 71), Image.Resampling.LANCZOS))[:, :, None])
    for p in pictures[80:120]:
        pictures.append(p[:, ::-1].copy())
    hashed = [difference_hashes(p) for p in pictures]
    hashes = np.array([h for h, _ in hashed], np.uint64)
    mirrors = np.array([m for _, m in hashed], np.uint64)
    thumbs = np.stack([thumbnail(p) for p in pictures])
    near = set(near_duplicates(hashes, thumbs))
    planted = {(i, n + i) for i in range(80)}
    assert len(near & planted) >= 0.99 * 80 and not near - planted
    turned = set(mirrored(hashes, mirrors, thumbs))
    planted_mirrors = {(i, n + i) for i in range(80, 120)}
    assert len(turned & planted_mirrors) >= 0.95 * 40 and not turned - planted_mirrors


@pytest.mark.parametrize("seed", range(4))
def test_auc_is_the_share_of_pairs_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 12, 80).astype(float)
    positive = rng.random(80) < 0.4
    pairs = [(p > q) + 0.5 * (p == q) for p in scores[positive] for q in scores[~positive]]
    assert auc(scores, positive) == pytest.approx(np.mean(pairs))
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_the_interval_covers_a_known_area() -> None:
    """Two normals one standard deviation apart: the area is Phi(1 / sqrt 2) = 0.7602."""
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    truth = norm.cdf(1 / np.sqrt(2))
    hits = 0
    for _ in range(400):
        scores = np.concatenate([rng.normal(1, 1, 40), rng.normal(0, 1, 60)])
        area = auc(scores, np.arange(100) < 40)
        hits += abs(area - truth) <= 1.96 * auc_error(area, 40, 60)
    assert 0.91 <= hits / 400 <= 0.985
