"""benchmarks/results/scope.md is made of parts that three scripts measure, each at its own time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.timing import RESULTS, markdown, publish

PARTS = ("maps", "store", "memory", "arithmetic")
START = "<!-- {} -->"


def goals(ratios: Mapping[str, Sequence[float]], wanted: Mapping[str, float], before: str = "") -> str:
    """Median of the ratios of each round beside the goal, with its verdict."""
    rows = []
    for name, least in wanted.items():
        if name in ratios:
            median = statistics.median(ratios[name])
            rows.append((f"{before}{name}", f"{median:.2f}", f"at least {least:g}", "yes" if median >= least else "NO"))
    return markdown(("ratio", "measured", "goal", "met"), rows)


def publish_part(part: str, text: str) -> None:
    """Replace one part of the result and keep the others."""
    path = Path(RESULTS) / "scope.md"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = {name: _cut(old, name) for name in PARTS} | {part: text}
    publish("scope", "The scope: speed", [f"{START.format(n)}\n\n{kept[n]}" for n in PARTS if kept[n]])


def _cut(text: str, part: str) -> str:
    _, found, rest = text.partition(START.format(part))
    if not found:
        return ""
    ends = [rest.index(START.format(n)) for n in PARTS if START.format(n) in rest]
    return rest[: min(ends, default=len(rest))].strip()
