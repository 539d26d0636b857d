"""Measures of faithfulness: what happens to the score when warm places are taken away or brought in."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.explaining.asked import Asked
from convscope.explaining.frames import resize_stack
from convscope.explaining.integrated import blurred

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def order_of(heat: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(n, pixels) rank of each pixel, 0 for the warmest; ties in reading order."""
    large = resize_stack(heat, *size_hw).reshape(len(heat), -1)
    places = np.argsort(-large, axis=1, kind="stable")
    ranks = np.empty_like(places)
    np.put_along_axis(ranks, places, np.broadcast_to(np.arange(large.shape[1]), large.shape), axis=1)
    return ranks


def curves(asked: Asked, heat: np.ndarray, *, steps: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Scores while pixels are deleted, and while they are inserted, warmest first, each (n, steps + 1).

    Deletion goes from the picture to black, insertion from the blurred picture to the picture.

    Source: Petsiuk et al. 2018, algorithm 1.
    """
    pictures = asked.pictures
    size = pictures.shape[1:3]
    ranks = order_of(heat, size).reshape(len(pictures), *size)
    soft, pixels = blurred(pictures), size[0] * size[1]
    lost, gained = np.zeros((asked.n, steps + 1)), np.zeros((asked.n, steps + 1))

    def changed(owners: np.ndarray, variants: np.ndarray) -> np.ndarray:
        step, inserts = variants % (steps + 1), variants > steps
        warm = (ranks[owners] < (step * pixels / steps)[:, None, None])[..., None]
        deleted = np.where(warm, 0, pictures[owners])
        inserted = np.where(warm, pictures[owners], soft[owners])
        return np.where(inserts[:, None, None, None], inserted, deleted)

    for part in asked.sweep(2 * (steps + 1), changed, what="pixels deleted and inserted"):
        inserts = part.variants > steps
        gained[part.owners[inserts], part.variants[inserts] % (steps + 1)] = part.scores[inserts]
        lost[part.owners[~inserts], part.variants[~inserts]] = part.scores[~inserts]
    return lost, gained


def area(curve: np.ndarray) -> np.ndarray:
    """Mean height of curves (n, steps + 1) by the trapezoid rule, (n,)."""
    return (curve[:, 1:] + curve[:, :-1]).mean(axis=1) / 2


def noisy_fill(picture: np.ndarray, removed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with removed pixels (h, w) filled in from their neighbours by solving for smoothness, plus noise.

    Source: Rong et al. 2022, ROAD, section 4.2: each removed pixel is the weighted mean of its neighbours, 1/6 for
    those beside it and 1/12 for those across.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import spsolve

    height, width = removed.shape
    count = int(removed.sum())
    if not count:
        return picture
    number = np.full(removed.shape, -1)
    number[removed] = np.arange(count)
    ys, xs = np.nonzero(removed)
    rows, columns, values = [np.arange(count)], [np.arange(count)], [np.zeros(count)]
    total, right = np.zeros(count), np.zeros((count, picture.shape[2]))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if not (dy or dx):
                continue
            y, x = ys + dy, xs + dx
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            weight = 1 / 12 if dy and dx else 1 / 6
            total += weight * inside
            beside = number[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
            unknown, known = inside & (beside >= 0), inside & (beside < 0)
            rows.append(np.flatnonzero(unknown))
            columns.append(beside[unknown])
            values.append(np.full(int(unknown.sum()), -weight))
            right[known] += weight * picture[y[known], x[known]]
    values[0] = total
    system = csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count))
    solved = spsolve(system.tocsc(), right).reshape(count, -1)
    made = picture.astype(np.float64).copy()
    made[removed] = solved + rng.normal(0, 0.02 * float(np.ptp(picture)), solved.shape)
    return made.astype(np.float32)


def road(asked: Asked, heat: np.ndarray, *, shares: tuple[float, ...] = (0.2, 0.4, 0.6)) -> np.ndarray:
    """Score lost by removing the coldest pixels less that lost by removing the warmest, (n,); larger is better.

    Removed pixels are filled in smoothly, so that the mask itself says nothing.

    Source: Rong et al. 2022, ROAD; least relevant minus most relevant first, halved as in Gildenblat's combined form.
    """
    pictures, size = asked.pictures, asked.pictures.shape[1:3]
    ranks = order_of(heat, size).reshape(len(pictures), *size)
    pixels, k = size[0] * size[1], len(shares)
    scores = np.zeros((asked.n, 2 * k))

    def removed(owners: np.ndarray, variants: np.ndarray) -> np.ndarray:
        made = []
        for owner, variant in zip(owners, variants):
            count = shares[variant % k] * pixels
            gone = ranks[owner] < count if variant < k else ranks[owner] >= pixels - count
            made.append(noisy_fill(pictures[owner], gone, asked.rng()))
        return np.stack(made)

    for part in asked.sweep(2 * k, removed, what="pixels removed and filled in"):
        scores[part.owners, part.variants] = part.scores
    return (scores[:, k:] - scores[:, :k]).mean(axis=1) / 2


def confidence_change(asked: Asked, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the score that is lost, max(0, y - o) / y, and whether it rises, when only warm places show; each (n,).

    Source: Chattopadhyay et al. 2018, section 3.2 (average drop, increase in confidence).
    """
    pictures = asked.pictures
    large = resize_stack(np.maximum(heat, 0), *pictures.shape[1:3])
    peak = large.max(axis=(1, 2), keepdims=True)
    mask = np.divide(large, peak, out=np.zeros_like(large), where=peak > 0)
    shown, _ = asked.scored(pictures * mask[..., None], np.arange(asked.n))
    whole = asked.scores.astype(np.float64)
    drop = np.divide(np.maximum(whole - shown, 0), np.abs(whole), out=np.zeros_like(whole), where=whole != 0)
    return drop, shown > whole


def inside(heat: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the positive heat inside masks (n, h, w) bool, and whether the warmest place lies inside; each (n,).

    Source: Wang et al. 2020, energy-based pointing game, section 4.3; Zhang et al. 2018, pointing game, section 4.
    """
    large = resize_stack(np.maximum(heat, 0), *masks.shape[1:3])
    total = large.sum(axis=(1, 2), dtype=np.float64)
    within = (large * masks).sum(axis=(1, 2), dtype=np.float64)
    energy = np.divide(within, total, out=np.zeros_like(total), where=total > 0)
    warmest = large.reshape(len(large), -1).argmax(axis=1)
    return energy, masks.reshape(len(masks), -1)[np.arange(len(masks)), warmest] & (total > 0)


def boxes_as_masks(boxes_yxyx: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """(n, height, width) bool from one box (top, left, bottom, right) in pixels per picture."""
    masks = np.zeros((len(boxes_yxyx), *size_hw), bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes_yxyx):
        mask[round(top) : round(bottom), round(left) : round(right)] = True
    return masks
