"""`convscope demo brain`: the tissues of a brain, marked by a U-Net, on pictures that pip brings.

The T1 picture and the maps of grey and white matter are the ICBM 2009a symmetric template of the Montreal Neurological
Institute, shipped in the PyPI package nilearn: 197 x 233 x 189 voxels of 1 mm. It is the average of many brains.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from convscope.actions.demo import Demo
from convscope.actions.run import Run
from convscope.actions.train import train
from convscope.arrays.orientation import cut
from convscope.data.slices import SlicesSource, VolumeFile, open_volume
from convscope.errors import DataError, MissingExtraError
from convscope.records.augmentation import Augmentation
from convscope.records.masks import ArrayMask
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples
from convscope.training.plan import Plan

BRAIN_LICENCE = (
    "ICBM 152 template, (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, McGill University, free to use "
    "and pass on with this notice; shipped in nilearn (BSD-3-Clause)"
)
BRAIN_CAVEAT = (
    "It is one brain, the average of many: the slices that were kept back lie 10 mm or more from every slice that was "
    "trained on, yet the score says nothing about any patient"
)
BRAIN_RULE = "grey or white matter = the larger of their two maps, where that is at least a half"
CLASSES = ("background", "grey matter", "white matter")
FILES = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
HALF = 127.5  # maps hold 0 to 255
EVERY = 2  # neighbouring slices of 1 mm look alike
# first and last axial slice of each block; the ten slices between two blocks belong to none
BLOCKS = (("train", 10, 58), ("test", 69, 93), ("val", 104, 113), ("train", 124, 146))

BRAIN_PLAN = Plan(
    task="segment",
    model="unet",
    weights="none",
    image_size=(240, 200),
    channels=1,
    unet_depth=3,
    unet_width=8,
    dropout=0.05,
    epochs=20,  # with 12 of half as many steps it never marked white matter
    batch_size=2,
    learning_rate=3e-3,
    schedule="cosine",
    warmup_epochs=1,
    loss="cross_entropy+dice",
    patience=0,
    augment=Augmentation(flip_horizontal=True, rotate_deg=8.0, scale=0.08, brightness=0.08, contrast=0.08),
)


def brain(*, every: int = EVERY) -> Demo:
    """Axial slices of the installed template with their tissues; `every` takes each so-many-th slice.

    Raises:
        MissingExtraError: nilearn is absent; says what to install.
        DataError: its maps can't be read, or do not lie on the same grid.
    """
    found = importlib.util.find_spec("nilearn")
    if found is None or found.origin is None:
        raise MissingExtraError("the demo needs the package nilearn; run: pip install 'convscope[demo-brain]'")
    root = Path(found.origin).parent / "datasets" / "data"
    head, grey, white = (
        VolumeFile("nifti", (root / FILES.format(name),), f"mni152-{name}", window=(0.0, 255.0))
        for name in ("t1", "gm", "wm")
    )
    tissues = _tissues(head, grey, white)
    places = [(part, z) for part, first, last in BLOCKS for z in range(first, last + 1, every)]
    truth = np.empty(len(places), object)
    truth[:] = [ArrayMask(np.ascontiguousarray(cut(tissues, "axial", z))) for _, z in places]
    keys = tuple(f"{head.name}/axial-{z:04d}" for _, z in places)
    samples = Samples(
        pictures=SlicesSource((head,), tuple((0, z) for _, z in places), "axial", keys),
        truth=truth,
        task="segment",
        classes=CLASSES,
        given_split=tuple(part for part, _ in places),
        source="NIfTI, axial slices of nilearn's MNI template in blocks with gaps of 10 slices",
    )
    return Demo(samples, "Tissues of a brain", BRAIN_LICENCE, BRAIN_RULE)


def _tissues(head: VolumeFile, grey: VolumeFile, white: VolumeFile) -> np.ndarray:
    """(left, back, top) uint8: 0 other, 1 grey matter, 2 white matter."""
    volumes = [open_volume(file) for file in (head, grey, white)]
    if any(v.lps.shape != volumes[0].lps.shape or (v.grid.affine != volumes[0].grid.affine).any() for v in volumes):
        raise DataError("expected nilearn's T1 picture and tissue maps on one grid, found several; reinstall nilearn")
    greys, whites = volumes[1].lps, volumes[2].lps
    return np.where((greys > HALF) & (greys >= whites), 1, np.where(whites > HALF, 2, 0)).astype(np.uint8)


def run_brain(*, out: Path | None = None, plan: Plan = BRAIN_PLAN, progress: Progress = silent) -> Run:
    """Train on the template's slices and return the finished run."""
    demo = brain()
    notes = (demo.rule, demo.licence, BRAIN_CAVEAT)
    return train(demo.samples, plan=plan, out=out, name="brain", notes=notes, progress=progress)
