"""Losses on masks: cross-entropy, Dice, Tversky, focal, boundary, and sums of them; void pixels count in none.

Each part maps truth (n, h, w, k) of 0 and 1, probabilities (n, h, w, k) and valid (n, h, w) to one number per picture;
blocks of volumes have one more axis after the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.records.masks import VOID
from convscope.registry import nearest

keras = load_keras()
ops = keras.ops

EPSILON = 1e-7
SMOOTH = 1e-5
FOCUS = 2.0  # exponent of the focal loss
MISSED, INVENTED = 0.7, 0.3  # Tversky: weight of pixels that were missed, and of those that were invented
BORDER = 3  # side of the window that finds the border of a region, in pixels

Part = Callable[[Any, Any, Any, Any], Any]


def _sum(values: Any) -> Any:
    """Over the pixels or voxels of each picture: (n, *spatial, k) -> (n, k)."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape) - 1)))


def _mean_over(values: Any, valid: Any) -> Any:
    return _sum((values * valid)[..., None])[:, 0] / ops.maximum(_sum(valid[..., None])[:, 0], 1.0)


def cross_entropy(truth: Any, said: Any, valid: Any, weights: Any) -> Any:
    """Minus the logarithm of the true class' probability, each class weighed, mean over valid pixels."""
    likely = ops.log(ops.clip(said, EPSILON, 1.0))
    return _mean_over(-ops.sum(truth * likely * weights, axis=-1), valid)


def focal(truth: Any, said: Any, valid: Any, weights: Any) -> Any:
    """Cross-entropy in which sure pixels count little.

    Source: Lin et al. 2017, equation 5, gamma 2.
    """
    p = ops.clip(said, EPSILON, 1.0)
    return _mean_over(-ops.sum(truth * (1 - p) ** FOCUS * ops.log(p) * weights, axis=-1), valid)


def tversky(truth: Any, said: Any, valid: Any, weights: Any, *, missed: float = MISSED) -> Any:
    """One minus the Tversky index of each class in each picture, mean over classes; missed = 0.5 is Dice.

    A class that neither truth nor answer holds counts as right.

    Source: Salehi et al. 2017, equation 3; Milletari et al. 2016 for Dice, with the plain sums of MONAI's DiceLoss.
    """
    said, seen = said * valid[..., None], truth * valid[..., None]
    both = _sum(seen * said)
    only_truth, only_said = _sum(seen) - both, _sum(said) - both
    invented = 1.0 - missed
    index = (2 * both + SMOOTH) / (2 * (both + missed * only_truth + invented * only_said) + SMOOTH)
    share = weights / ops.sum(weights)
    return ops.sum((1 - index) * share, axis=-1)


def dice(truth: Any, said: Any, valid: Any, weights: Any) -> Any:
    """One minus the Dice coefficient of each class in each picture, mean over classes; see `tversky`."""
    return tversky(truth, said, valid, weights, missed=0.5)


def boundary(truth: Any, said: Any, valid: Any, weights: Any) -> Any:
    """One minus the F1 of the regions' borders, mean over classes; a border may be off by one window.

    Source: Bokhovkin and Burnaev 2019, equations 2 to 8.
    """
    seen, said = truth * valid[..., None], said * valid[..., None]
    true_border, said_border = _border(seen), _border(said)
    wide_truth, wide_said = _widened(true_border), _widened(said_border)
    precision = (_sum(said_border * wide_truth) + SMOOTH) / (_sum(said_border) + SMOOTH)
    recall = (_sum(true_border * wide_said) + SMOOTH) / (_sum(true_border) + SMOOTH)
    share = weights / ops.sum(weights)
    return ops.sum((1 - 2 * precision * recall / (precision + recall)) * share, axis=-1)


def _widened(x: Any) -> Any:
    return ops.max_pool(x, BORDER, strides=1, padding="same")


def _border(x: Any) -> Any:
    return _widened(1 - x) - (1 - x)


PARTS: dict[str, Part] = {
    "cross_entropy": cross_entropy, "dice": dice, "tversky": tversky, "focal": focal, "boundary": boundary,
}  # fmt: skip
USUAL = "cross_entropy+dice"

_Loss: Any = keras.losses.Loss


@keras.saving.register_keras_serializable("convscope")
class MaskLoss(_Loss):
    """The sum of some parts, mean over pictures.

    Args:
        parts: names in PARTS.
        classes: how many, background included.
        class_weights: one for each class, or None for equal ones.

    Call:
        y_true (n, h, w) class index, VOID where nothing is said; y_pred (n, h, w, classes) probabilities; or with one
        more axis each.
    """

    def __init__(
        self, parts: Sequence[str], classes: int, class_weights: Sequence[float] | None = None, name: str = "mask_loss"
    ) -> None:
        """Keep what `get_config` gives back."""
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.parts, self.classes = tuple(parts), classes
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number per picture."""
        index = ops.cast(y_true, "int32")
        valid = ops.cast(ops.not_equal(index, VOID), "float32")
        truth = ops.one_hot(ops.where(ops.equal(index, VOID), 0, index), self.classes, dtype="float32")
        said = ops.cast(y_pred, "float32")
        weights = ops.convert_to_tensor(self.class_weights or [1.0] * self.classes, "float32")
        return sum(PARTS[name](truth, said, valid, weights) for name in self.parts)

    def get_config(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {"parts": list(self.parts), "classes": self.classes, "class_weights": self.class_weights,
                "name": self.name}  # fmt: skip


def mask_loss(name: str, classes: int, *, class_weights: np.ndarray | None = None) -> MaskLoss:
    """The loss of a plan: "auto", or names joined by "+", e.g. "cross_entropy+dice".

    Raises:
        PlanError: an unknown part; the nearest is said.
    """
    parts = (USUAL if name == "auto" else name).split("+")
    for part in parts:
        if part not in PARTS:
            raise PlanError(f"unknown loss {part!r} for masks; {nearest(part, PARTS)}; join several by '+'")
    return MaskLoss(parts, classes, None if class_weights is None else class_weights.tolist())
