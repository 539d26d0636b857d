"""How pictures are grown: the options, the free numbers behind a picture, and the changes that it must survive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.sparse import csr_matrix

from convscope.errors import PlanError
from convscope.registry import nearest

# Square root of the covariance of colours in ImageNet, columns scaled so that the largest has length 1
# (Olah et al. 2017, "Feature Visualization", appendix on preconditioning)
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
_COLOURS = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max()
Holding = Literal["fourier", "pixels"]
HOLDINGS: tuple[str, ...] = get_args(Holding)


@dataclass(frozen=True)
class Ascent:
    """How pictures are grown.

    Attributes:
        steps: gradient steps.
        rate: step size of Adam, in units of the held picture.
        holding: "fourier" (smooth, low frequencies first) or "pixels".
        jitter: pixels by which the picture is rolled at random each step, so that no single pixel counts.
        scaling: share by which it is enlarged or reduced at random each step, about its middle.
        rotation: degrees by which it is turned at random each step, about its middle.
        pad: pixels of a grey border within which it is moved at random each step.
        smoothness: weight of the total variation that is taken away from the objective.
        diversity: weight of the likeness between the pictures of one objective that is taken away.
        low, high: darkest and brightest value of a picture as the model takes it.
        seed: of the beginning and the jitter.
    """

    steps: int = 128
    rate: float = 0.05
    holding: Holding = "fourier"
    jitter: int = 4
    smoothness: float = 0.0
    diversity: float = 0.0
    low: float = 0.0
    high: float = 255.0
    seed: int = 0
    scaling: float = 0.05
    rotation: float = 5.0
    pad: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.holding not in HOLDINGS:
            raise PlanError(f"unknown holding {self.holding!r}; {nearest(str(self.holding), HOLDINGS)}")
        if self.steps < 1 or self.rate <= 0 or self.jitter < 0 or not self.high > self.low:
            raise PlanError("expected steps >= 1, rate > 0, jitter >= 0 and high above low")
        if not 0 <= self.scaling < 1 or not 0 <= self.rotation <= 180 or self.pad < 0:
            raise PlanError(
                f"expected scaling of 0 to 1, rotation of 0 to 180 degrees and pad of at least 0, got {self.scaling}, "
                f"{self.rotation} and {self.pad}"
            )

    def words(self) -> str:
        """How pictures are grown, in small words."""
        shaken = [
            f"jitter {self.jitter} px" if self.jitter else "",
            f"scaling ±{100 * self.scaling:g} %" if self.scaling else "",
            f"rotation ±{self.rotation:g}°" if self.rotation else "",
            f"pad {self.pad} px" if self.pad else "",
        ]
        told = ", ".join(s for s in shaken if s) or "not moved between steps"
        return f"{self.steps} steps, held as {self.holding}, {told}, seed {self.seed}"


class Held:
    """A picture as free numbers: pixels, or Fourier coefficients scaled so that all frequencies are equally easy."""

    def __init__(self, n: int, size: tuple[int, int, int], how: Ascent, start: np.ndarray | None) -> None:
        """Begin at `start`, or at a grey picture with a little noise."""
        self._size, self._how = size, how
        height, width, channels = size
        rng = np.random.Generator(np.random.Philox(key=how.seed))
        frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None] ** 2)
        self._scale = 1 / np.maximum(frequency, 1 / max(height, width)) / 4  # as in Lucid, so that its step sizes hold
        if start is not None:
            share = np.clip((start - how.low) / (how.high - how.low), 0.005, 0.995)
            self.numbers = np.log(share / (1 - share)).astype(np.float64)
        elif how.holding == "fourier":
            self.numbers = 0.01 * rng.standard_normal((n, *self._scale.shape, channels, 2))
        else:
            self.numbers = 0.01 * rng.standard_normal((n, *size))
        self._mixes = channels == 3 and start is None
        self._fourier = how.holding == "fourier" and start is None

    def pictures(self) -> np.ndarray:
        """(n, h, w, c) float32 in the model's own values."""
        values = self.numbers
        if self._fourier:
            spectrum = (values[..., 0] + 1j * values[..., 1]) * self._scale[None, :, :, None]
            values = np.fft.irfft2(spectrum, s=self._size[:2], axes=(1, 2), norm="ortho")
        if self._mixes:
            values = values @ _COLOURS.T
        self._share = 1 / (1 + np.exp(-values))
        return (self._how.low + (self._how.high - self._how.low) * self._share).astype(np.float32)

    def back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient with respect to the numbers, from the gradient with respect to the pictures."""
        inner = gradient * (self._how.high - self._how.low) * self._share * (1 - self._share)
        if self._mixes:
            inner = inner @ _COLOURS
        if not self._fourier:
            return inner
        spectrum = np.fft.rfft2(inner, axes=(1, 2), norm="ortho") * self._scale[None, :, :, None]
        twice = np.full(spectrum.shape[2], 2.0)  # each coefficient stands for its mirror too, but for the edges
        twice[0] = 1
        if self._size[1] % 2 == 0:
            twice[-1] = 1
        spectrum = spectrum * twice[None, None, :, None]
        return np.stack([spectrum.real, spectrum.imag], axis=-1)


class Shake:
    """One random move of all pictures: rolled, enlarged, turned, shifted within a grey border; and its way back.

    A linear map of pixels plus grey, so that its transpose takes the gradient back exactly.

    Source: Olah et al. 2017, Feature Visualization, section "The Enemy of Feature Visualization" (transformation
    robustness).
    """

    def __init__(self, size_hw: tuple[int, int], how: Ascent, rng: np.random.Generator) -> None:
        """Draw the move."""
        self._size, self._grey = size_hw, (how.low + how.high) / 2
        self._roll = rng.integers(-how.jitter, how.jitter + 1, 2) if how.jitter else np.zeros(2, int)
        self._matrix: csr_matrix | None = None
        if how.scaling or how.rotation or how.pad:
            scale = 1 + how.scaling * rng.uniform(-1, 1)
            angle = np.deg2rad(how.rotation * rng.uniform(-1, 1))
            shift = rng.uniform(-how.pad, how.pad, 2)
            self._matrix = affine_matrix(size_hw, scale, float(angle), (float(shift[0]), float(shift[1])))
            self._filled = 1 - np.asarray(self._matrix.sum(axis=1)).reshape(*size_hw, 1)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """The pictures (n, h, w, c), moved."""
        moved = np.roll(pictures, self._roll, axis=(1, 2))
        if self._matrix is None:
            return moved
        return (_applied(self._matrix, moved) + self._grey * self._filled).astype(np.float32)

    def back(self, gradient: np.ndarray) -> np.ndarray:
        """The gradient with respect to the unmoved pictures."""
        if self._matrix is not None:
            gradient = _applied(self._matrix.T.tocsr(), gradient).astype(np.float32)
        return np.roll(gradient, -self._roll, axis=(1, 2))


def affine_matrix(size_hw: tuple[int, int], scale: float, angle: float, shift_yx: tuple[float, float]) -> csr_matrix:
    """(pixels, pixels) bilinear weights: enlarged by `scale` and turned by `angle` radians about the middle, shifted.

    Rows whose source lies outside the picture sum to less than 1.
    """
    height, width = size_hw
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    ys, xs = np.mgrid[:height, :width].reshape(2, -1) - middle[:, None] - np.array(shift_yx)[:, None]
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    sources = np.stack([cos * ys + sin * xs, -sin * ys + cos * xs]) + middle[:, None]
    low = np.floor(sources).astype(int)
    part = sources - low
    rows, columns, values = [], [], []
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = low[0] + dy, low[1] + dx
            weight = np.abs(1 - dy - part[0]) * np.abs(1 - dx - part[1])
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width) & (weight > 0)
            rows.append(np.flatnonzero(inside))
            columns.append((y * width + x)[inside])
            values.append(weight[inside])
    places = (np.concatenate(rows), np.concatenate(columns))
    return csr_matrix((np.concatenate(values), places), shape=(height * width, height * width))


def _applied(matrix: csr_matrix, pictures: np.ndarray) -> np.ndarray:
    """The matrix on the pixels of each picture and channel."""
    n, height, width, channels = pictures.shape
    flat = np.moveaxis(pictures.reshape(n, height * width, channels), 1, 0).reshape(height * width, -1)
    made = (matrix @ flat).reshape(height * width, n, channels)
    return np.moveaxis(made, 0, 1).reshape(n, height, width, channels)
