"""What a layer costs: multiplications, operations, parameters, memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The cost of one layer call for one picture.

    Attributes:
        layer, kind: path and class name.
        macs: multiply-adds of convolutions and matrix products; None for a layer whose inside is not known.
        flops: 2 per multiply-add, 1 per bias added, per value pooled over and per value merged. A batch
            normalisation counts as the bias that it melts into at inference; other normalisations and activations
            count 0, as in the published tables.
        parameters: trainable and fixed numbers; 0 for the second call of shared weights.
        activation_bytes: memory of the output.
    """

    layer: str
    kind: str
    macs: int | None
    flops: int | None
    parameters: int
    activation_bytes: int


@dataclass(frozen=True)
class CostTable:
    """The costs of all calls of a model for one picture, in the order in which they run."""

    rows: tuple[Cost, ...]

    def __getitem__(self, layer: str) -> Cost:
        """The row of one call."""
        return next(row for row in self.rows if row.layer == layer)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Calls whose multiplications are not known; the totals leave them out."""
        return tuple(r.layer for r in self.rows if r.macs is None)

    @property
    def macs(self) -> int:
        """All multiply-adds."""
        return sum(r.macs or 0 for r in self.rows)

    @property
    def flops(self) -> int:
        """All operations."""
        return sum(r.flops or 0 for r in self.rows)

    @property
    def parameters(self) -> int:
        """All parameters, shared ones once."""
        return sum(r.parameters for r in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Memory of all outputs together."""
        return sum(r.activation_bytes for r in self.rows)
