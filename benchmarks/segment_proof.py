"""Masks on real pictures: nuclei, membranes, regions of a brain, a tumour by its mask and by a slice classifier's heat.

    python -m benchmarks segment_proof                 all parts
    python -m benchmarks.segment_proof nuclei tumour   some

Each part trains with `convscope`, states its processor time, and replaces its own chapter of
benchmarks/results/segment.md. The pictures are read from $CONVSCOPE_DATA.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.timing import RESULTS, machine, markdown
from convscope.actions.folds import cross_validate
from convscope.actions.mask_files import read_masks
from convscope.metrics.intervals import bootstrap
from convscope.metrics.segment import segment_cases
from convscope.records.augmentation import Augmentation
from convscope.records.prediction import Scored
from convscope.training.plan import Plan

DATA = Path(os.environ.get("CONVSCOPE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RESULT = RESULTS / "segment.md"
ANY_WAY = Augmentation(flip_horizontal=True, flip_vertical=True, rotate_deg=20.0, scale=0.15, brightness=0.15,
                       contrast=0.15)  # fmt: skip

# the encoder stays as ImageNet left it: a third of the work, and 25 pictures are few to change it with
NUCLEI = Plan(
    model="unet+efficientnet-lite0", image_size=192, folds=5, val_share=0.1, unet_width=8, batch_size=4, head_epochs=24,
    epochs=0, unfreeze=0, learning_rate=4e-3, schedule="cosine", warmup_epochs=1, loss="cross_entropy+dice",
    dropout=0.05, patience=0, keep_best=False, augment=ANY_WAY, cache_mb=200,
)  # fmt: skip
NUCLEI_GOAL = 0.85


def nuclei(plan: Plan = NUCLEI, folder: Path | None = None) -> tuple[Scored, Scored, list[str]]:
    """5 folds over 35 pictures: Dice of the union over folds (t interval) and over pictures (bootstrap), and words."""
    with tempfile.TemporaryDirectory() as temporary:
        found = cross_validate(DATA / "seg-nuclei", plan=plan, out=folder or Path(temporary) / "nuclei")
        cases = [case for run in found.runs for case in segment_cases(read_masks(run.path), distances=False)]
    each = np.array([float(case.ratio("dice")[1]) for case in cases])
    low, high = bootstrap(len(each), lambda chosen: float(each[chosen].mean()))
    pictures = Scored(float(each.mean()), low, high, len(each), "bootstrap over pictures")
    folds = found.values["dice"]
    rows = [_row("mean over 5 folds, t interval", folds, NUCLEI_GOAL),
            _row(f"mean over {len(each)} pictures, each tested once, bootstrap", pictures, NUCLEI_GOAL)]  # fmt: skip
    words = f"The worst pictures have Dice {', '.join(f'{v:.3f}' for v in np.sort(each)[:4])}."
    return folds, pictures, [markdown(("Dice of nuclei", "value", "95 % interval", "goal"), rows), words]


def _row(name: str, scored: Scored, goal: float | None = None) -> tuple[str, ...]:
    ends = "none" if scored.low is None or scored.high is None else f"{scored.low:.3f} to {scored.high:.3f}"
    aim = "" if goal is None else f"lower end ≥ {goal:.2f}: {'met' if (scored.low or 0) >= goal else 'missed'}"
    return name, f"{scored.value:.3f}", ends, aim


def _nuclei_chapter() -> list[str]:
    return nuclei()[2]


PARTS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "nuclei": ("Nuclei (seg-nuclei), U-Net on EfficientNet-Lite0, 5 folds", _nuclei_chapter),
}


def keep(name: str, title: str, parts: list[str]) -> None:
    """Replace one chapter of the result, or add it."""
    text = RESULT.read_text(encoding="utf-8") if RESULT.exists() else "# Masks on real pictures\n"
    chapter = f"## {title}\n\n<!-- {name} -->\n\n" + "\n\n".join(parts) + "\n"
    old = re.compile(rf"## [^\n]*\n\n<!-- {name} -->\n.*?(?=\n## |\Z)", re.DOTALL)
    text = old.sub(lambda _: chapter, text) if old.search(text) else f"{text}\n{chapter}"
    RESULTS.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")
    sys.stdout.write(chapter)


def main() -> None:
    """The named parts, or all; a machine without the pictures says so and stops."""
    if not DATA.is_dir():
        sys.exit(f"{DATA}: expected the real pictures there; set CONVSCOPE_DATA")
    for name in sys.argv[1:] or PARTS:
        title, part = PARTS[name]
        began = time.process_time()
        parts = part()
        spent = time.process_time() - began
        keep(
            name, title, [*parts, f"{spent / 60:.1f} minutes of processor time; {date.today():%Y-%m-%d}, {machine()}."]
        )


if __name__ == "__main__":
    main()
