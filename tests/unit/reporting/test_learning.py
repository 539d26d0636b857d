"""Every layer while it learns: what lasted, in words, in the figure and in the table."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from convscope.draw.learning import learning_figure
from convscope.records.learning import LayerState, LearningHistory, troubles
from convscope.records.report import Table
from convscope.reporting.learning import learning_section, learning_words


def event(epoch: int, *states: LayerState) -> dict[str, object]:
    return {"event": "layers", "epoch": epoch, "layers": [asdict(s) for s in states]}


def healthy(name: str = "dense", norm: float = 0.5) -> LayerState:
    return LayerState(name, norm, None, 1e-3, "Dense")


def faint(norm: float = 1e-6) -> LayerState:
    return LayerState("conv", norm, 0.97, 1e-3, "Conv2D")


def test_a_healthy_network_is_left_alone() -> None:
    history = LearningHistory.from_events([event(1, healthy("conv"), healthy()), {"event": "epoch", "epoch": 1}])
    assert history.lasting() == () and history.layers == ("conv", "dense")
    ((title, detail),) = learning_words(history)
    assert title == "Gradient reaches every layer." and "0.500" in detail
    assert "circle" not in learning_figure(history).data.decode()


def test_what_lasted_is_said_with_layer_and_numbers() -> None:
    history = LearningHistory.from_events([event(e, faint(), healthy()) for e in (1, 2, 3)])
    assert [(t.kind, t.layer) for t in history.lasting()] == [("vanishing", "conv"), ("saturated", "conv")]
    section = learning_section(history, start=[{"layer": "conv", "variance": 4.0, "expected": 0.1, "rule": "he"}],
                               checked=2)  # fmt: skip
    words = {title: detail for title, detail in section.words}
    assert words["The gradient vanishes at conv."].startswith("1.00 × 10⁻⁶ at conv, at the last layer 0.500.")
    assert "97.0" in words["Most units are saturated at conv."]
    assert "expected 0.100" in words["1 of 2 kernels began with an odd variance."]
    lasted, odd = (b for b in section.blocks if isinstance(b, Table))
    assert lasted.rows[0] == ("conv", "vanishing", "1.00 × 10⁻⁶") and odd.rows[0][3] == "He"
    figure = learning_figure(history)
    assert figure.data.decode().count("<circle") == 6 and "trouble at conv" in figure.alt  # two kinds, three epochs


def test_without_gradients_nothing_is_claimed() -> None:
    history = LearningHistory.from_events([event(1, LayerState("conv", None, 0.2, 1e-3, "Conv2D"))])
    assert learning_words(history)[0][0].startswith("It is too early")


def test_one_bad_epoch_of_five_is_no_verdict() -> None:
    history = LearningHistory.from_events(
        [event(e, faint() if e == 2 else healthy("conv"), healthy()) for e in range(1, 6)]
    )
    assert history.lasting() == ()


def test_an_epoch_repeated_after_a_resume_counts_as_it_ran_last() -> None:
    events = [event(1, healthy()), event(2, healthy(norm=9.0)), event(2, healthy(norm=7.0))]
    history = LearningHistory.from_events(events)
    assert history.epochs == (1, 2) and history.table("gradient_norm").tolist() == [[0.5, 7.0]]


def test_layers_that_were_frozen_at_first_have_holes() -> None:
    history = LearningHistory.from_events([event(1, healthy()), event(2, healthy("conv"), healthy())])
    assert history.layers == ("conv", "dense")
    assert np.isnan(history.table("update_ratio")).tolist() == [[True, False], [False, False]]
    assert "nothing to measure" in learning_figure(history).data.decode()


def test_gradients_that_are_not_finite_explode() -> None:
    (trouble,) = troubles([LayerState("conv", float("inf"), None, None), healthy()])
    assert trouble.kind == "exploding"


def test_little_gradient_is_no_fault_of_a_branch_but_infinity_is() -> None:
    branch = LayerState("head", 0.0, None, 1e-9, "Conv2D", is_branch=True)
    wild = LayerState("other", 1e9, None, 1e-3, "Conv2D", is_branch=True)
    assert troubles([branch, wild, healthy()]) == () != troubles([faint(), healthy()])
    (again,) = LearningHistory.from_events([event(1, branch)]).states[0]
    assert again.is_branch
    assert [t.kind for t in troubles([LayerState("head", float("nan"), None, None, "", True), healthy()])] == [
        "exploding"
    ]


def test_of_many_layers_those_in_trouble_are_drawn() -> None:
    states = [healthy(f"layer{i}") for i in range(90)] + [faint(), healthy("last")]
    drawn = learning_figure(LearningHistory.from_events([event(1, *states)])).data.decode()
    assert ">conv<" in drawn and drawn.count('text-anchor="end"') < 60
