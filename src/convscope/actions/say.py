"""`convscope predict`: what a trained network says of new pictures, whatever its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convscope.actions.mask_looks import WHOLE, Looks
from convscope.actions.mask_pictures import pictures_to_mark
from convscope.actions.opening import open_any
from convscope.actions.predict import known_card
from convscope.actions.steps import Steps, steps_for
from convscope.data.loose import read_pictures
from convscope.errors import PlanError
from convscope.records.card import Opened
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples


@dataclass(frozen=True, eq=False)
class Said:
    """What a network said of pictures.

    Attributes:
        record: Predictions, Detections or Segmentations, by the task.
        steps: the task's own way to show and write it.
        samples: the pictures.
    """

    record: Any
    steps: Steps
    samples: Samples

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Plain rows for a table or JSON."""
        return self.steps.rows(self.record)

    def write(self, folder: Path) -> Sequence[Path]:
        """Write files; return those that a person opens first."""
        return self.steps.write(folder, self.record, self.samples)


def say_of_files(
    model: str | Path | Opened,
    files: Sequence[str | Path],
    *,
    native_size: bool = False,
    looks: Looks = WHOLE,
    progress: Progress = silent,
) -> Said:
    """Say what a network sees in picture files.

    Args:
        model: a run, a bundle, or an opened model.
        files: pictures, or folders of pictures.
        native_size: give each picture at its own size (networks that end in global pooling only).
        looks: segmenters: whole or through a sliding window, mirrored or not, and the plane of volumes.
        progress: told how far it is.

    Returns:
        What it says, in the order of the files; a picture that can't be read is left out and named.

    Raises:
        DataError: no readable picture.
        ModelError: a bare .keras file, of which neither classes nor preprocessing are known.
        PlanError: looks that a network of another task does not have.
    """
    opened = model if isinstance(model, Opened) else open_any(model)
    card = known_card(opened)
    task = card.task
    steps = steps_for(task)
    if task == "segment":
        from convscope.actions.mask_steps import MaskSteps

        assert isinstance(steps, MaskSteps)
        steps, samples = replace(steps, looks=looks), pictures_to_mark(files, card, looks.plane)
    elif looks != WHOLE:
        raise PlanError(f"expected a segmenter for sliding windows, flips and planes, this network is for task {task}")
    else:
        samples = read_pictures(files)
    return Said(steps.say(opened, samples, native_size=native_size, progress=progress), steps, samples)


def predict_files(
    model: str | Path | Opened,
    files: Sequence[str | Path],
    *,
    native_size: bool = False,
    looks: Looks = WHOLE,
    progress: Progress = silent,
) -> Any:
    """Predictions, Detections or Segmentations of picture files; see `say_of_files`."""
    return say_of_files(model, files, native_size=native_size, looks=looks, progress=progress).record
