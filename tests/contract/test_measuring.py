"""Arithmetic, receptive fields and costs on every model of the zoo."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from contract.zoo import ZOO, Specimen
from convscope.errors import ModelError
from convscope.scope.arithmetic.given import RULES
from convscope.scope.costs import costs_of
from convscope.scope.field.report import field_of
from convscope.scope.field.support import support_of
from convscope.scope.graph import Call, graph_of
from convscope.scope.measuring import fields_for, graph_for, value_by_hand
from convscope.scope.tap import Probe

pytestmark = [
    pytest.mark.backend,
    # Keras says this of the layer that is never called, as in a plain first call of that model
    pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer:UserWarning"),
    # Keras on PyTorch, reading a weights file with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

HERE = keras.backend.backend()
PARAMS = [pytest.param(s, id=s.name) for s in ZOO if HERE in s.on]


def opened(specimen: Specimen) -> tuple[Probe, Any]:
    probe = Probe(specimen.build())
    images = specimen.images(1)
    probe.outputs(images)
    return probe, images


def spatial(call: Call) -> tuple[int, ...]:
    shape = call.output_shape
    return shape[1:] if call.channel_axis == 0 and len(shape) > 1 else shape[:-1]


def channels(call: Call) -> int:
    shape = call.output_shape
    return shape[0] if call.channel_axis == 0 and len(shape) > 1 else shape[-1]


@pytest.mark.parametrize("specimen", PARAMS)
def test_by_hand_equals_computed(specimen: Specimen) -> None:
    """Some value of every call that has arithmetic; each factor leads to a call or an input of the model."""
    probe, images = opened(specimen)
    graph = graph_for(probe, images)
    rng = np.random.default_rng(3)
    worked = 0
    known = {c.path for c in graph.calls}
    for call in graph.calls:
        if call.kind == "InputLayer" or call.family not in RULES or call.output_dtypes[0] == "bool":
            continue
        at = tuple(int(rng.integers(n)) for n in spatial(call))
        found = value_by_hand(probe, images, call.path, at=at, channel=int(rng.integers(channels(call))))
        assert found.agrees, f"{found}"
        largest = found.largest()
        assert largest is None or found.link(*largest).layer in known
        for step in found.following:
            assert step.computed is not None
        worked += 1
    assert worked or graph.closed


@pytest.mark.parametrize("specimen", PARAMS)
def test_gradient_support_is_the_interval(specimen: Specimen) -> None:
    """Both ways to the field agree: interval propagation, and the support of a gradient through one channel."""
    probe, images = opened(specimen)
    graph = graph_for(probe, images)
    fields = fields_for(graph)
    pictured = [c for c in graph.calls if c.kind != "InputLayer" and fields.states[c.index][0]]
    for call in pictured[-1:] + [c for c in pictured if len(spatial(c)) == 2][-1:]:
        at = tuple(n // 3 for n in spatial(call))
        try:
            supports = support_of(graph, call.path, at)
        except ModelError as error:
            assert "no stand-in" in str(error)
            return
        for source, support in zip(graph.inputs, supports, strict=True):
            if support is None or not support.any() or support.ndim == 0:
                continue
            box = field_of(fields, call.path, at=at, source=source.path).box
            hull = tuple((int(np.min(i)), int(np.max(i))) for i in np.nonzero(support))
            assert box == hull, (call.path, box, hull)


@pytest.mark.parametrize("specimen", PARAMS)
def test_costs_count_every_parameter_once(specimen: Specimen) -> None:
    probe, images = opened(specimen)
    table = costs_of(graph_for(probe, images))
    assert table.parameters == probe.model.count_params()
    assert table.activation_bytes > 0


def test_an_unknown_layer_names_the_nearest() -> None:
    specimen = next(s for s in ZOO if s.name == "sequential_built")
    probe, images = opened(specimen)
    with pytest.raises(ModelError, match="conv"):
        value_by_hand(probe, images, "conw", at=(0, 0), channel=0)
    with pytest.raises(ModelError, match="inside"):
        value_by_hand(probe, images, "conv", at=(0, 99), channel=0)
    with pytest.raises(ModelError, match="channel"):
        value_by_hand(probe, images, "conv", at=(0, 0))


def test_a_model_without_its_input_size_says_so() -> None:
    given = keras.Input((None, None, 3))
    model = keras.Model(given, keras.layers.Conv2D(2, 3)(given))
    with pytest.raises(ModelError, match="input_shapes"):
        graph_of(model)
