"""Do a segmenter's probabilities mean what they say: sure and right, counted pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from convscope.metrics.calibrate import BINS
from convscope.records.masks import VOID


@dataclass(eq=False)
class PixelBins:
    """Sums over pixels in equal steps of confidence, added up picture by picture."""

    count: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    confidence: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    right: np.ndarray = field(default_factory=lambda: np.zeros(BINS))

    def add(self, maps: np.ndarray, truth: np.ndarray) -> None:
        """Count one picture: (h, w, k) probabilities and (h, w) true class, VOID left out."""
        known = truth != VOID
        sure = maps.max(axis=-1)[known].astype(np.float64)
        right = maps.argmax(axis=-1)[known] == truth[known]
        place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
        self.count += np.bincount(place, minlength=BINS)
        self.confidence += np.bincount(place, sure, BINS)
        self.right += np.bincount(place, right, BINS)

    def table(self) -> dict[str, list[float]] | None:
        """As `calibrate.reliability_bins` gives it for all pixels at once; None where nothing was counted."""
        used = self.count > 0
        if not used.any():
            return None
        return {
            "confidence": (self.confidence[used] / self.count[used]).tolist(),
            "accuracy": (self.right[used] / self.count[used]).tolist(),
            "count": self.count[used].tolist(),
        }

    def error(self) -> float:
        """Expected calibration error over pixels, 0..1; 0 is best. Source: Guo et al. 2017, equation 3."""
        return float(np.abs(self.confidence - self.right).sum() / max(self.count.sum(), 1))
