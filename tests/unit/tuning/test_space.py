"""Spaces: what may vary, conditions, grids, and every wrong one as one line."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from convscope.errors import DataNotFoundError, PlanError
from convscope.training.plan import Plan
from convscope.tuning.space import read_space

PLAN = Plan(model="simple-cnn", weights="none")

TEXT = """
learning_rate = {low = 1e-5, high = 1e-2, log = true}
batch_size = {choices = [16, 32]}
augment.rotate_deg = {low = 0, high = 20}
model = {choices = ["simple-cnn", "efficientnet-lite0"]}

[when.model.simple-cnn]
filters = {choices = [[16, 32], [32, 64, 128]]}
convs_per_block = {low = 1, high = 3}
"""


class Asked:
    """A trial that always takes the low end or the first (or last) choice and notes what it was asked."""

    def __init__(self, last: bool = False) -> None:
        self.last, self.names = last, []

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        self.names.append((name, low, high, step, log))
        return high if self.last else low

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.names.append((name, low, high, step, log))
        return high if self.last else low

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        self.names.append((name, tuple(choices)))
        return choices[-1] if self.last else choices[0]


def test_a_space_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(TEXT)
    space = read_space(tmp_path / "space.toml", PLAN)
    first, last = Asked(), Asked(last=True)
    assert space.suggest(first) == {
        "learning_rate": 1e-5, "batch_size": 16, "augment.rotate_deg": 0.0, "model": "simple-cnn",
        "filters": [16, 32], "convs_per_block": 1,
    }  # fmt: skip
    assert space.suggest(last) == {
        "learning_rate": 1e-2, "batch_size": 32, "augment.rotate_deg": 20.0, "model": "efficientnet-lite0",
    }  # fmt: skip
    assert first.names[0] == ("learning_rate", 1e-5, 1e-2, None, True)
    assert first.names[-1] == ("convs_per_block when model = simple-cnn", 1, 3, 1, False)


def test_the_chosen_values_become_a_plan_and_the_rest_stays() -> None:
    plan = Plan(model="simple-cnn", weights="none", augment={"flip_horizontal": True, "brightness": 0.2}, epochs=7)
    space = read_space({"augment": {"rotate_deg": {"low": 0, "high": 20}}, "filters": {"choices": [[4, 8]]}}, plan)
    changed = space.changed(plan, {"augment.rotate_deg": 12.0, "filters": [4, 8]})
    assert (changed.augment.rotate_deg, changed.augment.brightness, changed.augment.flip_horizontal) == (
        12.0,
        0.2,
        True,
    )
    assert (changed.filters, changed.epochs) == ((4, 8), 7)


def test_a_grid_is_every_combination_once_with_conditions() -> None:
    space = read_space(
        {
            "batch_size": {"choices": [8, 16]},
            "dropout": {"low": 0.0, "high": 0.4, "step": 0.2},
            "pooling": {"choices": ["max", "average"]},
            "when": {"pooling": {"max": {"pool_size": {"low": 2, "high": 4, "step": 1}}}},
        },
        PLAN,
    )
    grid = space.grid()
    expected = {
        (batch, dropout, pooling, size)
        for batch, dropout, pooling in itertools.product(["8", "16"], (0.0, 0.2, 0.4), ("max", "average"))
        for size in ((2, 3, 4) if pooling == "max" else (None,))
    }
    found = [(g["batch_size"], g["dropout"], g["pooling"], g.get("pool_size when pooling = max")) for g in grid]
    assert len(found) == len(set(found)) == 2 * 3 * (3 + 1)
    assert set(found) == expected


WRONG = [
    ({}, "space is empty"),
    ({"learning_rte": {"low": 1e-4, "high": 1e-2}}, "did you mean learning_rate"),
    ({"augment": {"rotate": {"low": 0, "high": 5}}}, "did you mean augment.rotate_deg"),
    ({"learning_rate": {"low": 1e-2, "high": 1e-4}}, "low below high"),
    ({"learning_rate": {"low": 0, "high": 1e-4, "log": True}}, "above 0 for learning_rate on a log scale"),
    ({"learning_rate": {"low": 1e-4}}, "high is missing"),
    ({"learning_rate": {"low": "a", "high": 1}}, "expected numbers"),
    ({"learning_rate": {"low": 1e-4, "high": 1e-2, "logg": True}}, "did you mean log"),
    ({"learning_rate": 0.1}, "expected learning_rate = {low"),
    ({"dropout": {"low": 0.1, "high": 0.3, "step": 0.5}}, "within the range"),
    ({"dropout": {"low": 0.5, "high": 1.5}}, "dropout = 1.5 can't stand in a plan"),
    ({"batch_size": {"low": 8, "high": 32.5}}, "whole numbers for batch_size"),
    ({"batch_size": {"choices": []}}, "list of choices"),
    ({"batch_size": {"choices": [8, 8]}}, "every choice of batch_size once"),
    ({"batch_size": {"choices": [8, "many"]}}, "batch_size = 'many' can't stand"),
    ({"pooling": {"low": 1, "high": 2}}, "expected choices for pooling"),
    ({"seed": {"choices": [1, 2]}}, "share their data and its split"),
    ({"label_smoothing": {"low": 0.0, "high": 0.2}}, "set --metric val_accuracy"),
    ({"batch_size": {"choices": [8]}, "when": {"model": {"x": {}}}}, "field that the space varies"),
    ({"batch_size": {"choices": [8]}, "when": {"batch_size": {"9": {"dropout": {"choices": [0.1]}}}}}, "known: 8"),
    ({"dropout": {"low": 0.0, "high": 0.5}, "when": {"dropout": {"0.1": {}}}}, "is a range"),
]


@pytest.mark.parametrize(("space", "words"), WRONG, ids=[w[1][:30] for w in WRONG])
def test_a_wrong_space_is_one_line(space: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as refused:
        read_space(space, PLAN)
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_grid_needs_steps() -> None:
    space = read_space({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, PLAN)
    with pytest.raises(PlanError, match="add step"):
        space.grid()


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"no\.toml"):
        read_space(tmp_path / "no.toml", PLAN)
    (tmp_path / "bad.toml").write_text("learning_rate = {low")
    with pytest.raises(PlanError, match=r"bad\.toml"):
        read_space(tmp_path / "bad.toml", PLAN)
    (tmp_path / "wrong.toml").write_text("epochz = {choices = [1]}")
    with pytest.raises(PlanError, match=r"wrong\.toml: unknown plan field 'epochz'"):
        read_space(tmp_path / "wrong.toml", PLAN)
