"""Parts of `segment_proof` on MRI: regions of a brain, a tumour by mask and by a slice classifier's heat, a sheet.

Each volume is one person. Blocks of neighbouring slices are kept back, with a gap to every slice that is trained on;
that shows that the way from file to mask works on real MRI, and says nothing about other people.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import convscope
from benchmarks.accuracy import BRAIN
from benchmarks.timing import markdown
from convscope.actions.evaluate import kept_back
from convscope.actions.mask_files import read_masks
from convscope.actions.train import train
from convscope.arrays.orientation import Plane, cut
from convscope.data.arrays import ArraySource
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.places import mask_in_frame, place_of
from convscope.data.slices import SlicesSource, VolumeFile, open_volume
from convscope.explaining.faithful import inside
from convscope.metrics.segment import score_segment
from convscope.records.augmentation import Augmentation
from convscope.records.masks import ArrayMask
from convscope.records.samples import Samples
from convscope.training.plan import Plan

PLANE: Plane = "coronal"
MILD = Augmentation(rotate_deg=8.0, scale=0.08, shift=0.05, brightness=0.08, contrast=0.08)
YES_NO_PLAN = BRAIN.model_copy(update={"folds": 0, "test_share": 0.25})
SHOWN = 12
METHODS = ("grad-cam", "layer-cam", "hires-cam", "integrated-gradients")

# AAL's numbers: folds of the cortex; caudate, putamen, pallidum, thalamus; hemispheres and vermis of the cerebellum
REGIONS = {"cortex": (*range(1, 37), *range(43, 71), *range(79, 91)), "deep grey": range(71, 79),
           "cerebellum": range(91, 117)}  # fmt: skip
REGION_BLOCKS = (("train", 10, 45), ("test", 56, 64), ("train", 75, 99), ("test", 110, 118), ("train", 129, 160),
                 ("val", 171, 180))  # fmt: skip
REGION_PLAN = Plan(
    task="segment", model="unet", weights="none", image_size=184, channels=1, unet_depth=3, unet_width=12, dropout=0.05,
    epochs=40, batch_size=4, learning_rate=3e-3, schedule="cosine", warmup_epochs=1, loss="cross_entropy+dice",
    patience=0, keep_best=False, class_weights="balanced", augment=MILD,
)  # fmt: skip

REGION_TRIED = (
    "Three plans were tried on these very blocks: the best epoch kept and no class weights (Dice 0.922, 0.000, 0.238), "
    "this one, and five halvings on 192 pixels (0.857, 0.390, 0.161). Twenty slices hold cerebellum; that is too few."
)

GAP = 8  # slices of 0.78 mm
FOLDS = ((0.0, 0.3), (0.3, 0.65), (0.65, 1.0))  # shares of the slices that hold tumour
WITHOUT = ((20, 45), (45, 70), (165, 190))  # slices without tumour that are kept back as well
FEW = 10  # a slice with fewer voxels of tumour is neither one with nor one without
SIZE = (160, 192)  # slices of 25 x 256 voxels of 6.5 x 0.78 mm, stretched to their true aspect
TUMOUR_PLAN = Plan(
    task="segment", model="unet", weights="none", image_size=SIZE, fit="stretch", channels=1, unet_depth=4,
    unet_width=8, dropout=0.05, epochs=16, batch_size=4, learning_rate=3e-3, schedule="cosine", warmup_epochs=1,
    loss="cross_entropy+dice", patience=0, keep_best=False, augment=MILD,
)  # fmt: skip
HALF_PLAN = Plan(
    model="efficientnet-lite0", image_size=(224, 128), fit="stretch", batch_size=16, head_epochs=15, unfreeze=6,
    epochs=8, learning_rate=3e-3, fine_tune_learning_rate=3e-4, schedule="cosine", warmup_epochs=1, patience=0,
    keep_best=False, augment=MILD,
)  # fmt: skip


def _slices(
    head: VolumeFile, marks: np.ndarray, places: Sequence[tuple[str, int]], classes: tuple[str, ...]
) -> Samples:
    """Slices with their masks; `places` are (part, slice), `marks` is turned as the volume (left, back, top)."""
    truth = np.empty(len(places), object)
    truth[:] = [ArrayMask(np.ascontiguousarray(cut(marks, PLANE, z))) for _, z in places]
    return Samples(
        pictures=SlicesSource((head,), tuple((0, z) for _, z in places), PLANE,
                              tuple(f"{head.name}/{PLANE}-{z:04d}" for _, z in places)),
        truth=truth, task="segment", classes=classes, given_split=tuple(part for part, _ in places),
        source=f"{PLANE} slices of one volume in blocks with gaps",
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def regions(data: Path) -> list[str]:
    """Four groups of AAL's 116 labels on the single-subject T1 picture of mricron-data."""
    folder = data / "mri-nifti" / "debian-mricron-data"
    head = VolumeFile("nifti", (folder / "ch2.nii.gz",), "ch2")
    labels = open_volume(VolumeFile("nifti", (folder / "aal.nii.gz",), "aal")).lps
    marks = np.zeros(labels.shape, np.uint8)
    for k, numbers in enumerate(REGIONS.values(), 1):
        marks[np.isin(labels, list(numbers))] = k
    places = [(part, z) for part, first, last in REGION_BLOCKS for z in range(first, last + 1, 2)]
    with tempfile.TemporaryDirectory() as temporary:
        run = train(_slices(head, marks, places, ("other", *REGIONS)), plan=REGION_PLAN, out=Path(temporary) / "run")
        found = read_masks(run.path)
    block = score_segment(replace(found, cases=("block",) * len(found.keys)))
    rows = [(name, *(_number(row[m]) for m in ("dice", "iou", "sensitivity", "specificity")))
            for name, row in list(block.per_class.items())[1:]]  # fmt: skip
    words = f"{len(found.keys)} slices kept back, 11 mm or more from every slice trained on, all their voxels together."
    return [markdown(("region", "Dice", "IoU", "sensitivity", "specificity"), rows), words, REGION_TRIED]


