"""The table of all layer calls: shapes, kernels, receptive field, parameters, multiplications, memory."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.draw.numbers import count
from convscope.errors import ModelError
from convscope.records.cost import Cost
from convscope.records.field import ReceptiveField
from convscope.scope.batches import model_input_shapes
from convscope.scope.calls import Call
from convscope.scope.costs import costs_of
from convscope.scope.field.propagate import propagate
from convscope.scope.field.report import all_fields
from convscope.scope.graph import graph_of
from convscope.scope.shown import Table, table
from convscope.scope.tap import Probe

HEADINGS = ("layer", "kind", "output", "kernel", "stride", "field", "parameters", "MACs", "bytes")


def layer_table(probe: Probe, images: Any = None) -> Table:
    """One row per call that is not an enclosing model, in the order of the run.

    Raises:
        ModelError: the model does not say its input shape and no pictures were given.
    """
    calls = probe.calls(images)
    costs, fields, note = _geometry(probe, images)
    parents = {c.within for c in calls}
    shown = [c for c in calls if c.name in costs or c.name not in parents]
    rows = [_row(c, costs.get(c.name), fields.get(c.name)) for c in shown]
    total = sum(c.parameters for c in costs.values()), sum(c.macs or 0 for c in costs.values())
    words = f"{count(total[0])} parameters, {count(total[1])} multiply-adds for one picture" if costs else ""
    return table(probe.model.name, HEADINGS, rows, "; ".join(w for w in (words, note) if w))


def _geometry(probe: Probe, images: Any) -> tuple[dict[str, Cost], dict[str, ReceptiveField], str]:
    keras, shapes = load_keras(), None
    if images is not None:
        flat = [tuple(x.shape[1:]) for x in keras.tree.flatten(images)]
        known = model_input_shapes(probe.model) is not None
        shapes = flat if known else keras.tree.map_structure(lambda x: tuple(x.shape[1:]), images)
    try:
        graph = graph_of(probe.model, shapes)
    except ModelError as error:
        return {}, {}, f"no costs and fields: {error}"
    costs = {row.layer: row for row in costs_of(graph).rows}
    return costs, {row.layer: row for row in all_fields(propagate(graph)).rows}, ""


def _row(call: Call, cost: Cost | None, field: ReceptiveField | None) -> tuple[str, ...]:
    kernel = getattr(call.layer, "kernel_size", None) or getattr(call.layer, "pool_size", None)
    return (
        call.name,
        call.kind,
        " + ".join(_shape(s) for s in call.output_shapes),
        _shape(kernel),
        _shape(getattr(call.layer, "strides", None)),
        "" if field is None else _field(field),
        "" if cost is None else count(cost.parameters),
        "" if cost is None or cost.macs is None else count(cost.macs),
        "" if cost is None else count(cost.activation_bytes),
    )


def _shape(numbers: Any) -> str:
    if numbers is None:
        return ""
    return "x".join(map(str, numbers)) if isinstance(numbers, (tuple, list)) else str(numbers)


def _field(field: ReceptiveField) -> str:
    if all(axis.is_whole for axis in field.axes):
        return "whole picture"
    return "x".join("?" if axis.size is None else str(axis.size) for axis in field.axes)
