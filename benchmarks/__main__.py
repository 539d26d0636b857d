"""Run benchmarks: `python -m benchmarks` all of them, `python -m benchmarks loader training` some."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_QUESTIONS = {
    "__init__",
    "__main__",
    "timing",
    "scope_results",
    "scope_ways",
    "explain_peers",
    "torch_networks",
    "segment_brain",
}
# run when they are named, not with all: hours, or a back end of their own
HOURS = {"segment_slices", "tune", "recipes", "segment_proof", "detect_bccd"}


def main() -> None:
    """Run the named scripts, or all that end within an hour."""
    known = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NOT_QUESTIONS)
    usual = [name for name in known if name not in HOURS]
    wanted = sys.argv[1:] or usual
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown benchmark {unknown[0]!r}; known: {', '.join(known)}")
    sys.argv = sys.argv[:1]
    for name in wanted:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
