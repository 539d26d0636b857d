"""Find plans that can't work with the data at hand, before anything is trained."""

from __future__ import annotations

import numpy as np

from convscope.data.chance import is_mixed
from convscope.errors import PlanError
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples
from convscope.training.plan import Plan

_ALLOWED = {("label_smoothing", "multilabel"), ("class_weights", "segment")}


def check_plan(plan: Plan, train: Samples) -> None:
    """Compare a plan with its training pictures.

    Args:
        plan: all choices.
        train: the training part.

    Raises:
        PlanError: the first thing that can't work, and what to change.
    """
    n = len(train)
    if plan.batch_size > n:
        raise PlanError(f"expected batch_size of at most the {n} training pictures, got {plan.batch_size}; lower it")
    if not plan.epochs and not plan.head_epochs:
        raise PlanError("expected epochs or head_epochs of at least 1, got 0 and 0; nothing would be trained")
    if plan.augment.mosaic and train.task != "detect":
        raise PlanError(
            f"expected augment.mosaic = 0 for task {train.task}, got {plan.augment.mosaic:g}; it is for boxes"
        )
    _check_folds(plan, train)
    _check_loss(plan, train)


def check_crop(preprocess: Preprocess, smallest_side_px: int | None) -> None:
    """Refuse a crop that a picture can't fill; the frame is the plan's, or the network's own.

    Args:
        preprocess: how pictures become input.
        smallest_side_px: shortest side of any picture, where it is known.

    Raises:
        PlanError: naming both sizes.
    """
    if preprocess.fit != "crop" or smallest_side_px is None or preprocess.height is None or preprocess.width is None:
        return
    if max(preprocess.height, preprocess.width) > smallest_side_px:
        raise PlanError(
            f"expected a crop that fits the pictures, got {preprocess.height}x{preprocess.width} pixels (image_size, "
            f"or the network's own) for pictures with a side of {smallest_side_px}; set image_size to at most "
            f"{smallest_side_px}, or use fit = 'letterbox'"
        )


def _check_folds(plan: Plan, train: Samples) -> None:
    if not plan.folds or train.truth is None:
        return
    if plan.folds == 1:
        raise PlanError("expected folds of at least 2 (0 for one split), got 1")
    least = len(train)
    where = "pictures"
    if train.task == "classify":
        counts = np.bincount(train.truth, minlength=len(train.classes))
        least, where = int(counts.min()), f"pictures of class {train.classes[int(counts.argmin())]!r}"
    if plan.folds > least:
        raise PlanError(f"expected folds of at most the {least} {where}, got {plan.folds}; lower folds")


def _check_loss(plan: Plan, train: Samples) -> None:
    if train.task != "classify":
        for name, off in (("class_weights", "none"), ("label_smoothing", 0.0)):
            if getattr(plan, name) != off and (name, train.task) not in _ALLOWED:
                raise PlanError(f"expected {name} = {off!r} for task {train.task}, got {getattr(plan, name)!r}")
        return
    if plan.loss.startswith("sparse") and (is_mixed(plan.augment) or plan.label_smoothing):
        raise PlanError(
            f"expected a loss that takes shares of classes for MixUp, CutMix or label smoothing, got {plan.loss!r}; "
            "set loss = 'categorical_crossentropy'"
        )
