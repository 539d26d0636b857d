"""Which positions of its input one output position of a layer reads, along one axis.

All of them repeat: output o + period reads what output o reads, `advance` further on. A convolution has period 1 and
its stride as advance, a transposed convolution the other way round, an enlargement by bilinear weights both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, gcd

import numpy as np


@dataclass(frozen=True)
class Taps:
    """What each output position along one axis reads.

    Attributes:
        reads: for output positions 0 .. period - 1 the input positions, ascending; may lie outside the input (padding).
        advance: output position o + len(reads) reads the same positions plus `advance`.
        size_in, size_out: length of the axis before and after.
    """

    reads: tuple[tuple[int, ...], ...]
    advance: int
    size_in: int
    size_out: int

    @property
    def period(self) -> int:
        """After how many output positions the pattern repeats."""
        return len(self.reads)

    def at(self, position: int) -> tuple[int, ...]:
        """The input positions that output `position` reads, those outside the input included."""
        turns, phase = divmod(position, self.period)
        return tuple(i + turns * self.advance for i in self.reads[phase])

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """All reads as an array (size_out, most reads) and a mask of those that exist inside the input."""
        widest = max((len(r) for r in self.reads), default=0)
        padded = np.array([[*r, *[-(10**9)] * (widest - len(r))] for r in self.reads], np.int64)
        positions = np.arange(self.size_out)
        found = padded[positions % self.period] + (positions // self.period * self.advance)[:, None]
        return found, (found >= 0) & (found < self.size_in)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding before and after of TensorFlow's 'same', which depends on the input size."""
    total = max((ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def window(
    size: int, kernel: int, *, stride: int = 1, dilation: int = 1, before: int = 0, size_out: int | None = None
) -> Taps:
    """A sliding window: output o reads o x stride - before + dilation x j."""
    reach = (kernel - 1) * dilation + 1
    out = (size + before - reach) // stride + 1 if size_out is None else size_out
    return Taps((tuple(j * dilation - before for j in range(kernel)),), stride, size, out)


def spread(size: int, kernel: int, *, stride: int, dilation: int, before: int, size_out: int) -> Taps:
    """A transposed window: input i writes to i x stride - before + dilation x j."""
    reads = []
    for out in range(stride):
        hits = (out + before - dilation * j for j in range(kernel))
        reads.append(tuple(sorted(h // stride for h in hits if h % stride == 0)))
    return Taps(tuple(reads), 1, size, size_out)


def transposed_before(kernel: int, stride: int, dilation: int, padding: str, output_padding: int | None) -> int:
    """How many positions Keras cuts from the start of a transposed convolution's full output."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0
    length = stride + reach - 2 if output_padding is None else reach + reach % 2 - 2 + output_padding
    return reach - 1 - min(length // 2 + length % 2, reach - 1)


def shifted(size: int, before: int, size_out: int) -> Taps:
    """Padding (before > 0) or cropping (before < 0): output o reads o - before."""
    return Taps(((-before,),), 1, size, size_out)


def repeated(size: int, factor: int) -> Taps:
    """Nearest-neighbour enlargement by a whole factor."""
    return Taps(tuple((0,) for _ in range(factor)), 1, size, size * factor)


def resized(size: int, size_out: int, *, linear: bool) -> Taps:
    """Half-pixel resizing without antialiasing: the nearest position, or the two that are weighted, edges repeated.

    Reads are clamped at the border, so that the pattern is written out once for the whole axis unless the factor
    is whole and nothing is clamped.
    """
    reads: list[tuple[int, ...]] = []
    for out in range(size_out):
        centre = (out + 0.5) * size / size_out - 0.5
        low = int(np.floor(centre))
        if not linear:
            reads.append((min(max(int(np.floor((out + 0.5) * size / size_out)), 0), size - 1),))
            continue
        pair = {low} if centre == low else {low, low + 1}
        reads.append(tuple(sorted({min(max(p, 0), size - 1) for p in pair})))
    return Taps(tuple(reads), size, size, size_out)


def divided(size: int, size_out: int) -> Taps:
    """Adaptive pooling: output o reads floor(o n / m) up to ceil((o + 1) n / m)."""
    reads = tuple(tuple(range(o * size // size_out, -(-(o + 1) * size // size_out))) for o in range(size_out))
    return Taps(reads, size, size, size_out)


def sliced(size: int, start: int, step: int, size_out: int) -> Taps:
    """Taking every `step`-th position from `start`."""
    return Taps(((start,),), step, size, size_out)


def common(first: int, second: int) -> int:
    """The least common multiple."""
    return first * second // gcd(first, second)
