"""One number that stands in a layer instead of the one that was learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import unquote

from convscope.errors import DataError

Part = Literal["kernel", "bias", "depthwise", "pointwise"]


@dataclass(frozen=True)
class KernelValue:
    """One new number in a layer.

    Attributes:
        layer: path of a convolution (also transposed, depthwise or separable) or dense layer.
        channel: which filter: the output channel that it makes; of "depthwise" the channel between the two steps of a
            separable layer (input channel x multiplier + which).
        cell: place in that filter, counted along rows, columns, input channels: `Arithmetic.places` says it of every
            factor. 0 for a bias.
        value: what stands there from now on.
        part: "kernel" or "bias"; of a separable layer "depthwise" (its windows, shared by all filters), "pointwise"
            (what each filter takes of them) or "bias".
    """

    layer: str
    channel: int
    cell: int
    value: float
    part: Part = "kernel"

    @classmethod
    def parse(cls, text: str) -> KernelValue:
        """Read "LAYER~FILTER~CELL~VALUE" or "LAYER~FILTER~CELL~VALUE~PART", as the studio's address has it.

        Raises:
            DataError: not of this form.
        """
        layer, _, rest = text.partition("~")
        parts = rest.split("~")
        if len(parts) == 3:
            parts.append("kernel")
        try:
            channel, cell, value, part = parts
            if part not in get_args(Part):
                raise ValueError(part)
            return cls(unquote(layer), int(channel), int(cell), float(value), cast("Part", part))
        except ValueError as error:
            form = "LAYER~FILTER~CELL~VALUE, with ~bias, ~depthwise or ~pointwise behind it where it is no kernel"
            raise DataError(f"expected a changed number as {form}, got {text[:60]!r}; write it anew") from error
