"""The steps of a run that differ between tasks: what is built, how it is scored, what it says, what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from convscope.actions.dataset import Parts
from convscope.actions.run_folder import RunFolder
from convscope.records.card import Opened
from convscope.records.prediction import Scores
from convscope.records.progress import Progress
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.registry import Registry
from convscope.training.plan import Plan

if TYPE_CHECKING:
    from convscope.actions.network import Prepared  # loads Keras, which nothing here needs

STEPS = Registry(
    "task",
    {
        "classify": "convscope.actions.score_steps:ScoreSteps",
        "multilabel": "convscope.actions.score_steps:ScoreSteps",
        "regress": "convscope.actions.score_steps:ScoreSteps",
        "detect": "convscope.actions.box_steps:BoxSteps",
        "segment": "convscope.actions.mask_steps:MaskSteps",
    },
    "convscope.steps",
)


class Steps(Protocol):
    """One task's side of the actions. What a network says is a record of its own kind: Predictions, Detections or
    Segmentations."""

    def prepare(self, plan: Plan, samples: Samples, own: Any) -> Prepared:
        """The network of the plan, or the user's own model, for these samples."""
        ...

    def close(self, run: RunFolder, opened: Opened, parts: Parts, *, progress: Progress) -> tuple[Opened, Scores]:
        """After training: calibrate on validation, score what was kept back and write down what was said of it."""
        ...

    def score(self, opened: Opened, samples: Samples, *, progress: Progress) -> Scores:
        """How right the network is on samples with truth."""
        ...

    def say(self, opened: Opened, samples: Samples, *, native_size: bool, progress: Progress) -> Any:
        """What the network says of pictures."""
        ...

    def rows(self, said: Any) -> list[dict[str, Any]]:
        """What `say` returned as plain rows, for a table or JSON."""
        ...

    def write(self, folder: Path, said: Any, samples: Samples) -> Sequence[Path]:
        """Write what `say` returned to files; return the files that a person opens first."""
        ...

    def sections(self, run: RunFolder, *, which: str, progress: Progress) -> list[Section]:
        """The page's sections between training and data: scores, mistakes, the inside; `which` pictures, in words."""
        ...


def steps_for(task: str) -> Steps:
    """The steps of a task.

    Raises:
        UnknownNameError: naming the nearest known task.
    """
    found: Steps = STEPS.get(task)()
    return found
