"""The layers of a model for the page: a row per call with shape, cost and field, the edges between them, the stages."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from convscope.actions.inside import spatial_layers
from convscope.actions.look import Scope
from convscope.errors import ConvscopeError, ModelError
from convscope.records.field import ReceptiveField
from convscope.scope.calls import Call
from convscope.scope.costs import costs_of
from convscope.scope.field.report import all_fields
from convscope.scope.filters import kernel_array
from convscope.scope.measuring import fields_for, graph_for


def network(scope: Scope) -> dict[str, Any]:
    """Every layer call in the order of the run, with what is known of it.

    A layer whose cost or field can't be told has null there, never a guess.
    """
    calls = scope.probe.calls()
    try:
        graph = graph_for(scope.probe)
    except ModelError as error:
        costs, fields, note = {}, {}, str(error)
    else:
        costs = {row.layer: row for row in costs_of(graph).rows}
        fields = {row.layer: row for row in all_fields(fields_for(graph)).rows}
        note = ""
    parents = {c.within for c in calls}
    shown = [c for c in calls if c.name in costs or c.name not in parents]
    rows = []
    for call in shown:
        cost, field = costs.get(call.name), fields.get(call.name)
        rows.append(
            {
                "name": call.name,
                "kind": call.kind,
                "within": call.within,
                "inputs": list(call.parents),
                "shape": list(call.output_shapes[0]) if call.output_shapes else [],
                "has_maps": len(call.output_shapes) == 1 and call.channel_axis is not None,
                "has_kernels": kernel_array(call.layer) is not None,
                "activation": _activation(call),
                "parameters": cost and cost.parameters,
                "macs": cost and cost.macs,
                "field": _field(field),
            }
        )
    return {
        "model": scope.model.name,
        "rows": rows,
        "parameters": sum(r["parameters"] or 0 for r in rows),
        "macs": sum(r["macs"] or 0 for r in rows),
        "input": _input_shape(scope),
        "note": note,
    }


def _input_shape(scope: Scope) -> list[int | None]:
    shape = getattr(scope.model, "input_shape", None)
    return list(shape[1:]) if isinstance(shape, tuple) and len(shape) == 4 else []


def _activation(call: Call) -> str:
    name = getattr(getattr(call.layer, "activation", None), "__name__", "")
    return "" if name == "linear" else name


def _field(field: ReceptiveField | None) -> dict[str, Any] | None:
    if field is None:
        return None
    return {
        "axes": [
            {
                "size": a.size,
                "stride": None if a.stride is None else float(Fraction(a.stride)),
                "offset": a.offset,
                "whole": a.is_whole,
            }
            for a in field.axes
        ],
        "input": list(field.input_size),
        "notes": list(field.notes),
    }


def activity(scope: Scope, inputs: np.ndarray) -> dict[str, Any]:
    """For one picture, per layer: mean, largest value, share of zeros; for the bars beside the graph.

    `gradient` is the mean size of the gradient of the highest class' score at the layer's output; left out where the
    score does not depend on the layer or none can be taken (boxes, masks).
    """
    names = [c.name for c in scope.probe.calls(inputs) if c.steps == 1 and len(c.output_shapes) == 1]
    seen = scope.probe.activations(inputs, names)
    rows: dict[str, dict[str, float]] = {}
    for name, values in seen.items():
        flat = np.asarray(values, np.float64)
        rows[name] = {
            "mean": float(np.abs(flat).mean()),
            "largest": float(flat.max(initial=0.0)),
            "zeros": float((flat == 0).mean()),
        }
    for name, size in _gradients(scope, inputs, names).items():
        rows[name]["gradient"] = size
    return rows


def _gradients(scope: Scope, inputs: np.ndarray, names: list[str]) -> dict[str, float]:
    """Mean size of the score's gradient, layer by layer, in one pass; nothing where one pass can't give it."""
    try:
        ways = spatial_layers(scope, inputs)
        seen = scope.probe.gradients(inputs, None, [n for n in names if n in ways])
    except ConvscopeError:
        return {}
    return {place.call: float(np.abs(values).mean()) for place, values in seen.gradients.items()}
