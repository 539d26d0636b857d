"""Space: which plan fields may vary and over what; read from TOML, checked against the plan before anything runs.

learning_rate = {low = 1e-5, high = 1e-2, log = true}
batch_size = {choices = [16, 32, 64]}
augment.rotate_deg = {low = 0, high = 20}
model = {choices = ["simple-cnn", "efficientnet-lite0"]}

[when.model.simple-cnn]           # asked only when model is simple-cnn
filters = {choices = [[16, 32], [32, 64, 128]]}
"""

from __future__ import annotations

import itertools
import json
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

from convscope.errors import PlanError
from convscope.records.augmentation import Augmentation
from convscope.registry import nearest
from convscope.training.plan import Plan
from convscope.training.plan_text import read_toml

FIXED = ("task", "val_share", "test_share", "folds", "seed", "strict", "monitor", "download", "workers", "cache_mb")
_RULES = {"low", "high", "log", "step", "choices"}
_WHEN = "when"

Kind = Literal["float", "int", "choice"]


class Suggests(Protocol):
    """What a space needs of an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """A number between low and high."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """A whole number between low and high."""
        ...

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """One of the choices."""
        ...


@dataclass(frozen=True)
class Choice:
    """One field that varies.

    Attributes:
        field: of the plan ("learning_rate", "augment.rotate_deg").
        kind: how it is drawn; low, high, step, is_log are for numbers, choices for the rest.
        when: (field, value) that must have been chosen before; None for always.
    """

    field: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    is_log: bool = False
    choices: tuple[Any, ...] = ()
    when: tuple[str, Any] | None = None

    @property
    def name(self) -> str:
        """Unique in a space: the field, and its condition where it has one."""
        return self.field if self.when is None else f"{self.field} when {self.when[0]} = {_word(self.when[1])}"

    def values(self) -> tuple[Any, ...]:
        """All values in order, where they can be counted; () for a continuous range."""
        if self.kind == "choice":
            return self.choices
        if self.step is None:
            return ()
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        found = [self.low + i * self.step for i in range(count)]
        return tuple(round(v) for v in found) if self.kind == "int" else tuple(round(v, 12) for v in found)

    def extremes(self) -> tuple[Any, ...]:
        """What a plan must be able to hold: each choice, or both ends."""
        if self.kind == "choice":
            return self.choices
        return (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)

    def suggest(self, trial: Suggests) -> Any:
        """Ask a trial for a value of this field."""
        if self.kind == "float":
            return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.is_log)
        if self.kind == "int":
            return trial.suggest_int(
                self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.is_log
            )
        words = [_word(c) for c in self.choices]
        return self.choices[words.index(trial.suggest_categorical(self.name, words))]

    def stored(self, value: Any) -> Any:
        """A value as a trial stores it."""
        return _word(value) if self.kind == "choice" else value


def _word(value: Any) -> str:
    """A choice as text, since a trial stores plain values only."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Space:
    """Choices in the order in which they are asked; what a condition needs stands before it."""

    choices: tuple[Choice, ...]

    def suggest(self, trial: Suggests) -> dict[str, Any]:
        """Field -> value for one trial, with conditional fields only where their condition holds."""
        found: dict[str, Any] = {}
        for choice in self.choices:
            if choice.when is None or found.get(choice.when[0]) == choice.when[1]:
                found[choice.field] = choice.suggest(trial)
        return found

    def grid(self) -> list[dict[str, Any]]:
        """Every combination once, by name, as trials store them.

        Raises:
            PlanError: a continuous range.
        """
        for choice in self.choices:
            if not choice.values():
                raise PlanError(
                    f"expected choices or a step for {choice.name} in a grid, got a continuous range; add step = ..., "
                    "or use --method random or tpe"
                )
        always = [c for c in self.choices if c.when is None]
        found = []
        for values in itertools.product(*(c.values() for c in always)):
            chosen = dict(zip([c.field for c in always], values, strict=True))
            asked = [c for c in self.choices if c.when is not None and chosen.get(c.when[0]) == c.when[1]]
            for more in itertools.product(*(c.values() for c in asked)):
                pairs = [*zip(always, values, strict=True), *zip(asked, more, strict=True)]
                found.append({c.name: c.stored(v) for c, v in pairs})
        return found

    def changed(self, plan: Plan, chosen: Mapping[str, Any]) -> Plan:
        """The plan with the chosen values.

        Raises:
            PlanError: values that can't stand together.
        """
        flat = {k: v for k, v in chosen.items() if "." not in k}
        inner = {k.partition(".")[2]: v for k, v in chosen.items() if k.startswith("augment.")}
        if inner:
            usual = {f.name: getattr(plan.augment, f.name) for f in fields(Augmentation)}
            flat["augment"] = {**usual, **inner}
        return plan.with_changes(flat)

    def probes(self, plan: Plan) -> Iterator[tuple[Choice, Plan]]:
        """For each choice the plan at each of its extremes, the others as they are.

        Raises:
            PlanError: naming the choice whose range no plan can hold.
        """
        for choice in self.choices:
            for value in choice.extremes():
                chosen = {choice.field: value}
                if choice.when is not None:
                    chosen[choice.when[0]] = choice.when[1]
                try:
                    yield choice, self.changed(plan, chosen)
                except PlanError as error:
                    raise PlanError(f"{choice.name} = {value!r} can't stand in a plan: {error}") from error


def read_space(source: Mapping[str, Any] | Path | str, plan: Plan) -> Space:
    """Read a space from a TOML file or from the same as a dict, and check it against a plan.

    Args:
        source: see the module's head.
        plan: the base; fields that the space does not name keep its values.

    Raises:
        PlanError: an unknown field (the nearest is said), an impossible range, a condition that nothing can meet.
        DataNotFoundError: no such file.
    """
    if isinstance(source, Mapping):
        return _checked(source, plan)
    try:
        return _checked(read_toml(Path(source)), plan)
    except PlanError as error:
        raise error if str(error).startswith(str(source)) else PlanError(f"{source}: {error}") from error


