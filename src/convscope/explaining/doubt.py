"""Where a segmenter is unsure: how much it changes its mind under mirrored pictures, or under dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.arrays.window import Flips
from convscope.backend.selection import load_keras
from convscope.errors import PlanError

keras = load_keras()
FLIPS: Flips = ((), (0,), (1,), (0, 1))
PASSES = 10
DROPOUTS = (keras.layers.Dropout, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D)
BATCH = 16


@dataclass(frozen=True)
class Doubt:
    """One way to ask: (model, images (n, h, w, c), passes, seed) -> (n, h, w) float32 in 0..1; and its words.

    A network of blocks of slices gives (n, h, w, slices).
    """

    function: Callable[[Any, np.ndarray, int, int], np.ndarray]
    words: str
    source: str


def flip_disagreement(model: Any, images: np.ndarray, passes: int = PASSES, seed: int = 0) -> np.ndarray:
    """Mean distance of the four mirrored looks from their mean, half the sum of absolute differences of probability.

    0: all four say the same; nothing is drawn at random, so `passes` and `seed` are not used.
    """
    looks = []
    for turn in FLIPS:
        axes = tuple(a + 1 for a in turn)
        looks.append(np.flip(_said(model, np.ascontiguousarray(np.flip(images, axes))), axes))
    mean = np.mean(looks, axis=0)
    return np.asarray(np.mean([np.abs(look - mean).sum(axis=-1) / 2 for look in looks], axis=0), np.float32)


def dropout_uncertainty(model: Any, images: np.ndarray, passes: int = PASSES, seed: int = 0) -> np.ndarray:
    """Entropy of the mean probability over `passes` looks with dropout at work, divided by the logarithm of k.

    Raises:
        PlanError: the network has no dropout, or no pass is asked for.

    Source: Gal and Ghahramani 2016; predictive entropy as in Kendall and Gal 2017.
    """
    if passes < 1:
        raise PlanError(f"expected at least 1 pass with dropout, got {passes}")
    drops = [layer for layer in model.layers if isinstance(layer, DROPOUTS) and layer.rate]
    if not drops:
        raise PlanError(
            "expected a network with dropout for dropout-uncertainty, this one has none; flip-disagreement needs none"
        )
    kept = [layer.seed_generator.state.numpy() if hasattr(layer.seed_generator.state, "numpy") else
            np.asarray(layer.seed_generator.state) for layer in drops]  # fmt: skip
    restless = _with_dropout(model, drops)
    try:
        for number, layer in enumerate(drops):
            layer.seed_generator.state.assign(np.array([seed, number], kept[number].dtype))
        mean = np.mean([_said(restless, images) for _ in range(passes)], axis=0)
    finally:
        for layer, state in zip(drops, kept, strict=True):
            layer.seed_generator.state.assign(state)
    entropy = -(mean * np.log(np.maximum(mean, 1e-12))).sum(axis=-1) / np.log(mean.shape[-1])
    return np.asarray(np.clip(entropy, 0, 1), np.float32)


def _with_dropout(model: Any, drops: Sequence[Any]) -> Any:
    """The same layers, those of dropout always at work; batch norm stays as it is."""
    names = {layer.name for layer in drops}

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        return layer(*arguments, **(options | {"training": True} if layer.name in names else options))

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _said(model: Any, images: np.ndarray) -> np.ndarray:
    """(n, h, w, k) float32, in batches of one size."""
    n, size = len(images), min(BATCH, len(images))
    parts = []
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        parts.append(np.asarray(model.predict_on_batch(images[rows]), np.float32)[: min(size, n - start)])
    return np.concatenate(parts)


DOUBTS: dict[str, Doubt] = {
    "flip-disagreement": Doubt(
        flip_disagreement,
        "How far the answers to the picture and its mirrored copies lie apart; 0 is agreement, 1 the opposite.",
        "test-time flips; half the sum of absolute differences (total variation)",
    ),
    "dropout-uncertainty": Doubt(
        dropout_uncertainty,
        "How unsure the mean of looks with dropout is at each place; 0 is sure, 1 all classes alike.",
        "Gal and Ghahramani 2016, predictive entropy",
    ),
}