def _tumour(data: Path) -> tuple[VolumeFile, np.ndarray]:
    folder = data / "mri-nifti" / "pyradiomics-tumour"
    label = open_volume(VolumeFile("nrrd", (folder / "brain1_label.nrrd",), "brain1-label")).lps
    return VolumeFile("nrrd", (folder / "brain1_image.nrrd",), "brain1"), (label > 0).astype(np.uint8)


def _folds(marks: np.ndarray) -> Iterator[list[tuple[str, int]]]:
    """Three times (part, slice) of all slices: a third of the tumour's and 25 without tumour are kept back."""
    sizes = marks.sum(axis=(0, 2))
    held = np.flatnonzero(sizes)
    usable = [z for z in range(len(sizes)) if not 0 < sizes[z] < FEW]
    for (low, high), others in zip(FOLDS, WITHOUT, strict=True):
        block = tuple(int(held[0] + share * (held[-1] + 1 - held[0])) for share in (low, high))
        kept = {z for block in (block, others) for z in range(*block)}
        near = {z + d for z in kept for d in range(-GAP, GAP + 1)}
        # every tenth slice trained beside is only watched; nothing is chosen by it
        yield [("test" if z in kept else "train" if z % 10 else "val", z) for z in usable if z in kept or z not in near]


def tumour_mask(data: Path) -> list[str]:
    """A U-Net on two thirds of the tumour's slices, scored on the third third; three times."""
    head, marks = _tumour(data)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for k, places in enumerate(_folds(marks)):
            samples = _slices(head, marks, places, ("other", "tumour"))
            found = read_masks(train(samples, plan=TUMOUR_PLAN, out=Path(temporary) / f"fold-{k}").path)
            row = score_segment(replace(found, cases=("block",) * len(found.keys))).per_class["tumour"]
            held = sum(bool(t.read().any()) for t in found.truth or ())
            rows.append((str(k + 1), f"{held} of {len(found.keys)}", *(_number(row[m]) for m in
                         ("dice", "sensitivity", "specificity"))))  # fmt: skip
    words = f"One tumour of one person; {GAP} slices (6 mm) lie between what was trained on and what is scored."
    return [markdown(("fold", "slices with tumour", "Dice", "sensitivity", "specificity"), rows), words]


def _halves(head: VolumeFile, marks: np.ndarray, places: Sequence[tuple[str, int]]) -> Samples:
    """Left and right halves of the slices that hold tumour, the right ones mirrored; their masks as truth."""
    opened = open_volume(head)
    pictures: list[np.ndarray] = []
    truth: list[ArrayMask] = []
    parts: list[str] = []
    for part, z in places:
        grey, mask = opened.greys.apply(cut(opened.lps, PLANE, z)), cut(marks, PLANE, z)
        if not mask.any():
            continue
        middle = grey.shape[1] // 2
        for side in (slice(middle), slice(None, -middle - 1, -1)):
            pictures.append(np.ascontiguousarray(grey[:, side]))
            truth.append(ArrayMask(np.ascontiguousarray(mask[:, side])))
            parts.append(part)
    column = np.empty(len(truth), object)
    column[:] = truth
    return Samples(
        pictures=ArraySource(pictures, tuple(f"half/{i:04d}" for i in range(len(pictures)))), truth=column,
        task="segment", classes=("no tumour", "tumour"), given_split=tuple(parts), source="halves of coronal slices",
    )  # fmt: skip


