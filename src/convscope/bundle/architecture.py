"""Check a saved architecture against the allow-list before Keras sees it: a file names layers and numbers only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from convscope.bundle.allowed import ALLOWED, DTYPES, LAYER_LIKE, NAMED_OBJECTS, OWN
from convscope.errors import BundleError

MAX_LAYERS = 2000  # NASNet-Large, the longest of keras.applications, has about 1,040
MAX_VALUES = 500_000
DATA_NODES = ("__keras_tensor__", "__numpy__", "__tuple__")
# addresses, absolute paths, drives, ways up: nothing that a layer's settings need
FORBIDDEN_TEXT = re.compile(r"://|^[/~\\]|^[A-Za-z]:[\\/]|(^|[\\/])\.\.([\\/]|$)|[\x00-\x1f]")


class _Walk:
    """One pass over the JSON with the counts that limit it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.layers = 0
        self.values = 0

    def refuse(self, rule: str, text: str) -> BundleError:
        return BundleError(f"{self.where}: refused, {text} (rule {rule})")

    def visit(self, value: Any, key: str, place: str) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.refuse("R8", f"expected at most {MAX_VALUES:,} values in an architecture, found more")
        if isinstance(value, dict):
            self._dictionary(value, key, place)
        elif isinstance(value, list):
            for item in value:
                self.visit(item, key, place)
        elif isinstance(value, str):
            self._text(value, key, place)

    def _dictionary(self, node: dict[str, Any], key: str, place: str) -> None:
        name = node.get("class_name")
        if name is not None or "module" in node:
            place = self._object(node, name, place)
        for inner, value in node.items():
            if inner == "inbound_nodes":
                for argument in _plain_arguments(value):
                    raise self.refuse("R12", f"{place} is called on {argument!r:.60} where a tensor is expected")
            if inner not in ("module", "class_name", "registered_name", "compile_config"):
                self.visit(value, inner, place)
        if key in ("activation", "recurrent_activation") and name is None:
            raise self.refuse("R10", f"{place} has an activation without a name")

    def _object(self, node: dict[str, Any], name: Any, place: str) -> str:
        module, registered = node.get("module"), node.get("registered_name")
        config = node.get("config")
        own = config.get("name") if isinstance(config, dict) else None
        here = f"{place}/{own}" if isinstance(own, str) else place
        if module is None and name in DATA_NODES:
            return here
        if (module, name) not in ALLOWED:
            raise self.refuse("R9, R10", f"{module}.{name} at {here} is not on the list of Keras' own layers")
        ours = f"convscope>{name}" if module in OWN else name  # as keras.saving registers it
        if registered not in (None, ours):
            raise self.refuse("R11", f"{here} asks for the registered class {registered!r}")
        if module in LAYER_LIKE:
            self.layers += 1
            if self.layers > MAX_LAYERS:
                raise self.refuse("R8", f"expected at most {MAX_LAYERS:,} layers, found more")
        return here

    def _text(self, text: str, key: str, place: str) -> None:
        if FORBIDDEN_TEXT.search(text):
            raise self.refuse("R11", f"{key} of {place} is an address or a path: {text!r:.60}")
        if key == "dtype" and text not in DTYPES:
            raise self.refuse("R9", f"{key} of {place} is {text!r:.40}, which is no number type")
        for kind, names in NAMED_OBJECTS.items():
            if key.endswith(kind) and text not in names:
                raise self.refuse("R10", f"{key} of {place} is {text!r:.40}, which is not Keras' own")


def _plain_arguments(value: Any) -> Iterator[str]:
    """Strings and foreign objects among the arguments of calls; numbers, None and tensors are fine."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _plain_arguments(item)
    elif isinstance(value, dict) and value.get("class_name") != "__keras_tensor__":
        if "class_name" in value and value["class_name"] not in DATA_NODES:
            yield str(value["class_name"])
        for item in (v for k, v in value.items() if k not in ("class_name", "dtype")):
            yield from _plain_arguments(item)


def check_architecture(architecture: Any, where: str) -> dict[str, Any]:
    """Refuse whatever is not a model made of Keras' own layers.

    Args:
        architecture: parsed JSON, as `keras.saving.serialize_keras_object` writes it.
        where: named in the error.

    Returns:
        The architecture without its compile settings, which never come from a file (rule R13).

    Raises:
        BundleError: naming class, place and rule.
    """
    if not isinstance(architecture, dict) or architecture.get("class_name") not in (
        "Functional",
        "Sequential",
        "Model",
    ):
        found = architecture.get("class_name") if isinstance(architecture, dict) else type(architecture).__name__
        raise BundleError(
            f"{where}: expected a Functional or Sequential model of Keras' own layers, got {found}; "
            "rebuild it as one to save it, since a saved model holds no code (rule R9)"
        )
    _Walk(where).visit(architecture, "", str(architecture["class_name"]))
    return {key: value for key, value in architecture.items() if key != "compile_config"}
