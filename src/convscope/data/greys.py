"""Which values become black and white: a window given, a file's own, or percentiles; always said in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PERCENTILES = (0.5, 99.5)
_MOST_COUNTED = 1 << 22  # values looked at for percentiles; of more, every n-th


@dataclass(frozen=True)
class Greys:
    """`low` becomes 0 and `high` 255, straight between and cut beyond; `words` say where they come from.

    `is_curved`: the sigmoid of DICOM instead, about the middle between them.
    """

    low: float
    high: float
    words: str
    is_curved: bool = False

    def apply(self, values: np.ndarray) -> np.ndarray:
        """(...) numbers -> (...) float32 in 0..255; what is not a number becomes 0."""
        span = self.high - self.low
        if self.is_curved:
            steep = np.clip(-4 * (values.astype(np.float64) - (self.low + self.high) / 2) / span, -60, 60)
            shown = 255 / (1 + np.exp(steep))
        elif span > 0:
            shown = np.clip((values.astype(np.float32) - np.float32(self.low)) * np.float32(255 / span), 0, 255)
        else:
            shown = np.where(values > self.low, 255.0, 0.0)
        return np.nan_to_num(shown, nan=0.0).astype(np.float32)


def given_greys(low: float, high: float) -> Greys:
    """The window that the user gave."""
    return Greys(low, high, f"greys from {low:g} to {high:g} as asked")


def window_greys(centre: float, width: float, function: str) -> Greys | None:
    """DICOM's window centre and width; None for numbers that make no window.

    Source: DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.
    """
    least = 1.0 if function == "LINEAR" else 0.0
    if not (np.isfinite(centre) and np.isfinite(width)) or width < least or (width == 0):
        return None
    words = f"greys by the file's window, centre {centre:g}, width {width:g}"
    if function == "LINEAR":
        half = (width - 1) / 2
        return Greys(centre - 0.5 - half, centre - 0.5 + half, words)
    return Greys(centre - width / 2, centre + width / 2, f"{words} ({function.lower()})", function == "SIGMOID")


def greys_of(values: np.ndarray) -> Greys:
    """From the 0.5 to the 99.5 percentile of the finite values; from the least to the largest where these are equal."""
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // _MOST_COUNTED)]
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return Greys(0.0, 1.0, "no finite value")
    low, high = (float(v) for v in np.percentile(flat, _PERCENTILES))
    words = "greys from the 0.5 to the 99.5 percentile"
    if high <= low:
        low, high, words = float(flat.min()), float(flat.max()), "greys from the least to the largest value"
    return Greys(low, high, words)
