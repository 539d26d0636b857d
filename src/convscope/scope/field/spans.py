"""Sets of input pixels that repeat from one value of a layer to the next, before anything is clipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import gcd

import numpy as np

from convscope.scope.field.taps import Taps, common


@dataclass(frozen=True, eq=False)
class Span:
    """A set of whole numbers: `start` plus the places where `mask` is True. The ends of the mask are True."""

    start: int
    mask: np.ndarray

    @property
    def stop(self) -> int:
        """One past the last member."""
        return self.start + len(self.mask)


def joined(parts: Iterable[tuple[Span, int]]) -> Span | None:
    """The union of spans, each moved by a distance; None for nothing."""
    moved = [(s.start + by, s.mask) for s, by in parts]
    if not moved:
        return None
    low = min(start for start, _ in moved)
    mask = np.zeros(max(start + len(m) for start, m in moved) - low, bool)
    for start, part in moved:
        mask[start - low : start - low + len(part)] |= part
    return Span(low, mask)


@dataclass(frozen=True, eq=False)
class Pattern:
    """The set of input pixels behind each value along one axis.

    Value o + len(spans) has the set of value o moved by `advance` pixels.
    A span is None where a value depends on no pixel (gaps of a transposed convolution).
    """

    spans: tuple[Span | None, ...]
    advance: int
    is_aligned: bool = True

    @cached_property
    def stride(self) -> Fraction:
        """Pixels per value."""
        return Fraction(self.advance, len(self.spans))

    @property
    def size(self) -> int:
        """The longest extent of any value's set."""
        return max((len(s.mask) for s in self.spans if s is not None), default=0)

    @property
    def is_dense(self) -> bool:
        """True when no set has holes."""
        return all(s is None or bool(s.mask.all()) for s in self.spans)

    def span(self, position: int, further: int = 0) -> tuple[Span, int] | None:
        """The set of value `position` as (span, distance to move it by)."""
        turns, phase = divmod(position, len(self.spans))
        found = self.spans[phase]
        return None if found is None else (found, turns * self.advance + further)


def identity() -> Pattern:
    """Each value is its own pixel."""
    return Pattern((Span(0, np.ones(1, bool)),), 1)


def through(pattern: Pattern, taps: Taps) -> Pattern:
    """The pattern after a layer that reads `taps` of a layer with `pattern`."""
    before = len(pattern.spans)
    turns = before // gcd(before, taps.advance) if taps.advance else 1
    period = taps.period * turns
    spans = []
    for out in range(period):
        parts = (pattern.span(position) for position in taps.at(out))
        spans.append(joined([p for p in parts if p is not None]))
    advance = taps.advance * turns * pattern.advance // before
    return replace(pattern, spans=tuple(spans), advance=advance)


def union(first: Pattern, second: Pattern) -> Pattern | None:
    """The pattern of a layer that reads both at the same position; None when they move at different strides.

    Branches are aligned when their centres coincide for every value.
    """
    if first.stride != second.stride:
        return None
    period = common(len(first.spans), len(second.spans))
    aligned = first.is_aligned and second.is_aligned
    spans = []
    for out in range(period):
        parts = [p for p in (first.span(out), second.span(out)) if p is not None]
        spans.append(joined(parts))
        centres = {span.start + span.stop + 2 * by for span, by in parts}
        aligned = aligned and len(centres) <= 1
    return Pattern(tuple(spans), int(first.stride * period), aligned)