def tumour_heat(data: Path) -> list[str]:
    """Tumour in this half of a slice, yes or no? Where that classifier's heat lies, against the label it never saw.

    Whole slices would be told apart by where in the head they lie: tried so, a classifier found 22 % of the kept-back
    slices with tumour, and no heat of it lay on the tumour. The other half of the same slice leaves only the tumour.
    """
    head, marks = _tumour(data)
    right: list[np.ndarray] = []
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in METHODS}
    share: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as temporary:
        for k, places in enumerate(_folds(marks)):
            masks = _halves(head, marks, places)
            truth = np.array([int(t.read().any()) for t in masks.truth], np.int64)
            samples = replace(masks, truth=truth, task="classify")
            run = train(samples, plan=HALF_PLAN, out=Path(temporary) / f"fold-{k}")
            kept = np.array([part == "test" for part in masks.given_split or ()])
            right.append(_answers(run, masks.subset(np.flatnonzero(kept)), truth[kept]))
            images, where = _in_frame(run, masks.subset(np.flatnonzero(kept & (truth == 1))))
            share.append(where.mean(axis=(1, 2)))
            for name in METHODS:
                found[name].append(inside(convscope.explain(run, images, name, target="tumour").heat, where))
    answers = np.concatenate(right)
    area = f"{np.concatenate(share).mean():.3f}"
    rows = [("chance: the tumour's share of the half", area, area)]
    rows += [(name, *(f"{np.concatenate([pair[j] for pair in pairs]).mean():.3f}" for j in (0, 1)))
             for name, pairs in found.items()]  # fmt: skip
    said = [f"{answers[answers[:, 0] == c, 1].mean():.1%} of {int((answers[:, 0] == c).sum())}" for c in (1, 0)]
    words = [
        f"The classifier is right on {said[0]} halves with tumour and on {said[1]} without, over three folds. Heat is "
        "for the class tumour, on all kept-back halves that hold it.",
        "A classifier of whole slices told them apart by where in the head they lie: it found 21.8 % of the kept-back "
        "slices with tumour, and the heat said so: 0.006 of Grad-CAM's energy lay inside, where chance has 0.012.",
    ]
    return [markdown(("heat", "energy inside the tumour", "pointing game"), rows), *words]


def _in_frame(run: Any, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Pictures as the network takes them, and (n, h, w) bool tumour in its frame."""
    preprocess = run.card.preprocess
    images = Loader(samples, preprocess, batch_size=len(samples), cache=NO_CACHE).batch(0, 0).images
    where = [mask_in_frame(t.read(), place_of(t.picture_hw, preprocess)) == 1 for t in samples.truth]
    return np.asarray(images), np.stack(where)


def _answers(run: Any, samples: Samples, truth: np.ndarray) -> np.ndarray:
    """(n, 2) of true class and whether it was said."""
    images, _ = _in_frame(run, samples)
    return np.stack([truth, np.asarray(run.model.predict(images, verbose=0)).argmax(axis=1) == truth], axis=1)


def yes_no_sheet(data: Path, out: Path) -> list[str]:
    """Brain MRI with and without tumour: Grad-CAM sheets of kept-back pictures, and what the judge makes of them.

    The sheets are written to `out`, which git ignores: the pictures' own licence is not stated.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in (0, 1):
            plan = YES_NO_PLAN.model_copy(update={"seed": seed})
            run = train(data / "cls-brain-mri-yesno", plan=plan, out=Path(temporary) / f"run-{seed}")
            images, names = _ill(run)
            figure = convscope.explain(run, images, "grad-cam", target="yes", labels=names).figure(SHOWN)
            (out / f"brain_yes_no_{seed}.{figure.media}").write_bytes(figure.data)
            found = convscope.judge(run, images[:SHOWN], METHODS, "yes", sanity=False).judgement
            balanced = run.scores.values["balanced_accuracy"]
            head = (str(seed), f"{balanced.value:.3f} ({balanced.low:.3f} to {balanced.high:.3f})")
            rows += [(*head, name, *(f"{found.table[name][m].value:.3f}" for m in found.measures))
                     for name in found.methods]  # fmt: skip
    words = (
        "Two splits of the same 122 pictures, 31 kept back: so far apart are they that one says little; the five folds "
        f"of `accuracy.md` are the figure to quote. The judge saw {SHOWN} kept-back pictures with a tumour of each "
        "split. No marks come with this set: heat is judged by what the network says without it."
    )
    return [markdown(("seed", "balanced accuracy", "heat for yes", *found.measures), rows), words]


def _ill(run: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Kept-back pictures with a tumour as the network takes them, and their names."""
    kept = kept_back(run)
    ill = kept.subset(np.flatnonzero(kept.truth == kept.classes.index("yes")))
    images = Loader(ill, run.card.preprocess, batch_size=len(ill), cache=NO_CACHE).batch(0, 0).images
    return images, tuple(ill.pictures.keys)
