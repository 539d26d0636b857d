"""Recipes: what is given wins, sizes and tasks decide, every combination is a plan that stands."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from convscope.errors import PlanError
from convscope.training.plan import Plan
from convscope.training.recipes import RECIPES, recipe_fields, size_of, with_recipe

TASKS = ("classify", "multilabel", "regress", "boxes", "masks")


@pytest.mark.parametrize(("recipe", "task", "pictures", "model"), list(
    itertools.product(RECIPES, TASKS, (50, 5_000, 100_000), ("simple-cnn", "efficientnet-lite0"))
))  # fmt: skip
def test_every_recipe_is_a_plan(recipe: str, task: str, pictures: int, model: str) -> None:
    plan = with_recipe(Plan(recipe=recipe, model=model), pictures=pictures, task=task)
    assert plan.epochs or plan.head_epochs
    if task != "classify":
        assert plan.label_smoothing == 0
        assert plan.class_weights == "none"
    assert not plan.augment.mixup  # which not every loss can take


def test_what_the_user_gives_wins() -> None:
    plan = Plan(recipe="best", epochs=3, augment={"flip_vertical": True}, model="simple-cnn")
    chosen = with_recipe(plan, pictures=500, task="classify")
    assert (chosen.epochs, chosen.augment.flip_vertical, chosen.augment.rotate_deg) == (3, True, 0.0)
    assert chosen.optimizer == "adamw"
    given = with_recipe(Plan(recipe="best", optimizer="adam"), pictures=500, task="classify")
    assert given.optimizer == "adam"  # also where it is the default


def test_a_plan_file_and_a_changed_plan_remember_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('recipe = "balanced"\nepochs = 20\n')
    plan = Plan.from_toml(tmp_path / "plan.toml").with_changes({"model": "simple-cnn"})
    chosen = with_recipe(plan, pictures=500, task="classify")
    assert (chosen.epochs, chosen.schedule) == (20, "cosine")
    (tmp_path / "again.toml").write_text(chosen.to_toml())
    assert with_recipe(Plan.from_toml(tmp_path / "again.toml"), pictures=90_000, task="classify") == chosen


def test_longer_recipes_take_longer_and_more_pictures_need_fewer_epochs() -> None:
    def epochs(recipe: str, pictures: int) -> int:
        return int(recipe_fields(recipe, pictures=pictures, task="classify", pretrained=False)["epochs"])

    for pictures in (100, 5_000, 50_000):
        assert epochs("quick", pictures) <= epochs("balanced", pictures) < epochs("best", pictures)
    for recipe in RECIPES[1:]:
        assert epochs(recipe, 100) > epochs(recipe, 5_000) > epochs(recipe, 50_000)


def test_no_recipe_changes_nothing() -> None:
    plan = Plan(epochs=4)
    assert with_recipe(plan, pictures=10, task="classify") is plan


def test_sizes() -> None:
    assert [size_of(n) for n in (1, 999, 1_000, 19_999, 20_000)] == ["few", "few", "some", "some", "many"]


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="did you mean balanced"):
        recipe_fields("balanced2", pictures=1, task="classify", pretrained=False)
    with pytest.raises(PlanError, match="recipe"):
        Plan(recipe="fast")
