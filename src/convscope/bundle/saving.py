"""Save a trained model as a bundle: a folder that is written whole or not at all, and that holds no code."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convscope.backend.selection import load_keras
from convscope.bundle.architecture import check_architecture
from convscope.bundle.card_file import card_to_dict
from convscope.bundle.tensors import write_tensors
from convscope.errors import BundleError
from convscope.files.atomic import atomic_folder, write_json
from convscope.files.manifest import write_manifest
from convscope.records.card import Card

keras = load_keras()

KIND = "convscope bundle"
ARCHITECTURE, WEIGHTS, CARD = "architecture.json", "weights.safetensors", "card.json"


def architecture_of(model: Any) -> dict[str, Any]:
    """The architecture as JSON, checked; call it before a long training to learn whether the model can be saved.

    Raises:
        BundleError: naming a class that is not Keras' own (custom layer, subclassed model, Lambda).
    """
    where = f"model {getattr(model, 'name', type(model).__name__)!r}"
    if not model.built:
        raise BundleError(f"{where}: expected a model that knows its input shape; call it or fit it once, then save it")
    if type(model) not in (keras.Model, keras.Sequential, *_functional_types()):
        raise BundleError(
            f"{where}: expected a Functional or Sequential model, got the class {type(model).__name__}; "
            "rebuild it with keras.Model(inputs, outputs) to save it, since a bundle holds no code"
        )
    try:
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise BundleError(f"{where}: its layers can't be written as JSON: {str(error).splitlines()[0]}") from error
    return check_architecture(config, where)


def _functional_types() -> tuple[type, ...]:
    pixels = keras.Input((1,))
    return (type(keras.Model(pixels, pixels)),)


def save_bundle(folder: Path, model: Any, card: Card) -> None:
    """Write architecture.json, weights.safetensors, card.json and manifest.json.

    Args:
        folder: `.../model.cvs`; an older one is replaced.
        model: Functional or Sequential, of Keras' own layers, nested as they may be.
        card: what the model is for.

    Raises:
        BundleError: a model that can't be saved without code, or holds NaN.
        StorageError: the disk refuses; an older bundle stays as it was.
    """
    architecture = architecture_of(model)
    with atomic_folder(Path(folder)) as temporary:
        write_json(temporary / ARCHITECTURE, architecture)
        write_tensors(temporary / WEIGHTS, model)
        versions = {"keras": str(keras.__version__), "convscope": version("convscope")}
        write_json(temporary / CARD, card_to_dict(card, versions))
        write_manifest(temporary, KIND)
