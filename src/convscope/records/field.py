"""The receptive field of a layer: which input pixels one of its values can depend on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from html import escape

import numpy as np


@dataclass(frozen=True)
class AxisField:
    """The field of a layer along one axis of the input, before clipping at the border.

    Attributes:
        axis: axis of the input array without the batch axis.
        size: pixels from the first to the last; the largest over all values where they differ. For a whole axis the
            pixels that the values depend on; None when it differs from value to value without a rule.
        stride: pixels by which the field moves from one value to the next; 0 for a whole axis, None when it differs.
        offset: first pixel of the field of value 0; negative by as much as the effective padding.
        is_whole: every value depends on the whole axis (global pooling, dense after flatten, attention ...).
        is_dense: False when pixels inside the field have no influence (holes of dilation or of large strides).
        is_aligned: False when branches with different centres or strides meet.
    """

    axis: int
    size: int | None
    stride: Fraction | None
    offset: int | None
    is_whole: bool = False
    is_dense: bool = True
    is_aligned: bool = True


@dataclass(frozen=True)
class ReceptiveField:
    """The field of one layer call in one input of the model.

    Attributes:
        layer: path of the call; `source` path of the input.
        axes: one AxisField per spatial axis of the input, vertical first.
        at: the value asked for (place in the layer's own array, without channel), or None for the layer as a whole.
        box: for `at`, first and last pixel (inclusive) per spatial axis, clipped at the border; None without `at`.
        input_size: pixels along each spatial axis of the input.
        notes: what a reader must know ("branches with different centres meet at add_3").
    """

    layer: str
    source: str
    axes: tuple[AxisField, ...]
    input_size: tuple[int, ...]
    at: tuple[int, ...] | None = None
    box: tuple[tuple[int, int], ...] | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in one line."""
        size = " x ".join("whole" if a.is_whole else str(a.size) if a.size is not None else "varies" for a in self.axes)
        stride = " x ".join("-" if a.stride is None or a.is_whole else str(a.stride) for a in self.axes)
        text = f"{self.layer}: field {size} px, stride {stride}"
        if self.box is not None:
            names = ("rows", "columns") if len(self.box) == 2 else tuple(f"axis {a.axis}" for a in self.axes)
            seen = ", ".join(f"{name} {low} to {high}" for name, (low, high) in zip(names, self.box, strict=True))
            text += f"; value {self.at} sees {seen}"
        holes = "" if all(a.is_dense for a in self.axes) else "; with holes"
        return text + holes + "".join(f"; {n}" for n in self.notes)

    def _repr_html_(self) -> str:
        """The same line for a notebook."""
        return f"<p style='font:13px/1.5 system-ui,sans-serif'>{escape(str(self))}</p>"


@dataclass(frozen=True)
class FieldTable:
    """The fields of all calls of a model, by path, for the first input that each depends on."""

    rows: tuple[ReceptiveField, ...]

    def __getitem__(self, path: str) -> ReceptiveField:
        """The row of one call."""
        return next(row for row in self.rows if row.layer == path)


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How much each pixel really moves one value, measured over pictures.

    Attributes:
        layer, source: path of the call and of the input.
        at, channel: the value; channel None for the sum of all channels.
        heat: mean absolute gradient per pixel over pictures and input channels, as large as the input; sums to 1.
        box: first and last pixel (inclusive) per axis of a small box that holds `share` of the heat.
        share: 0.95.
    """

    layer: str
    source: str
    at: tuple[int, ...]
    channel: int | None
    heat: np.ndarray
    box: tuple[tuple[int, int], ...]
    share: float
