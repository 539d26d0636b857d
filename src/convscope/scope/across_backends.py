"""The same weights on several back ends, each in a process of its own, compared layer by layer."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.backend.selection import backend_name, installed
from convscope.errors import BackendError, ModelError
from convscope.scope.compare import Comparison, compare_arrays
from convscope.scope.paths import Names, as_names
from convscope.scope.tap import Probe

_CHILD = """
import sys
from convscope.scope.across_backends import answer
answer(*sys.argv[1:])
"""


def compare_backends(
    probe: Probe, images: np.ndarray, layers: Names = "**", *, backends: Sequence[str] = ()
) -> dict[str, Comparison]:
    """Compare the running back end with each other installed one, on one array of pictures.

    The model travels as a .keras file, so it must be one that Keras can save and load.

    Raises:
        BackendError: no other back end is installed, or one of them failed (its last line is told).
        ModelError: several inputs, or a model that can't be saved.
    """
    here = backend_name()
    others = list(backends) or [b for b in installed() if b != here]
    if not others:
        raise BackendError(f"expected another back end beside {here}, found none; install one more extra")
    if not isinstance(images, np.ndarray):
        raise ModelError(f"expected one array of pictures, got {type(images).__name__}")
    names = probe.select(layers, images)
    mine = probe.activations(images, names)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        probe.model.save(place / "model.keras")
        np.save(place / "images.npy", images)
        return {b: compare_arrays(mine, _ask(b, place, names)) for b in others}


def _ask(backend: str, place: Path, names: list[str]) -> dict[str, np.ndarray]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = [sys.executable, "-c", _CHILD, str(place), backend, *names]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BackendError(f"the process on {backend} failed: {last}")
    return {name: np.load(place / f"{backend}-{i}.npy") for i, name in enumerate(names)}


def answer(folder: str, backend: str, *names: str) -> None:
    """Run in the child: load the model, write the activations of the named layers."""
    from convscope.backend.selection import load_keras

    place, keras = Path(folder), load_keras()
    model: Any = keras.saving.load_model(place / "model.keras", compile=False)
    found = Probe(model).activations(np.load(place / "images.npy"), as_names(names))
    for i, name in enumerate(names):
        np.save(place / f"{backend}-{i}.npy", found[name])
