"""Recipes: three tried plans, chosen by how many pictures there are and what the task is; what the user says wins.

quick: an answer in minutes, for a first look. balanced: what most people want. best: hours for the last percent.
docs/recipes.md says what each sets and what it reached on three real sets (benchmarks/recipes.py measures it).
"""

from __future__ import annotations

from typing import Any, Literal

from convscope.errors import PlanError
from convscope.registry import nearest
from convscope.training.plan import Plan

RECIPES = ("quick", "balanced", "best")
Size = Literal["few", "some", "many"]

_TASKS = ("classify", "multilabel", "regress")
FEW, MANY = 1_000, 20_000  # training pictures: below the first few, from the second on many

_MILD = {"flip_horizontal": True, "rotate_deg": 10.0, "brightness": 0.1, "contrast": 0.1}
_STRONG = {**_MILD, "scale": 0.15, "shift": 0.1, "erase": 0.25}


def size_of(pictures: int) -> Size:
    """How a number of training pictures counts."""
    return "few" if pictures < FEW else "some" if pictures < MANY else "many"


def recipe_fields(recipe: str, *, pictures: int, task: str, pretrained: bool) -> dict[str, Any]:
    """What a recipe sets; every other field keeps its default.

    Args:
        recipe: one of RECIPES.
        pictures: training pictures.
        task: of the data; boxes and masks get their epochs and schedule only.
        pretrained: whether the network brings weights.

    Raises:
        PlanError: no such recipe; says the nearest.
    """
    if recipe not in RECIPES:
        raise PlanError(f"unknown recipe {recipe!r}; {nearest(recipe, RECIPES)}")
    size = size_of(pictures)
    if task not in _TASKS:
        return {
            "epochs": {"quick": 20, "balanced": 60, "best": 150}[recipe],
            "schedule": "cosine",
            "warmup_epochs": 1.0,
        }
    fields: dict[str, Any] = _quick(pretrained) if recipe == "quick" else _longer(recipe, size, pretrained)
    if recipe != "quick":
        fields["augment"] = dict(_STRONG if recipe == "best" else _MILD)
    if task == "classify" and recipe == "best":
        fields |= {"label_smoothing": 0.05, "monitor": "val_accuracy"}
    if task == "classify" and size != "many" and recipe != "quick":
        fields["class_weights"] = "balanced"
    return fields


def _quick(pretrained: bool) -> dict[str, Any]:
    """The head alone on cached features, or a few epochs from scratch."""
    if pretrained:
        return {"head_epochs": 20, "unfreeze": 0, "patience": 4}
    return {"epochs": 10, "schedule": "one-cycle", "learning_rate": 3e-3, "patience": 0}


def _longer(recipe: str, size: Size, pretrained: bool) -> dict[str, Any]:
    """Head, then fine-tuning with a cosine; or a longer training from scratch."""
    best = recipe == "best"
    epochs = {"few": 60, "some": 40, "many": 20}[size] if best else {"few": 30, "some": 20, "many": 10}[size]
    fields: dict[str, Any] = {
        "epochs": epochs, "schedule": "cosine", "warmup_epochs": 1.0, "optimizer": "adamw", "weight_decay": 1e-4,
        "patience": 0 if best else 8,
    }  # fmt: skip
    if pretrained:
        # few pictures move few stages: the rest keeps what it has learned on a million others
        unfreeze = {"few": 2, "some": 3, "many": -1}[size] if best else {"few": 1, "some": 2, "many": 3}[size]
        fields |= {"head_epochs": 10, "unfreeze": unfreeze, "fine_tune_learning_rate": 2e-4}
    else:
        fields |= {"learning_rate": 2e-3, "conv_dropout": 0.1 if size == "few" else 0.0}
    return fields | ({"ema": 0.99} if best and size != "few" else {})


def with_recipe(plan: Plan, *, pictures: int, task: str, is_own: bool = False) -> Plan:
    """The plan with its recipe's fields, but those that the user gave.

    Args:
        plan: its `recipe` names one, or "" for none. Fields that were set stay; an augment table stays whole.
        pictures: training pictures.
        task: of the data.
        is_own: the user's own model, of whose weights nothing is known.
    """
    if not plan.recipe:
        return plan
    pretrained = plan.weights != "none" and plan.model != "simple-cnn" and not is_own
    fields = recipe_fields(plan.recipe, pictures=pictures, task=task, pretrained=pretrained)
    return plan.with_changes({k: v for k, v in fields.items() if k not in plan.model_fields_set})
