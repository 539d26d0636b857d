"""What each filter likes: gratings of all directions and wavelengths, spots and colours, answered in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.errors import ModelError
from convscope.scope.batches import model_input_shapes
from convscope.scope.maps import channels_last
from convscope.scope.tap import Probe

DIRECTIONS = tuple(180.0 * i / 8 for i in range(8))
WAVELENGTHS = (2.5, 4.0, 6.0, 10.0, 16.0)
PHASES = 4
COLOURS = {
    "red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1),
    "yellow": (1, 1, -1), "cyan": (-1, 1, 1), "magenta": (1, -1, 1),
}  # fmt: skip
_LEAST_SELECTIVE = 0.3


@dataclass(frozen=True, eq=False)
class Tuning:
    """Answers of every channel, each the largest over phases at the middle of the map, minus that to plain grey.

    Attributes:
        layer: path.
        gratings: (channels, directions, wavelengths); directions in degrees that the stripes run along, 0 horizontal,
            90 vertical; wavelengths in pixels.
        colours: (channels, 6) to plain red, green, blue, yellow, cyan, magenta; None for grey input.
        spots: (channels, 2) to a bright and a dark spot on grey.
    """

    layer: str
    gratings: np.ndarray
    colours: np.ndarray | None
    spots: np.ndarray

    def best_grating(self) -> tuple[np.ndarray, np.ndarray]:
        """(channels,) preferred direction in degrees and wavelength in pixels."""
        flat = self.gratings.reshape(len(self.gratings), -1).argmax(axis=1)
        direction, wave = np.unravel_index(flat, self.gratings.shape[1:])
        return np.array(DIRECTIONS)[direction], np.array(WAVELENGTHS)[wave]

    def selectivity(self) -> np.ndarray:
        """(channels,) 0 (all directions alike) to 1 (one only): 1 - circular variance at the best wavelength.

        Source: Ringach et al. 2002, eq. 1.
        """
        answers = np.clip(self.gratings, 0, None)
        best = answers.max(axis=1).argmax(axis=1)
        at_best = answers[np.arange(len(answers)), :, best]
        turn = np.exp(2j * np.deg2rad(DIRECTIONS))
        total = at_best.sum(axis=1)
        return np.divide(np.abs(at_best @ turn), total, out=np.zeros(len(answers)), where=total > 0)

    def words(self) -> list[str]:
        """What each channel is, in words."""
        directions, waves = self.best_grating()
        chosen = self.selectivity()
        return [_word(self, c, (float(directions[c]), float(waves[c]), float(chosen[c]))) for c in range(len(chosen))]


def measure_tuning(probe: Probe, layer: str, *, low: float = 0.0, high: float = 255.0, size: int = 0) -> Tuning:
    """Show the network gratings, spots and colours between `low` and `high` (its own input range).

    Args:
        probe: a model that takes (n, height, width, 1 or 3), channels last.
        layer: path of a layer with height and width.
        low: what black is in the model's input.
        high: what white is.
        size: height and width in pixels, where the model does not say its own.

    Raises:
        ModelError: another kind of input, or a layer without height and width.
    """
    height, width, channels = _frame(probe, size)
    middle, half = (high + low) / 2, (high - low) / 2

    def answers(patterns: np.ndarray) -> np.ndarray:
        pictures = (middle + half * patterns).astype(np.float32)
        name = probe.select(layer, pictures)[0]
        maps = channels_last(probe.activations(pictures, name)[name], probe.call(name, pictures))
        if max(maps.shape[1:3]) == 1:
            raise ModelError(f"expected a layer with height and width to measure tuning on, got {name!r}")
        rows, columns = (slice(s // 4, max(s // 4 + 1, s - s // 4)) for s in maps.shape[1:3])
        return maps[:, rows, columns].max(axis=(1, 2)).astype(np.float64)

    grey = answers(np.zeros((1, height, width, channels)))
    stripes = np.repeat(gratings(height, width), channels, axis=-1)
    shown = answers(stripes).reshape(len(DIRECTIONS), len(WAVELENGTHS), PHASES, -1).max(axis=2) - grey[0]
    plain = None
    if channels == 3:
        patches = np.broadcast_to(np.array(list(COLOURS.values()))[:, None, None, :], (6, height, width, 3))
        plain = (answers(patches) - grey).T
    spot = np.repeat(_spot(height, width), channels, axis=-1)
    spots = (answers(np.concatenate([spot, -spot])) - grey).T
    return Tuning(layer, np.moveaxis(shown, -1, 0), plain, spots)


def gratings(height: int, width: int) -> np.ndarray:
    """(directions x wavelengths x phases, height, width, 1) sine gratings in -1..1, last index fastest."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    made = []
    for direction in np.deg2rad(DIRECTIONS):
        across = y * np.cos(direction) + x * np.sin(direction)  # stripes run along `direction`, seen upright
        for wave in WAVELENGTHS:
            made += [np.sin(2 * np.pi * (across / wave + p / PHASES)) for p in range(PHASES)]
    return np.stack(made)[..., None]


def spectrum(kernels: np.ndarray, size: int = 32) -> np.ndarray:
    """(filters, size, size) amplitude of each kernel's Fourier transform over all inputs, zero frequency centred."""
    transformed = np.fft.fft2(kernels.astype(np.float64), s=(size, size), axes=(1, 2))
    return np.fft.fftshift(np.sqrt((np.abs(transformed) ** 2).sum(axis=3)), axes=(1, 2))


def _spot(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    distance = (y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2
    return np.exp(-distance / (2 * 2.0**2))[None, :, :, None]


def _frame(probe: Probe, size: int) -> tuple[int, int, int]:
    shapes: Any = model_input_shapes(probe.model)
    if shapes is None or len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in (1, 3):
        raise ModelError("expected a model of one picture (n, height, width, 1 or 3) to measure tuning on")
    height, width = (d or size for d in shapes[0][1:3])
    if not height or not width:
        raise ModelError("expected the picture's size, which this model does not say; pass size=")
    return height, width, shapes[0][3]


def _word(tuning: Tuning, channel: int, facts: tuple[float, float, float]) -> str:
    direction, wave, selective = facts
    grating, spot = tuning.gratings[channel].max(), tuning.spots[channel].max()
    colour = -np.inf if tuning.colours is None else tuning.colours[channel].max()
    top = max(grating, spot, colour)
    if top <= 0:
        return "answers to none of the patterns"
    if colour == top and tuning.colours is not None:
        return f"colour: {list(COLOURS)[int(tuning.colours[channel].argmax())]}"
    if spot == top:
        return "blob: " + ("bright" if tuning.spots[channel].argmax() == 0 else "dark") + " spot"
    if selective >= _LEAST_SELECTIVE:
        return f"edge at {direction:.0f}°, stripes of {wave:g} px"
    return f"texture of {wave:g} px in any direction"
