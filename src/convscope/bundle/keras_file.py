"""Keras' own .keras file: written whole or not at all, and checked as strictly as a bundle before it is opened."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

from convscope.backend.selection import load_keras
from convscope.bundle.architecture import check_architecture
from convscope.bundle.archive import read_archive
from convscope.bundle.building import build, expected_shapes
from convscope.bundle.h5_weights import check_h5_weights
from convscope.bundle.strict_json import read_json
from convscope.errors import BundleError
from convscope.files.atomic import atomic_file
from convscope.records.card import Opened

keras = load_keras()

PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".npy", ".npz")


def save_keras(path: Path, model: Any) -> None:
    """Write `model` as `path`, a .keras file that plain Keras opens.

    Raises:
        StorageError: the disk refuses; an older file stays as it was.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise BundleError(f"{path}: expected a name that ends in .keras")
    with atomic_file(path) as temporary:
        model.save(temporary)


def open_keras(path: Path) -> Opened:
    """Open a .keras file; only Keras' own layers, checked before Keras sees the file.

    Compile settings in it are left out. The card is None: a bare file says neither classes nor preprocessing.

    Raises:
        BundleError: refused or damaged, with the reason and the rule.
    """
    path = Path(path)
    if path.suffix in PICKLED:
        raise BundleError(f"{path}: pickle-based formats are never opened, because opening them runs code (rule R19)")
    members = read_archive(path)
    _check_version(members["metadata.json"], path)
    architecture = check_architecture(read_json(members["config.json"], f"{path}: config.json"), str(path))
    expected = expected_shapes(architecture, str(path))
    check_h5_weights(members["model.weights.h5"], tuple(expected.values()), str(path))
    model = build(architecture, str(path))
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.weights.h5"
        weights.write_bytes(members["model.weights.h5"])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that it could not fill
                model.load_weights(weights)
        except (ValueError, OSError, KeyError, TypeError, UserWarning) as error:
            reason = str(error).strip().splitlines()[0]
            raise BundleError(f"{path}: its weights do not fit its architecture: {reason} (rule R16)") from error
    return Opened(model, None, str(path))


def _check_version(metadata: bytes, path: Path) -> None:
    facts = read_json(metadata, f"{path}: metadata.json")
    stated = facts.get("keras_version") if isinstance(facts, dict) else None
    if not isinstance(stated, str) or not re.match(r"\d+\.\d+", stated):
        raise BundleError(f"{path}: expected a keras_version in its metadata, got {stated!r} (rule R17)")
    if _numbers(stated) > _numbers(str(keras.__version__)):
        raise BundleError(f"{path}: made by Keras {stated}, this is {keras.__version__}; update Keras (rule R17)")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])
