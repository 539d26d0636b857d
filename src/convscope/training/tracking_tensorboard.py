"""TensorBoard event files without TensorFlow, by tensorboardX: `tensorboard --logdir runs` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from convscope.errors import MissingExtraError
from convscope.training.tracking import Seen, Start

FOLDER = "tensorboard"


class TensorBoard:
    """Scalars, histograms of kernels, pictures of filters, maps and explanations, hyper-parameters."""

    wants_pictures = True

    def begin(self, start: Start) -> None:
        """Open an event file in RUN/tensorboard; epochs that a resume repeats are hidden by their step.

        Raises:
            MissingExtraError: tensorboardX is absent.
        """
        try:
            package = import_module("tensorboardX")
            self._summary: Any = import_module("tensorboardX.summary")
        except ImportError as error:
            raise MissingExtraError(
                "tracking by tensorboard needs tensorboardX; pip install 'convscope[tensorboard]'"
            ) from error
        self._hyper = dict(start.hyper)
        self._writer: Any = package.SummaryWriter(
            str(start.folder / FOLDER), purge_step=start.epoch + 1 if start.epoch else None, write_to_disk=True
        )

    def epoch(self, seen: Seen) -> None:
        """Write one epoch and flush it."""
        for name, value in seen.scalars.items():
            self._writer.add_scalar(_grouped(name), value, seen.epoch)
        for name, values in seen.histograms.items():
            if np.isfinite(values).all():
                self._writer.add_histogram(name, values, seen.epoch)
        for name, picture in seen.pictures.items():
            self._writer.add_image(name, picture, seen.epoch, dataformats="HWC")
        self._writer.flush()

    def close(self, final: Mapping[str, float]) -> None:
        """Write the hyper-parameters with the last numbers, as TensorBoard's page for them wants it."""
        numbers = {_grouped(k): v for k, v in final.items()}
        for part in self._summary.hparams(self._hyper, numbers):
            self._writer.file_writer.add_summary(part)
        self._writer.close()


def _grouped(name: str) -> str:
    """Training and validation of one metric stand side by side: "accuracy/train", "accuracy/val"."""
    if name in ("learning_rate", "seconds"):
        return f"run/{name}"
    return f"{name.removeprefix('val_')}/{'val' if name.startswith('val_') else 'train'}"
