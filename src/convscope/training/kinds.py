"""What differs between tasks while a model is fitted, and nothing else: which model, its loss, and what it is fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from convscope.errors import ModelError, PlanError
from convscope.layers.augment import Augmenter
from convscope.models.network import Network
from convscope.records.samples import Batch
from convscope.registry import Registry
from convscope.tasks.outputs import Head, read_head
from convscope.tasks.rules import TASKS
from convscope.training.compiling import compile_model
from convscope.training.encoding import Apply, Encoder, balanced_weights
from convscope.training.feed import Fed
from convscope.training.job import TrainingJob
from convscope.training.phases import Phase, fitted_model, rate_of
from convscope.training.plan import Plan

Encode = Callable[[Batch], Fed]

KINDS = Registry(
    "task",
    {
        "classify": "convscope.training.kinds:score_kind",
        "multilabel": "convscope.training.kinds:score_kind",
        "regress": "convscope.training.kinds:score_kind",
        "detect": "convscope.training.kind_boxes:box_kind",
        "segment": "convscope.training.kind_masks:mask_kind",
    },
    "convscope.kinds",
)


class Kind(Protocol):
    """One task's side of `fit`.

    Attributes:
        whole: the model whose variables are in every checkpoint.
        has_features: whether a frozen backbone can be run once and its features kept.
    """

    whole: Any
    has_features: bool

    def fitted(self, phase: Phase) -> Any:
        """The model that `fit` is called on; it shares its weights with `whole`."""
        ...

    def compile(self, model: Any, phase: Phase, *, plan: Plan, steps: int, rate: float) -> None:
        """Compile it by the plan."""
        ...

    def encoder(self, phase: Phase) -> Encode:
        """For training: augmented and weighed."""
        ...

    def plain_encoder(self) -> Encode:
        """For validation: nothing is augmented or weighed."""
        ...


def kind_for(network: Network | Any, job: TrainingJob) -> Kind:
    """The kind of a job by its task.

    Raises:
        ModelError: a model that is not for this task.
    """
    found: Kind = KINDS.get(job.train.task)(network, job)
    return found


def score_kind(network: Network | Any, job: TrainingJob) -> ScoreKind:
    """For tasks whose truth is numbers per picture."""
    whole = network.model if isinstance(network, Network) else network
    return ScoreKind(network, whole, _head(network, whole, job), job)


def _head(network: Any, whole: Any, job: TrainingJob) -> Head:
    if not whole.built:
        raise ModelError(
            f"expected a built model, {whole.name} has no weights yet; give its first layer an input shape, or call it "
            "once on a batch"
        )
    loss = None
    if not getattr(whole, "compiled", False) or isinstance(network, Network):
        loss = TASKS[job.train.task].loss if job.plan.loss == "auto" else job.plan.loss
    return read_head(whole, job.train.task, job.train.classes, loss)


@dataclass(frozen=True, eq=False)
class ScoreKind:
    """Classes, labels and values: one row of numbers per picture."""

    network: Any
    whole: Any
    head: Head
    job: TrainingJob
    has_features: bool = True

    def fitted(self, phase: Phase) -> Any:
        """The whole model, or its head alone on features computed once."""
        return fitted_model(self.network, phase)

    def compile(self, model: Any, phase: Phase, *, plan: Plan, steps: int, rate: float) -> None:
        """Compile by the plan; a model that the user compiled stays as it is, only its optimizer is built."""
        if phase.what == "own":
            if not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
            return
        compile_model(model, self.head, plan, rate_of(plan, phase, steps, rate))

    def encoder(self, phase: Phase) -> Encode:
        """Augmented as planned, but for features; rare classes weighed where the plan says so."""
        job, plan = self.job, self.job.plan
        weights = None
        if plan.class_weights == "balanced" and job.train.task == "classify":
            assert job.train.truth is not None  # checked in fit
            weights = balanced_weights(job.train.truth, len(job.train.classes))
        apply = None if phase.what == "head-on-features" or plan.augment.is_off else augmentation(job)
        return Encoder(self.head, apply, weights, scale=job.preprocess.scale, offset=job.preprocess.offset)

    def plain_encoder(self) -> Encode:
        """Pixels and targets."""
        return Encoder(self.head, scale=self.job.preprocess.scale, offset=self.job.preprocess.offset)


def augmentation(job: TrainingJob) -> Apply:
    """The compiled augmentation of a job's pictures."""
    frame = job.preprocess
    if frame.height is None or frame.width is None:
        hw = job.train.pictures.read(0, frame.channels).source_hw
    else:
        hw = (frame.height, frame.width)
    values = (0.0, 255.0) if frame.fit != "as-is" else _range_of_arrays(job.plan)
    return Augmenter(job.plan.augment, frame_hw=hw, channels=frame.channels, value_range=values).compiled()


def _range_of_arrays(plan: Plan) -> tuple[float, float]:
    """What a user's arrays hold, which colours and clipping need to know.

    Raises:
        PlanError: it was not said.
    """
    if plan.value_range is None:
        raise PlanError(
            "expected value_range in the plan to augment arrays that go to the model as they are, e.g. [0, 1]; "
            "or leave augment off"
        )
    return plan.value_range
