"""Masks on real pictures: nuclei, membranes, regions of a brain, a tumour by its mask and by a slice classifier's heat.

    python -m benchmarks.segment_proof                 all parts
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
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks import segment_brain
from benchmarks.timing import RESULTS, machine, markdown
from convscope.actions.dataset import open_samples
from convscope.actions.folds import cross_validate
from convscope.actions.mask_files import read_masks
from convscope.actions.train import train
from convscope.metrics.intervals import bootstrap
from convscope.metrics.segment import segment_cases
from convscope.records.augmentation import Augmentation
from convscope.records.masks import ArrayMask
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
MEMBRANES = Plan(
    task="segment", model="unet", weights="none", image_size=512, channels=1, unet_depth=4, unet_width=8, batch_size=1,
    dropout=0.05, epochs=50, learning_rate=2e-3, schedule="cosine", warmup_epochs=1, loss="cross_entropy+dice",
    patience=0, keep_best=False, augment=ANY_WAY,
)  # fmt: skip


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


def membranes() -> list[str]:
    """Thin membranes at the pictures' own scale: serial sections 0 to 5 are trained on, 8 to 10 are scored."""
    names, parts = [*range(7), 8, 9, 10], ["train"] * 6 + ["val"] + ["test"] * 3
    found = open_samples(DATA / "seg-em-membranes", MEMBRANES)
    order = np.array([found.pictures.keys.index(next(k for k in found.pictures.keys if Path(k).stem == str(name)))
                      for name in names])  # fmt: skip
    chosen = found.subset(order)
    truth = np.empty(len(chosen), object)
    truth[:] = [ArrayMask((mask.read() == 0).astype(np.uint8)) for mask in chosen.truth]
    samples = replace(chosen, truth=truth, given_split=tuple(parts), classes=("cell", "membrane"))
    with tempfile.TemporaryDirectory() as temporary:
        scores = train(samples, plan=MEMBRANES, out=Path(temporary) / "run").scores
    rows = [(name, *(f"{row[m]:.3f}" for m in ("dice", "iou", "sensitivity", "specificity")))
            for name, row in scores.per_class.items()]  # fmt: skip
    words = "Three sections of 512 x 512, the seventh lies between them and those trained on. One piece of tissue."
    return [markdown(("class", "Dice", "IoU", "sensitivity", "specificity"), rows), words]


PARTS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "nuclei": ("Nuclei (seg-nuclei), U-Net on EfficientNet-Lite0, 5 folds", _nuclei_chapter),
    "membranes": ("Membranes (seg-em-membranes), U-Net at full size", membranes),
    "regions": ("Regions of a brain (mri-nifti: ch2 and AAL), U-Net", lambda: segment_brain.regions(DATA)),
    "tumour": ("A tumour in MRI (mri-nifti, NRRD), U-Net, three folds", lambda: segment_brain.tumour_mask(DATA)),
    "heat": ("The same tumour by the heat of a slice classifier", lambda: segment_brain.tumour_heat(DATA)),
    "sheet": ("Tumour or not (cls-brain-mri-yesno): the Grad-CAM sheet",
              lambda: segment_brain.yes_no_sheet(DATA, RESULTS / "local")),
}  # fmt: skip


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
