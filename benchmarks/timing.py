"""Fair timing: contenders take turns in one process, medians and ratios are quoted, the machine is named."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """What this was measured on."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {model or platform.machine()}, no accelerator, Python {platform.python_version()}"


def alternate(contenders: Mapping[str, Callable[[], float]], *, rounds: int = 3) -> dict[str, list[float]]:
    """Let each contender run once per round, in turn; each returns its own figure (a rate or seconds)."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            sys.stderr.write(f"round {number + 1} of {rounds}: {name}\n")
            figures[name].append(run())
    return figures


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def rows_against(
    figures: Mapping[str, list[float]], base: str, *, unit: str
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Median, range, and the median of the ratios to `base` taken round by round."""
    header = ("", f"median {unit}", "lowest to highest", f"ratio to {base}")
    rows = []
    for name, values in figures.items():
        ratio = statistics.median(v / b for v, b in zip(values, figures[base], strict=True))
        rows.append(
            (name, f"{statistics.median(values):.4g}", f"{min(values):.4g} to {max(values):.4g}", f"{ratio:.2f}")
        )
    return header, rows


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def publish(name: str, title: str, parts: list[str]) -> None:
    """Print a result and keep it in benchmarks/results/NAME.md."""
    text = f"# {title}\n\n{date.today():%Y-%m-%d}, {machine()}\n\n" + "\n\n".join(parts) + "\n"
    sys.stdout.write(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")


def publish_section(name: str, title: str, section: str, text: str) -> None:
    """Replace one "## SECTION" of a result, dated on its own, and keep the others: long questions come in pieces."""
    path = RESULTS / f"{name}.md"
    old = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.exists() else []
    kept = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in old}
    kept[section] = f"{date.today():%Y-%m-%d}, {machine()}\n\n{text}"
    parts = [f"## {heading}\n\n{body}" for heading, body in kept.items()]
    whole = "\n\n".join([f"# {title}", *parts]) + "\n"
    sys.stdout.write(whole)
    RESULTS.mkdir(exist_ok=True)
    path.write_text(whole, encoding="utf-8")
