"""One value of one layer, worked out by hand: every factor, every partial sum, and what the back end computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from convscope.errors import ModelError
from convscope.records.arithmetic_page import page
from convscope.records.provenance import Provenance


class Link(NamedTuple):
    """Where a factor comes from: one value of an earlier layer call, or a pixel of an input."""

    layer: str
    at: tuple[int, ...]
    channel: int


@dataclass(frozen=True)
class Step:
    """One thing done to a single number: a bias, a batch normalisation, an activation.

    Attributes:
        name: "bias", "batch normalisation", "ReLU" ...
        formula: in symbols ("γ (x − μ) / √(σ² + ε) + β").
        facts: the symbols' values.
        before, after: the number before and after, in float64.
        magnitude: sum of the absolute terms behind `after`; rounding grows with it.
        layer: path of the layer that does it; "" for the layer itself.
        computed: what the back end has here, where it was seen.
    """

    name: str
    formula: str
    before: float
    after: float
    magnitude: float
    facts: dict[str, float] = field(default_factory=dict)
    layer: str = ""
    computed: float | None = None


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How one value of a layer call comes about.

    Arrays of factors share one shape, whose axes are named by `axes`.

    Attributes:
        layer, kind: path and class name of the call.
        at, channel: which value; `at` is () for a dense layer.
        operation: "sum of products", "maximum", "mean", "sum", "product", "copy" ...: what joins the factors.
        axes: names of the factor arrays' axes ("row", "column", "input channel").
        patch: input values in float64; what the layer takes for a place outside the input (0, or -inf for a maximum).
        kernel: the weight of each, or None where nothing is multiplied.
        places: int64, which number of its filter each factor meets, counted along rows, columns, input channels (and
            multipliers); None where there is no kernel. A transposed convolution meets some of its filter only.
        products: patch x kernel; the patch itself where there is no kernel.
        is_padding: True where a factor lies outside the input.
        sources: paths of the calls that the factors come from; `source` says which one, per factor.
        positions: (..., rank) place of each factor in its source, channel last; meaningless where is_padding.
        partial_sums: (name, sum) of parts of the products: per input channel, per group.
        bias: or None.
        total: the joined factors and the bias, before the steps.
        steps: what the layer itself does to `total` (its own activation).
        following: what the next layers do to the value while they treat it alone (batch normalisation, activation).
        shown: the layer's value by hand, in float64.
        computed: the value that the back end computed.
        bound: how far the two may lie apart: 1e-6 x the sum of |products| in float32, 2 eps x it in 16-bit types.
        dtype: the type in which the back end computed.
        facts: further numbers ("mean", "variance").
        provenance: where it comes from.
    """

    layer: str
    kind: str
    at: tuple[int, ...]
    channel: int
    operation: str
    axes: tuple[str, ...]
    patch: np.ndarray
    kernel: np.ndarray | None
    products: np.ndarray
    is_padding: np.ndarray
    sources: tuple[str, ...]
    source: np.ndarray
    positions: np.ndarray
    partial_sums: tuple[tuple[str, float], ...]
    bias: float | None
    total: float
    steps: tuple[Step, ...]
    following: tuple[Step, ...]
    shown: float
    computed: float
    bound: float
    dtype: str
    facts: dict[str, float] = field(default_factory=dict)
    places: np.ndarray | None = None
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def remainder(self) -> float:
        """By hand minus computed: what rounding left."""
        if self.shown == self.computed:
            return 0.0
        return self.shown - self.computed

    @property
    def agrees(self) -> bool:
        """Whether the remainder is within the bound."""
        return abs(self.remainder) <= self.bound

    @property
    def final(self) -> float:
        """The value after the following layers that treat it alone."""
        return self.following[-1].after if self.following else self.shown

    def link(self, *factor: int) -> Link:
        """The earlier value that a factor is; ask for its arithmetic next, down to the pixels.

        Args:
            factor: index into `patch`.

        Raises:
            ModelError: no such factor, or it lies in the padding.
        """
        if len(factor) != self.patch.ndim or any(not 0 <= i < n for i, n in zip(factor, self.patch.shape)):
            raise ModelError(f"expected a factor inside {self.patch.shape} of {self.layer}, got {factor}")
        if self.is_padding[factor]:
            raise ModelError(f"factor {factor} of {self.layer} lies in the padding: it is no value of an earlier layer")
        *place, channel = (int(i) for i in self.positions[factor])
        return Link(self.sources[int(self.source[factor])], tuple(place), channel)

    def largest(self) -> tuple[int, ...] | None:
        """The factor with the largest absolute product; None when all lie in the padding."""
        if self.is_padding.all():
            return None
        size = np.where(self.is_padding, -1.0, np.abs(self.products))
        return tuple(int(i) for i in np.unravel_index(int(size.argmax()), self.products.shape))

    def __str__(self) -> str:
        """Every step in words and numbers, for a terminal."""
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        place = ", ".join(str(i) for i in (*self.at, self.channel))
        lines = [f"{self.layer} ({self.kind}) [{place}]: {self.operation} of {self.patch.size} factors"]
        padded = int(self.is_padding.sum())
        if padded:
            lines[0] += f", {padded} of them padding"
        lines.extend(f"  {name}: {value:+.6g}" for name, value in self.partial_sums[:12])
        if len(self.partial_sums) > 12:
            rest = sum(value for _, value in self.partial_sums[12:])
            lines.append(f"  {len(self.partial_sums) - 12} more parts: {rest:+.6g}")
        lines.extend(f"  {name} = {value:.6g}" for name, value in self.facts.items())
        if self.bias is not None:
            lines.append(f"  bias: {self.bias:+.6g}")
        lines.append(f"  = {self.total:.7g}")
        lines.extend(f"  {step.name}: {step.formula} = {step.after:.7g}" for step in self.steps)
        lines.append(
            f"  by hand {self.shown:.8g}, computed {self.computed:.8g} ({self.dtype}), "
            f"remainder {self.remainder:.1e} (at most {self.bound:.1e})"
        )
        lines.extend(f"  then {s.layer}: {s.name}: {s.formula} = {s.after:.7g}" for s in self.following)
        return lines

    def _repr_html_(self) -> str:
        """Patch x kernel = products, the sums and the steps, for a notebook."""
        return page(self)
