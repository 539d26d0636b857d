"""All chance in the data comes from here: a pure function of (seed, epoch, sample index), never of the batch.

Each sample owns one stream of NumPy's Philox generator, whose raw output NumPy promises never to change. The lowest
word of the counter is the position in the stream; epoch and index sit above it, so streams never overlap. Each use
has a fixed place in the stream: switching one option on does not change what the others draw.
"""

from __future__ import annotations

import operator

import numpy as np
from scipy.special import betaincinv

from convscope.errors import PlanError
from convscope.records.augmentation import RAND_AUGMENT_OPS, Augmentation

_SAMPLE, _ORDER, MOSAIC = 1, 2, 3  # what a stream is for: the highest word of its counter
# fmt: off
_NAMES = (
    "flip_horizontal", "flip_vertical", "rotate", "scale", "shift_y", "shift_x", "crop_h", "crop_w", "crop_y", "crop_x",
    "brightness", "contrast", "saturation", "hue", "blur", "noise", "noise_key_0", "noise_key_1",
    "erase", "erase_area", "erase_aspect", "erase_y", "erase_x", "mix", "mix_kind", "mix_y", "mix_x", "partner",
)
# fmt: on
_SLOT = {name: place for place, name in enumerate(_NAMES)}
_RAND = len(_NAMES)  # two numbers for each of at most eight RandAugment operations follow
_MIXED = _RAND + 16  # whether MixUp or CutMix happens at all
_WIDTH = _MIXED + 1
_ASPECT = np.log(3.3)  # erased rectangles are at most 3.3 times as tall as wide, or the reverse (Zhong et al. 2020)


def _raw(seed: int, epoch: int, index: int, purpose: int, count: int) -> np.ndarray:
    return np.random.Philox(key=seed, counter=[0, index, epoch, purpose]).random_raw(count)


def _check_seed(seed: int, epoch: int) -> None:
    if operator.index(seed) < 0 or operator.index(epoch) < 0:
        raise PlanError(f"expected a seed and an epoch of at least 0, got seed {seed} and epoch {epoch}")


