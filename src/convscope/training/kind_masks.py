"""Masks while a model is fitted: the class of each pixel, moved with its picture, and losses that know void."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.data.chance import is_mixed
from convscope.data.places import mask_in_frame, place_of
from convscope.errors import DataError, ModelError, PlanError
from convscope.layers.augment import Augmenter
from convscope.layers.mask_losses import mask_loss
from convscope.layers.mask_metric import MaskIoU
from convscope.models.network import Network
from convscope.records.geometry import Preprocess
from convscope.records.masks import VOID, MaskTruth
from convscope.records.samples import Batch
from convscope.training.compiling import make_optimizer
from convscope.training.encoding import Apply
from convscope.training.feed import Fed
from convscope.training.job import TrainingJob
from convscope.training.kinds import Encode
from convscope.training.phases import Phase, rate_of
from convscope.training.plan import Plan

keras = load_keras()

COUNTED = 200  # masks that the balance of classes is counted on


@dataclass(frozen=True, eq=False)
class MaskEncoder:
    """Batch -> (pictures, masks) as fit takes them.

    Attributes:
        preprocess: the frame that masks are brought to.
        apply: (images, draws, partners) -> images, the compiled augmentation, or None.
        move: (masks, draws) -> masks, the same for masks, or None.
    """

    preprocess: Preprocess
    apply: Apply | None = None
    move: Callable[[np.ndarray, dict[str, np.ndarray]], Any] | None = None

    def __call__(self, batch: Batch) -> Fed:
        """Read the masks, bring them to the frame, move them with their pictures.

        Returns:
            (n, h, w, c) float32 pictures and (n, h, w) int32 class indices, VOID where nothing is said; of blocks
            (n, h, w, slices) both.

        Raises:
            DataError: pictures without masks, or a mask that can't be read.
        """
        if batch.truth is None:
            raise DataError("expected pictures with masks to train on, got none; add masks")
        masks = np.stack([frame_mask(truth, self.preprocess) for truth in batch.truth])
        images = np.asarray(batch.images, np.float32)
        if batch.draws is not None and self.apply is not None and self.move is not None:
            images = to_numpy(self.apply(batch.images, batch.draws, batch.partners))
            masks = to_numpy(self.move(masks, batch.draws))
        frame = self.preprocess
        if (frame.scale, frame.offset) != (1, 0):
            images = images * np.float32(frame.scale) + np.float32(frame.offset)
        return images, masks.astype(np.int32)


def frame_mask(truth: MaskTruth, preprocess: Preprocess) -> np.ndarray:
    """One mask in the network's frame, (height, width) uint8; of a block with its slices as third axis."""
    return mask_in_frame(truth.read(), place_of(truth.picture_hw, preprocess))


@dataclass(frozen=True, eq=False)
class MaskKind:
    """The class of each pixel; the network's output is (n, h, w, classes) probabilities."""

    network: Any
    whole: Any
    job: TrainingJob
    has_features: bool = False

    def fitted(self, phase: Phase) -> Any:
        """The whole model."""
        return self.whole

    def compile(self, model: Any, phase: Phase, *, plan: Plan, steps: int, rate: float) -> None:
        """Compile with a loss that leaves void pixels out; a model that the user compiled stays as it is."""
        if phase.what == "own":
            return
        k = len(self.job.train.classes)
        weights = mask_weights(self.job, k) if plan.class_weights == "balanced" else None
        optimizer = make_optimizer(plan, rate_of(plan, phase, steps, rate))
        loss = mask_loss(plan.loss, k, class_weights=weights)
        model.compile(optimizer=optimizer, loss=loss, metrics=[MaskIoU(k)], auto_scale_loss=False)
        optimizer.build(model.trainable_variables)

    def encoder(self, phase: Phase) -> Encode:
        """Pictures and masks, changed together as planned."""
        plan, frame = self.job.plan, self.job.preprocess
        if plan.augment.is_off:
            return MaskEncoder(frame)
        if is_mixed(plan.augment):
            raise PlanError("expected augment.mixup = 0 and augment.cutmix = 0 for masks; set them to 0")
        assert frame.height is not None and frame.width is not None  # mask_kind has checked
        change = Augmenter(plan.augment, frame_hw=(frame.height, frame.width), channels=frame.channels)
        return MaskEncoder(frame, change.compiled(), change.compiled_labels())

    def plain_encoder(self) -> Encode:
        """Pictures and masks as they are."""
        return MaskEncoder(self.job.preprocess)


def mask_kind(network: Network | Any, job: TrainingJob) -> MaskKind:
    """For tasks whose truth is a mask per picture.

    Raises:
        ModelError: a model whose output is not one row of class probabilities per pixel of its input.
    """
    whole = network if isinstance(network, keras.Model) else network.model
    frame, k = job.preprocess, len(job.train.classes)
    found = tuple(whole.output_shape[1:])
    wanted = (frame.height, frame.width, *([frame.channels] if len(found) == 4 else []), k)
    if found != wanted:
        raise ModelError(
            f"expected an output of shape (n, {', '.join(map(str, wanted))}), one probability for each of {k} classes "
            f"at each pixel; {whole.name} has (n, {', '.join(map(str, found))})"
        )
    return MaskKind(network, whole, job)


def mask_weights(job: TrainingJob, classes: int) -> np.ndarray:
    """(k,) float32 weights with which each class counts the same in sum over at most COUNTED training masks."""
    truth = job.train.truth
    assert truth is not None  # checked in fit
    counts = np.zeros(classes)
    for index in np.linspace(0, len(truth) - 1, min(COUNTED, len(truth))).astype(int):
        mask = frame_mask(truth[index], job.preprocess)
        counts += np.bincount(mask[mask != VOID], minlength=classes)[:classes]
    present = counts > 0
    weights = np.zeros(classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)
