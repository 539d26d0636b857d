"""Which marked boxes can be used: finite, not swapped, not empty, inside the picture, of a known class."""

from __future__ import annotations

import math

from convscope.data.naming import shown

INSIDE = 0.25  # of a box that reaches over the border at least this share must lie inside the picture
_HUGE_PX = 1e7

Numbers = tuple[float, float, float, float]


def why_refused(xyxy: Numbers, picture_hw: tuple[int, int]) -> str:
    """Why a box can't be used, or "": xyxy in pixels of a picture of `picture_hw`.

    The words before the bracket are the kind, by which a scan counts.
    """
    left, top, right, bottom = xyxy
    numbers = ", ".join(f"{v:g}" for v in xyxy)
    if not all(math.isfinite(v) for v in xyxy):
        return f"a box whose numbers are not finite ({numbers})"
    if left > right or top > bottom:
        return f"a swapped box (left, top, right, bottom are {numbers})"
    if left == right or top == bottom:
        return f"an empty box ({right - left:g} x {bottom - top:g} px at {left:g}, {top:g})"
    high, wide = picture_hw
    if max(abs(v) for v in xyxy) > _HUGE_PX:
        return f"a box outside the picture ({numbers} in {wide} x {high} px)"
    seen = max(min(right, wide) - max(left, 0), 0) * max(min(bottom, high) - max(top, 0), 0)
    if seen < INSIDE * (right - left) * (bottom - top):
        return f"a box outside the picture ({numbers} in {wide} x {high} px)"
    return ""


def unknown_class(name: str) -> str:
    """The reason for a box whose class is none of the data set's."""
    return f"a box of an unknown class ({shown(name)!r})"