def uniforms(seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Draw the numbers that belong to each sample.

    Args:
        seed: a whole number of at least 0.
        epoch: likewise.
        indices: (n,) int64 sample indices.

    Returns:
        (n, 45) float64 in [0, 1): the top 53 bits of each raw number.

    Raises:
        PlanError: a negative seed or epoch.
    """
    _check_seed(seed, epoch)
    raw = np.empty((len(indices), _WIDTH), np.uint64)
    for row, index in enumerate(np.asarray(indices).tolist()):
        raw[row] = _raw(seed, epoch, index, _SAMPLE, _WIDTH)
    return (raw >> np.uint64(11)) * 2.0**-53


def epoch_order(seed: int, epoch: int, n: int, shuffle: bool) -> np.ndarray:
    """Say in which order the samples of one epoch come.

    Returns:
        (n,) int64: 0, 1, 2, ... or, shuffled, the order of n raw Philox numbers (equal on every NumPy version).
    """
    _check_seed(seed, epoch)
    if not shuffle:
        return np.arange(n, dtype=np.int64)
    return np.argsort(_raw(seed, epoch, 0, _ORDER, n), kind="stable").astype(np.int64)


def numbers_for(purpose: int, *, seed: int, epoch: int, index: int, count: int) -> np.ndarray:
    """(count,) float64 in [0, 1) of one sample for a further purpose (`MOSAIC`), apart from all other streams.

    Raises:
        PlanError: a negative seed or epoch.
    """
    _check_seed(seed, epoch)
    return (_raw(seed, epoch, index, purpose, count) >> np.uint64(11)) * 2.0**-53


def is_mixed(augmentation: Augmentation) -> bool:
    """Whether each sample is mixed with a partner (MixUp or CutMix)."""
    return augmentation.mix_chance > 0 and (augmentation.mixup > 0 or augmentation.cutmix > 0)


def partner_indices(augmentation: Augmentation, seed: int, epoch: int, indices: np.ndarray, n: int) -> np.ndarray:
    """Choose for each sample the one it is mixed with: any of the n samples but itself (itself when n is 1).

    Returns:
        (len(indices),) int64; `indices` itself when neither MixUp nor CutMix is on.
    """
    indices = np.asarray(indices, np.int64)
    if not is_mixed(augmentation) or n < 2:
        return indices.copy()
    step = 1 + np.floor(uniforms(seed, epoch, indices)[:, _SLOT["partner"]] * (n - 1)).astype(np.int64)
    return (indices + step) % n


def draw(augmentation: Augmentation, *, seed: int, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """Draw what happens to each sample; only options that are on have an entry.

    Args:
        augmentation: strengths.
        seed: a whole number of at least 0.
        epoch: likewise.
        indices: (n,) int64 sample indices.

    Returns:
        name -> float32, (n,) unless said otherwise:
        flip_horizontal, flip_vertical: 0 or 1. rotate_deg: counter-clockwise as seen. scale: factor.
        shift (n, 2): down and right, shares of height and width. crop (n, 4): top, left, height, width, shares.
        brightness, contrast, saturation: factor. hue: turns, signed. blur: standard deviation in pixels.
        noise: standard deviation as a share of the range. noise_key (n, 2): whole numbers below 2**24.
        erase (n, 4): top, left, bottom, right in shares, empty where nothing is erased.
        rand_augment (n, k, 2): operation number (RAND_AUGMENT_OPS) and signed strength.
        mix_keep: weight of the sample's own truth. mix_blend: own share of every pixel (MixUp).
        mix_box (n, 4): top, left, bottom, right in shares, taken from the partner (CutMix).
    """
    u = uniforms(seed, epoch, indices)
    draws = _geometry(augmentation, u) | _colour(augmentation, u)
    if augmentation.erase:
        draws["erase"] = _erase(augmentation.erase, u)
    if augmentation.rand_augment:
        draws["rand_augment"] = _rand_augment(augmentation, u)
    if is_mixed(augmentation):
        draws |= _mix(augmentation, u)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in draws.items()}


def mix_truth(truth: np.ndarray, partner_truth: np.ndarray, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Mix truths as their pictures are mixed: own x keep + partner's x (1 - keep).

    Args:
        truth: (n, k) float: one-hot, multi-hot or target columns.
        partner_truth: likewise.
        draws: what `draw` returned; without MixUp and CutMix the truth comes back as it is.

    Returns:
        (n, k) float32.
    """
    own = np.asarray(truth, np.float32)
    if "mix_keep" not in draws:
        return own
    keep = draws["mix_keep"][:, None]
    return own * keep + np.asarray(partner_truth, np.float32) * (1 - keep)


def _column(u: np.ndarray, name: str) -> np.ndarray:
    return u[:, _SLOT[name]]


def _either_way(u: np.ndarray, name: str) -> np.ndarray:
    return 2 * _column(u, name) - 1


def _geometry(a: Augmentation, u: np.ndarray) -> dict[str, np.ndarray]:
    draws: dict[str, np.ndarray] = {}
    for name in ("flip_horizontal", "flip_vertical"):
        if getattr(a, name):
            draws[name] = _column(u, name) < 0.5
    if a.rotate_deg:
        draws["rotate_deg"] = a.rotate_deg * _either_way(u, "rotate")
    if a.scale:
        draws["scale"] = 1 + a.scale * _either_way(u, "scale")
    if a.shift:
        draws["shift"] = a.shift * np.stack([_either_way(u, "shift_y"), _either_way(u, "shift_x")], axis=1)
    if a.crop:
        size = np.stack([1 - a.crop * _column(u, "crop_h"), 1 - a.crop * _column(u, "crop_w")], axis=1)
        corner = (1 - size) * np.stack([_column(u, "crop_y"), _column(u, "crop_x")], axis=1)
        draws["crop"] = np.concatenate([corner, size], axis=1)
    return draws


def _colour(a: Augmentation, u: np.ndarray) -> dict[str, np.ndarray]:
    draws: dict[str, np.ndarray] = {}
    for name in ("brightness", "contrast", "saturation"):
        if strength := getattr(a, name):
            draws[name] = 1 + strength * _either_way(u, name)
    if a.hue:
        draws["hue"] = a.hue * _either_way(u, "hue")
    if a.blur:
        draws["blur"] = a.blur * _column(u, "blur")
    if a.noise:
        draws["noise"] = a.noise * _column(u, "noise")
        keys = [_column(u, "noise_key_0"), _column(u, "noise_key_1")]
        draws["noise_key"] = np.floor(np.stack(keys, axis=1) * 2**24)  # float32 holds these exactly
    return draws


def _box(height: np.ndarray, width: np.ndarray, centre_y: np.ndarray, centre_x: np.ndarray) -> np.ndarray:
    """Cut boxes to the picture: (n, 4) top, left, bottom, right in shares."""
    edges = (centre_y - height / 2, centre_x - width / 2, centre_y + height / 2, centre_x + width / 2)
    return np.clip(np.stack(edges, axis=1), 0, 1)


def _erase(strength: float, u: np.ndarray) -> np.ndarray:
    area = strength * _column(u, "erase_area") * (_column(u, "erase") < 0.5)
    ratio = np.exp(_ASPECT * _either_way(u, "erase_aspect"))
    height, width = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    # the centre stays so far inside that the whole rectangle does
    centre_y = height / 2 + (1 - height) * _column(u, "erase_y")
    centre_x = width / 2 + (1 - width) * _column(u, "erase_x")
    return _box(height, width, centre_y, centre_x)


def _rand_augment(a: Augmentation, u: np.ndarray) -> np.ndarray:
    pairs = u[:, _RAND : _RAND + 2 * a.rand_augment].reshape(len(u), a.rand_augment, 2)
    number = np.floor(pairs[..., 0] * len(RAND_AUGMENT_OPS))
    sign = np.where(pairs[..., 1] < 0.5, -1.0, 1.0)
    return np.stack([number, sign * a.rand_augment_strength], axis=2)


def _mix(a: Augmentation, u: np.ndarray) -> dict[str, np.ndarray]:
    """Beta(alpha, alpha) by its inverse, so that one number of the stream is enough; both on: one of them, evenly."""
    cut = _column(u, "mix_kind") < 0.5 if a.mixup and a.cutmix else np.full(len(u), a.cutmix > 0)
    alpha = np.where(cut, a.cutmix, a.mixup)
    share = betaincinv(alpha, alpha, _column(u, "mix"))
    share = np.where(u[:, _MIXED] < a.mix_chance, share, 1.0)  # the rest keeps all of itself
    side = np.where(cut, np.sqrt(1 - share), 0)
    box = _box(side, side, _column(u, "mix_y"), _column(u, "mix_x"))
    blend = np.where(cut, 1, share)
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    return {"mix_keep": blend * (1 - area), "mix_blend": blend, "mix_box": box}
