"""One number that stands in a kernel instead of the one that was learned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KernelValue:
    """One new number in a kernel.

    Attributes:
        layer: path of a convolution (not transposed, not separable), depthwise or dense layer.
        channel: which filter: the output channel that it makes.
        cell: place in that filter, counted along rows, columns, input channels; as `Arithmetic.kernel.ravel()`.
        value: what stands there from now on.
    """

    layer: str
    channel: int
    cell: int
    value: float
