"""MLflow and Weights & Biases as sinks; both are imported only when a plan names them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from convscope.errors import MissingExtraError, StorageError
from convscope.files.atomic import write_text
from convscope.training.tracking import Seen, Start

RUN_ID = "mlflow-run.txt"
STORE = "mlflow.db"
_MOST_PARAMS = 100  # MLflow refuses more in one call


class MLflow:
    """An MLflow run per run folder: parameters, numbers per epoch, pictures.

    Where: $MLFLOW_TRACKING_URI (a server), else the SQLite file mlflow.db beside the run folder.
    """

    wants_pictures = True

    def begin(self, start: Start) -> None:
        """Open the run, or open it again when the run folder is gone on with.

        Raises:
            MissingExtraError: mlflow is absent. StorageError: the server can't be reached.
        """
        try:
            package = import_module("mlflow")
            self._entities: Any = import_module("mlflow.entities")
        except ImportError as error:
            raise MissingExtraError("tracking by mlflow needs MLflow; pip install 'convscope[mlflow]'") from error
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(start.folder.parent / STORE).resolve()}"
        try:
            self._client: Any = package.MlflowClient(tracking_uri=address)
            self._run = self._opened(start)
        except package.exceptions.MlflowException as error:
            words = f"can't reach MLflow at {address}: {str(error).splitlines()[0]}"
            raise StorageError(re.sub(r"//[^/@\s]*@", "//***@", words)) from None  # names and passwords

    def _opened(self, start: Start) -> str:
        note = start.folder / RUN_ID
        if start.epoch and note.is_file():
            return note.read_text(encoding="utf-8").strip()
        name = "convscope"
        known = self._client.get_experiment_by_name(name)
        here = str((start.folder.parent / "mlflow-files").resolve())
        place = None if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http") else here  # a server has its own
        experiment = known.experiment_id if known else self._client.create_experiment(name, artifact_location=place)
        run = self._client.create_run(experiment, run_name=start.folder.name)
        found = str(run.info.run_id)
        pairs = [self._entities.Param(k.replace(".", "/"), str(v)[:500]) for k, v in start.hyper.items()]
        for first in range(0, len(pairs), _MOST_PARAMS):
            self._client.log_batch(found, params=pairs[first : first + _MOST_PARAMS])
        write_text(note, found)
        return found

    def epoch(self, seen: Seen) -> None:
        """Write one epoch; MLflow keeps pictures by name, so the epoch is part of it."""
        now_ms = self._now_ms()
        metrics = [self._entities.Metric(k, v, now_ms, seen.epoch) for k, v in seen.scalars.items()]
        self._client.log_batch(self._run, metrics=metrics)
        for name, picture in seen.pictures.items():
            self._client.log_image(self._run, picture, f"{name}/epoch-{seen.epoch:04d}.png")

    def _now_ms(self) -> int:
        import time

        return int(time.time() * 1000)

    def close(self, final: Mapping[str, float]) -> None:
        """Say that the run ended."""
        self._client.set_terminated(self._run)


class WeightsAndBiases:
    """A W&B run per run folder; WANDB_MODE=offline keeps everything on this machine."""

    wants_pictures = True

    def begin(self, start: Start) -> None:
        """Open the run.

        Raises:
            MissingExtraError: wandb is absent.
        """
        try:
            self._wandb: Any = import_module("wandb")
        except ImportError as error:
            raise MissingExtraError("tracking by wandb needs wandb; pip install 'convscope[wandb]'") from error
        self._run: Any = self._wandb.init(
            project="convscope", name=start.folder.name, id=start.folder.name, config=dict(start.hyper),
            dir=str(start.folder), resume="allow",
        )  # fmt: skip

    def epoch(self, seen: Seen) -> None:
        """Write one epoch."""
        histograms = {k: self._wandb.Histogram(v) for k, v in seen.histograms.items()}
        pictures = {k: self._wandb.Image(v) for k, v in seen.pictures.items()}
        self._run.log({**seen.scalars, **histograms, **pictures}, step=seen.epoch)

    def close(self, final: Mapping[str, float]) -> None:
        """Write the last numbers and close."""
        self._run.summary.update(dict(final))
        self._run.finish()
