"""A scan in plain words: can it be used, how sure could a score be, what to be careful about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.data.naming import shown
from convscope.records.audit import Finding

_VAL_SHARE = 0.2  # the split that training proposes


def wilson_interval(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share of n. Source: Wilson 1927."""
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return float(middle - half), float(middle + half)


def summarise(n: int, counts: dict[str, int], findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """Pairs of a bold sentence and its detail, the most important first."""
    if n == 0:
        return (("Not usable.", "No picture could be read."),)
    urgent = [f for f in findings if f.urgency == "must fix"]
    words = [_usable(urgent)]
    val = round(_VAL_SHARE * n)
    if counts and val >= 1:
        low, high = wilson_interval(0.8, val)
        words.append(
            (
                f"{n} pictures, {len(counts)} classes.",
                f"With {val} validation pictures, an accuracy of 80 % has a 95 % interval of about "
                f"{100 * low:.0f} to {100 * high:.0f} %. {_majority(counts)}",
            )
        )
    surplus = sum(int(f.facts.get("surplus", 0)) for f in findings if f.kind in ("identical-files", "identical-pixels"))
    if surplus:
        words.append(
            ("Copies count twice.", f"{surplus} pictures are copies of others; without them {n - surplus} are left.")
        )
    shortcuts = [f for f in findings if f.kind.startswith("shortcut")]
    if shortcuts:
        detail = " ".join(f.what for f in shortcuts)
        look = "Check Grad-CAM for attention on borders and printed marks, and compare scores with these alone."
        words.append(("Be careful with the result.", f"{detail} {look}"))
    return tuple(words)


def _usable(urgent: Sequence[Finding]) -> tuple[str, str]:
    if not urgent:
        return "Usable.", "Nothing has to be fixed before training."
    number = "one fix" if len(urgent) == 1 else f"{len(urgent)} fixes"
    return f"Usable after {number}.", " ".join(f"{f.title}: {f.what}" for f in urgent)


def _majority(counts: dict[str, int]) -> str:
    most = next(iter(counts))
    return (
        f"Always saying {shown(most)} is right {100 * counts[most] / max(1, sum(counts.values())):.1f} % of the time."
    )
