"""Preprocess says how a picture becomes network input; Letterbox takes places back to the picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from convscope.errors import PlanError

Fit = Literal["letterbox", "crop", "stretch", "native", "as-is"]
FITS: tuple[str, ...] = get_args(Fit)


@dataclass(frozen=True)
class Preprocess:
    """How pictures become network input; kept in the bundle, so that prediction repeats training.

    Attributes:
        height, width: network frame in pixels; None for fit="native" and "as-is".
        channels: 3 (RGB order) or 1 (grey); any number for fit="as-is".
        fit: "letterbox" keeps the aspect and pads, "crop" fills and cuts the middle, "stretch" ignores the aspect,
            "native" keeps each picture's own size (prediction only, networks that end in global pooling),
            "as-is" takes arrays exactly as given (a user's own model on a user's own arrays).
        scale, offset: network value = pixel value in 0..255 x scale + offset.
        fill: pixel value 0..255 of the padding.
    """

    height: int | None
    width: int | None
    channels: int = 3
    fit: Fit = "letterbox"
    scale: float = 1.0
    offset: float = 0.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        if self.fit not in FITS:
            raise PlanError(f"expected fit to be one of {', '.join(FITS)}, got {self.fit!r}")
        sized = self.fit in ("letterbox", "crop", "stretch")
        if sized and (not self.height or not self.width or min(self.height, self.width) < 1):
            raise PlanError(f"expected a height and a width of at least 1 pixel for {self.fit}, got {self.size}")

    @property
    def size(self) -> tuple[int | None, int | None]:
        """(height, width) in pixels."""
        return self.height, self.width

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Preprocess:
        """Read what `as_dict` wrote."""
        return cls(**facts)


@dataclass(frozen=True)
class Letterbox:
    """The affine map from a picture's own pixels to the network frame: network = picture x scale + shift.

    All sizes, scales and shifts are (vertical, horizontal). Pixel centres lie at half-integers in both frames.
    """

    picture_hw: tuple[int, int]
    network_hw: tuple[int, int]
    scale_yx: tuple[float, float]
    shift_yx: tuple[float, float]

    def to_network(self, points_yx: np.ndarray) -> np.ndarray:
        """Map points (..., 2) in picture pixels to network pixels."""
        return np.asarray(points_yx, np.float64) * self.scale_yx + self.shift_yx

    def to_picture(self, points_yx: np.ndarray) -> np.ndarray:
        """Map points (..., 2) in network pixels back to picture pixels."""
        return (np.asarray(points_yx, np.float64) - self.shift_yx) / self.scale_yx
