"""From a checked architecture to a model: first a dry run that owns no memory, then the model itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from math import prod
from typing import Any

from convscope import layers
from convscope.backend.selection import load_keras
from convscope.errors import BundleError
from convscope.models.variables import named_variables

keras = load_keras()

OURS = {f"convscope>{name}": getattr(layers, name) for name in layers.__all__}  # as Keras registers them
MAX_BYTES = 2 << 30
MAX_MAP = 1 << 31


Shapes = dict[str, tuple[int, ...]]


def _deserialized(architecture: dict[str, Any]) -> Any:
    copy = deepcopy(architecture)  # Keras empties what it reads
    return keras.saving.deserialize_keras_object(copy, custom_objects=OURS, safe_mode=True)


def _shapes(architecture: dict[str, Any]) -> Shapes:
    with keras.StatelessScope(initialize_variables=False):
        model = _deserialized(architecture)
        if not model.built:
            return {}
        weights = {name: tuple(v.shape) for name, v in named_variables(model).items()}
        largest = max((prod(n or 1 for n in shape) for shape in _output_shapes(model)), default=0)
        if largest > MAX_MAP:
            raise BundleError(f"a layer's output holds {largest:,} values for one picture, at most {MAX_MAP:,} allowed")
        return weights


def _output_shapes(model: Any) -> list[tuple[int | None, ...]]:
    shapes: list[tuple[int | None, ...]] = []
    for layer in model.layers:
        shapes += [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output)]
        shapes += _output_shapes(layer) if getattr(layer, "layers", None) else []
    return shapes


def expected_shapes(architecture: dict[str, Any], where: str) -> Shapes:
    """Build the model without memory for its weights and tell their shapes by stable name (see models.variables).

    Keras defers variables that are made inside a stateless scope. It runs in a thread of its own, since Keras keeps the
    list of deferred variables per thread and would fill them at the next occasion.

    Raises:
        BundleError: Keras refuses the architecture, or it is larger than 2 GiB.
    """
    with ThreadPoolExecutor(1) as executor:
        try:
            expected = executor.submit(_shapes, architecture).result()
        except BundleError as error:
            raise BundleError(f"{where}: refused, {error} (rule R8)") from error
        except Exception as error:  # each back end has its own errors; all of them mean "refused"
            raise BundleError(f"{where}: Keras can't build this architecture: {_first_line(error)}") from error
    total = sum(prod(shape) for shape in expected.values())
    if 4 * total > MAX_BYTES:
        raise BundleError(
            f"{where}: refused, its architecture asks for {total:,} parameters, "
            f"at most {MAX_BYTES // 4:,} allowed (rule R8)"
        )
    return expected


def build(architecture: dict[str, Any], where: str) -> Any:
    """The model of a checked architecture, its weights still at random.

    Raises:
        BundleError: Keras refuses it.
    """
    try:
        return _deserialized(architecture)
    except Exception as error:  # each back end has its own errors; all of them mean "refused"
        raise BundleError(f"{where}: Keras can't build this architecture: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
