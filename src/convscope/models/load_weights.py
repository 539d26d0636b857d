"""Fill a built model from a file of weights, by layer name (.safetensors) or as a whole (Keras' own formats)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from convscope.errors import ModelError, PlanError
from convscope.models.parts import OUTPUTS
from convscope.models.variables import named_variables

SUFFIXES = (".safetensors", ".weights.h5", ".keras", ".h5")


def load_weights(model: Any, path: Path) -> None:
    """Fill `model` from `path`.

    Args:
        model: built; the same network as the file's.
        path: .safetensors (names as convscope writes them; a head of another size is left as it is), .weights.h5,
            .keras or .h5 (as Keras writes them, the same layers in the same order).

    Raises:
        PlanError: a suffix that holds no weights convscope can read.
        ModelError: weights of another network, or a damaged file.
    """
    if not path.name.endswith(SUFFIXES):
        raise PlanError(f"{path}: expected weights as {', '.join(SUFFIXES)} (or the published .pth of Lite0)")
    if path.suffix == ".safetensors":
        _by_name(model, path)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that it could not fill
            model.load_weights(str(path))
    except (ValueError, OSError, KeyError, TypeError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: expected weights of this very network, Keras refuses them: {reason}") from error


def _by_name(model: Any, path: Path) -> None:
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: expected a .safetensors file, can't read it: {error}") from error
    for name, variable in named_variables(model).items():
        value = tensors.get(name)
        if value is not None and value.shape == tuple(variable.shape):
            variable.assign(value)
        elif not name.startswith(f"{OUTPUTS}/"):
            found = "none" if value is None else str(value.shape)
            raise ModelError(f"{path}: expected {name} of shape {tuple(variable.shape)}, found {found}")