def _checked(values: Mapping[str, Any], plan: Plan) -> Space:
    always = [_choice(name, rule, None) for name, rule in _flat({k: v for k, v in values.items() if k != _WHEN})]
    found = [*always, *_conditional(values.get(_WHEN, {}), always)]
    if not found:
        raise PlanError("expected at least one field to vary, the space is empty; e.g. learning_rate = {low = 1e-5, "
                        "high = 1e-2, log = true}")  # fmt: skip
    space = Space(tuple(found))
    for _ in space.probes(plan):
        pass
    _check_objective(space, plan)
    return space


def _check_objective(space: Space, plan: Plan) -> None:
    """Refuse to compare losses of different kinds."""
    if "loss" not in plan.monitor:
        return
    for choice in space.choices:
        if choice.field in ("loss", "label_smoothing", "class_weights", "l1", "l2"):
            raise PlanError(
                f"expected a metric that {choice.field} leaves comparable, got {plan.monitor}: its scale changes with "
                f"{choice.field}; set --metric val_accuracy"
            )


def _conditional(table: Any, always: list[Choice]) -> list[Choice]:
    if not isinstance(table, Mapping):
        raise PlanError(f"expected [when.FIELD.VALUE] tables, got when = {table!r}")
    found = []
    by_field = {c.field: c for c in always}
    for parent, cases in table.items():
        if parent not in by_field:
            raise PlanError(f"[when.{parent}]: expected a field that the space varies; {nearest(parent, by_field)}")
        if not isinstance(cases, Mapping):
            raise PlanError(f"[when.{parent}]: expected a value after it, as in [when.{parent}.VALUE]")
        by_word = {_word(value): value for value in by_field[parent].choices}
        if not by_word:
            raise PlanError(f"[when.{parent}]: expected a field with choices, {parent} is a range")
        for word, rules in cases.items():
            if word not in by_word:
                raise PlanError(f"[when.{parent}.{word}]: {parent} never is {word!r}; {nearest(word, by_word)}")
            found += [_choice(name, rule, (parent, by_word[word])) for name, rule in _flat(rules)]
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted field, rule) pairs; a table that is no rule is a group such as augment."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not set(value) & _RULES and value and not prefix:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _known() -> dict[str, Any]:
    """Every field that may vary, with its type."""
    plain = {n: f.annotation for n, f in Plan.model_fields.items() if n not in FIXED and n != "augment"}
    inner = typing.get_type_hints(Augmentation)
    return plain | {f"augment.{f.name}": inner[f.name] for f in fields(Augmentation)}


def _choice(name: str, rule: Any, when: tuple[str, Any] | None) -> Choice:
    """One choice from its TOML rule.

    Raises:
        PlanError: an unknown or fixed field, or a rule that says nothing or too much.
    """
    known = _known()
    if name in FIXED:
        raise PlanError(f"expected a field that may vary, got {name}: all trials share their data and its split")
    if name not in known:
        raise PlanError(f"unknown plan field {name!r} in the space; {nearest(name, known)}")
    if not isinstance(rule, Mapping) or not set(rule) & _RULES:
        raise PlanError(f"expected {name} = {{low = ..., high = ...}} or {{choices = [...]}}, got {name} = {rule!r}")
    for key in rule:
        if key not in _RULES:
            raise PlanError(f"unknown rule {key!r} for {name}; {nearest(key, _RULES)}")
    if "choices" in rule:
        return _listed(name, rule, when)
    return _ranged(name, rule, when, known[name])


def _listed(name: str, rule: Mapping[str, Any], when: tuple[str, Any] | None) -> Choice:
    choices = rule["choices"]
    if len(rule) > 1 or not isinstance(choices, list | tuple) or not choices:
        raise PlanError(f"expected {name} with a list of choices and nothing else, got {dict(rule)!r}")
    if len({_word(c) for c in choices}) < len(choices):
        raise PlanError(f"expected every choice of {name} once, got {list(choices)!r}")
    return Choice(name, "choice", choices=tuple(choices), when=when)


def _ranged(name: str, rule: Mapping[str, Any], when: tuple[str, Any] | None, annotation: Any) -> Choice:
    kinds = set(typing.get_args(annotation)) or {annotation}
    if not kinds & {int, float}:
        raise PlanError(f"expected choices for {name}, which is no number, got {dict(rule)!r}")
    missing = [k for k in ("low", "high") if k not in rule]
    if missing:
        raise PlanError(f"expected low and high for {name}, {missing[0]} is missing")
    low, high, step, is_log = rule["low"], rule["high"], rule.get("step"), rule.get("log", False)
    numbers = [v for v in (low, high, step) if v is not None]
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) for v in numbers):
        raise PlanError(f"expected numbers for {name}, got {dict(rule)!r}")
    if not low < high:
        raise PlanError(f"expected low below high for {name}, got {low} and {high}")
    if is_log and low <= 0:
        raise PlanError(f"expected low above 0 for {name} on a log scale, got {low}")
    if step is not None and (is_log or step <= 0 or step > high - low):
        raise PlanError(f"expected a step above 0, within the range and without log for {name}, got {dict(rule)!r}")
    if float in kinds:
        return Choice(name, "float", float(low), float(high), None if step is None else float(step), is_log, when=when)
    if any(v != int(v) for v in numbers):
        raise PlanError(f"expected whole numbers for {name}, got {dict(rule)!r}")
    return Choice(name, "int", int(low), int(high), None if is_log else int(step or 1), is_log, when=when)
