"""What each filter does over a data set: dead, saturated, twins; one pass, memory independent of its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.records.progress import Progress, silent
from convscope.scope.feed import Feed
from convscope.scope.filters import kernel_array
from convscope.scope.maps import channels_last, check_finite
from convscope.scope.tap import Probe

SATURATED_SLOPE = 0.01
_FUNCTIONS = ("relu", "relu6", "sigmoid", "tanh")


@dataclass(frozen=True, eq=False)
class Units:
    """Every channel of one layer over n pictures.

    Attributes:
        layer: path.
        maximum, mean: (channels,) float64 over all pictures and places.
        zeros: (channels,) share of exact zeros, 0..1.
        saturated: (channels,) share of values with |f'| < 0.01 (sigmoid, tanh) or f' = 0 (ReLU, ReLU6), 0..1; None
            where the layer has none of these activations of its own.
        correlation: (channels, channels) of the maps over pictures and places; 0 for a channel that never varies.
        cosine: (channels, channels) of the kernels; None for a layer without kernels.
        n: pictures.
    """

    layer: str
    maximum: np.ndarray
    mean: np.ndarray
    zeros: np.ndarray
    saturated: np.ndarray | None
    correlation: np.ndarray
    cosine: np.ndarray | None
    n: int

    def dead(self) -> list[int]:
        """Channels that were never above zero."""
        return np.flatnonzero(self.maximum <= 0).tolist()

    def mostly_saturated(self, share: float = 0.9) -> list[int]:
        """Channels that are saturated in at least this share of places; a dead ReLU channel is among them."""
        return [] if self.saturated is None else np.flatnonzero(self.saturated >= share).tolist()

    def twins(self, least: float = 0.95) -> list[tuple[int, int]]:
        """Pairs of channels whose maps correlate by at least `least` and, where there are kernels, whose kernels do."""
        alike = self.correlation >= least
        if self.cosine is not None:
            alike &= self.cosine >= least
        first, second = np.nonzero(np.triu(alike, 1))
        return list(zip(first.tolist(), second.tolist()))

    def __str__(self) -> str:
        """One line per finding."""
        pairs = ", ".join(f"{a} and {b}" for a, b in self.twins()[:10]) or "none"
        return (
            f"{self.layer}: {len(self.maximum)} channels over {self.n} pictures\n"
            f"dead (never above zero): {_words(self.dead())}\n"
            f"saturated in 90 % of places: {_words(self.mostly_saturated())}\n"
            f"twins: {pairs}"
        )


def measure_units(probe: Probe, feed: Feed, layer: str, *, progress: Progress = silent) -> Units:
    """Run the data set once and keep sums only.

    Raises:
        UnknownLayerError: no such layer. ModelError: no pictures, or NaN in the maps.
    """
    n, sums = len(feed), None
    if not n:
        raise ModelError("expected at least one picture, got none")
    name = probe.select(layer, feed.take(0, 1))[0]
    operation = probe.call(name).layer
    kind = activation_name(operation)
    for start in range(0, n, probe.batch_size):
        batch = feed.take(start, min(n, start + probe.batch_size))
        maps = channels_last(probe.activations(batch, name)[name], probe.call(name, batch))
        check_finite(maps, name, feed.ids[start : start + len(maps)])
        sums = (sums or _Sums(maps.shape[-1])).with_maps(maps, kind)
        progress("measuring filters", start + len(batch), n)
    assert sums is not None
    kernels = kernel_array(operation)
    return Units(
        layer=name,
        maximum=sums.maximum,
        mean=sums.total / sums.count,
        zeros=sums.zeros / sums.count,
        saturated=sums.flat / sums.count if kind else None,
        correlation=sums.correlation(),
        cosine=None if kernels is None or len(kernels) != len(sums.total) else cosine(kernels),
        n=n,
    )


def activation_name(layer: Any) -> str:
    """The layer's own activation: "relu", "relu6", "sigmoid", "tanh", or "" for another or none."""
    keras = load_keras()
    if isinstance(layer, keras.layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return {None: "relu", 6.0: "relu6"}.get(layer.max_value, "") if plain else ""
    if not isinstance(layer, keras.Layer) and isinstance(layer, keras.Operation):
        name = type(layer).__name__.lower()  # keras.ops.relu(x) in a functional model
        return name if name in _FUNCTIONS else ""
    activation = getattr(layer, "activation", None)
    return next((n for n in _FUNCTIONS if activation is getattr(keras.activations, n)), "")


def flat_places(values: np.ndarray, kind: str) -> np.ndarray:
    """Where the activation's slope is below 0.01 (sigmoid, tanh) or zero (ReLU, ReLU6), from its outputs."""
    if kind == "sigmoid":
        return values * (1 - values) < SATURATED_SLOPE
    if kind == "tanh":
        return 1 - values**2 < SATURATED_SLOPE
    return (values <= 0) | (values >= 6) if kind == "relu6" else values <= 0


def cosine(kernels: np.ndarray) -> np.ndarray:
    """(filters, filters) cosine between kernels; 0 for a kernel of zeros."""
    flat = kernels.reshape(len(kernels), -1).astype(np.float64)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    return unit @ unit.T


class _Sums:
    """What has to be kept of all values seen."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.maximum = np.full(channels, -np.inf)
        self.total, self.zeros, self.flat = np.zeros(channels), np.zeros(channels), np.zeros(channels)
        self.products = np.zeros((channels, channels))

    def with_maps(self, maps: np.ndarray, kind: str) -> _Sums:
        flat = maps.reshape(-1, maps.shape[-1]).astype(np.float64)
        self.count += len(flat)
        self.maximum = np.maximum(self.maximum, flat.max(axis=0))
        self.total += flat.sum(axis=0)
        self.zeros += (flat == 0).sum(axis=0)
        self.products += flat.T @ flat
        if kind:
            self.flat += flat_places(flat, kind).sum(axis=0)
        return self

    def correlation(self) -> np.ndarray:
        mean = self.total / self.count
        covariance = self.products / self.count - np.outer(mean, mean)
        spread = np.sqrt(np.clip(np.diag(covariance), 0, None))
        varies = spread > 1e-6 * (np.abs(mean) + 1e-12)
        scale = np.outer(np.where(varies, spread, 1), np.where(varies, spread, 1))
        return np.where(np.outer(varies, varies), covariance / scale, 0.0)


def _words(channels: list[int]) -> str:
    if not channels:
        return "none"
    return ", ".join(map(str, channels[:20])) + (f" and {len(channels) - 20} more" if len(channels) > 20 else "")
