"""One stable name for every variable of a model, through nested models and shared layers."""

from __future__ import annotations

from typing import Any


def named_variables(model: Any) -> dict[str, Any]:
    """`layer/variable` (or `inner_model/layer/variable`) -> keras variable, each variable once, in a fixed order.

    Metric variables, optimizer state and the seeds of drop-out layers are not weights and not listed.
    """
    named: dict[str, Any] = {}
    _collect(model, "", named, seen=set())
    return named


def _collect(layer: Any, prefix: str, named: dict[str, Any], *, seen: set[int]) -> None:
    for inner in getattr(layer, "layers", []):
        _collect(inner, f"{prefix}{inner.name}/", named, seen=seen)
    for variable in layer.weights:
        if id(variable) in seen:
            continue
        seen.add(id(variable))
        tail = _after(variable.path.split("/"), layer.name)
        name, k = f"{prefix}{tail}", 1
        while name in named:
            k += 1
            name = f"{prefix}{tail}#{k}"
        named[name] = variable


def _after(segments: list[str], name: str) -> str:
    """The part of a variable's path below its layer; what stands before depends on where the layer was built."""
    start = segments.index(name) + 1 if name in segments[:-1] else 0
    return "/".join(segments[start:])
