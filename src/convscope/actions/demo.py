"""`convscope demo cells`: the whole way on real photographs that pip brings.

Cracked solar cells: 2,624 electroluminescence photographs of 300x300 pixels (Deitsch et al. 2019; Buerhop et al. 2018),
from the PyPI package elpv-dataset (CC BY-NC-SA 4.0: not for commercial use). Its labels.csv gives each cell a defect
probability of 0, 1/3, 2/3 or 1; "defective" here means a probability of at least 0.5.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.actions.run import Run
from convscope.actions.train import train
from convscope.data.files_source import FilesSource
from convscope.errors import DataError, MissingExtraError
from convscope.records.augmentation import Augmentation
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples
from convscope.training.plan import Plan

CELLS_LICENCE = "elpv-dataset, CC BY-NC-SA 4.0 (not for commercial use)"
CELLS_CAVEAT = (
    "Cells of one module may lie on both sides of the split, since the package does not say which module a cell is "
    "from: expect less on modules of another make"
)
DEFECTIVE_FROM = 0.5

CELLS_PLAN = Plan(
    model="efficientnet-lite0",
    weights="imagenet",
    image_size=192,  # of 300; 224 takes a quarter longer
    val_share=0.15,
    test_share=0.25,
    head_epochs=30,
    learning_rate=3e-3,
    epochs=2,
    unfreeze=1,
    fine_tune_learning_rate=2e-4,
    schedule="cosine",
    class_weights="balanced",
    watch_layers=False,  # the demo has five minutes
    batch_size=32,
    augment=Augmentation(flip_horizontal=True, flip_vertical=True),
)


@dataclass(frozen=True)
class Demo:
    """A demo's data with the words that must stand beside it."""

    samples: Samples
    title: str
    licence: str
    rule: str


def cells() -> Demo:
    """The solar cells of the installed package.

    Raises:
        MissingExtraError: the package is absent; says what to install.
        DataError: its table can't be read.
    """
    found = importlib.util.find_spec("elpv_dataset")
    if found is None or found.origin is None:
        raise MissingExtraError("the demo needs the package elpv-dataset; run: pip install 'convscope[demo]'")
    root = Path(found.origin).parent / "data"
    keys, truth = [], []
    table = root / "labels.csv"
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
        cells_of_line = line.split()
        if not cells_of_line:
            continue
        try:
            key, probability = cells_of_line[0], float(cells_of_line[1])
        except (IndexError, ValueError) as error:
            raise DataError(f"{table}:{number}: expected 'path probability type', got {line[:60]!r}") from error
        keys.append(key)
        truth.append(int(probability >= DEFECTIVE_FROM))
    samples = Samples(
        pictures=FilesSource(root, tuple(keys)),
        truth=np.array(truth, np.int64),
        task="classify",
        classes=("good", "defective"),
        source="labels.csv of elpv-dataset, one line per picture",
        root=root,
    )
    return Demo(
        samples,
        "Cracked solar cells",
        CELLS_LICENCE,
        f"defective = defect probability of at least {DEFECTIVE_FROM} in labels.csv",
    )


def run_cells(*, out: Path | None = None, plan: Plan = CELLS_PLAN, progress: Progress = silent) -> Run:
    """Train on the solar cells and return the finished run."""
    demo = cells()
    notes = (demo.rule, demo.licence, CELLS_CAVEAT)
    return train(demo.samples, plan=plan, out=out, name="cells", notes=notes, progress=progress)
