"""The card of a bundle as JSON."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, get_args

from convscope.errors import BundleError, ConvscopeError
from convscope.records.card import OUTPUT_KINDS, Card
from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance
from convscope.records.samples import Task

FORMAT = 1


def _plain(value: Any) -> Any:
    """JSON has no NaN: a score that could not be computed is null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pair(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = value
    return float(low), float(high)


def card_to_dict(card: Card, versions: dict[str, str]) -> dict[str, Any]:
    """Plain JSON form; `versions` are those of Keras and convscope that write it."""
    facts = {field.name: getattr(card, field.name) for field in fields(card)}
    facts |= {"preprocess": card.preprocess.as_dict(), "provenance": card.provenance.as_dict()}
    return {"format": FORMAT, "versions": versions, **_plain(facts)}


def card_from_dict(facts: Any, where: str) -> Card:
    """Read what `card_to_dict` wrote.

    Raises:
        BundleError: a newer format, or fields that make no card.
    """
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise BundleError(f"{where}: expected a card of format {FORMAT}, got {found}; update convscope to open it")
    try:
        card = Card(
            task=facts["task"],
            classes=tuple(facts["classes"]),
            preprocess=Preprocess.from_dict(facts["preprocess"]),
            network=str(facts["network"]),
            output_kind=facts.get("output_kind", "probabilities"),
            temperature=float(facts["temperature"]),
            unsure_below=float(facts["unsure_below"]),
            feature_layer=str(facts["feature_layer"]),
            plane=str(facts.get("plane", "")),
            window=_pair(facts.get("window")),
            scores=dict(facts["scores"]),
            provenance=Provenance.from_dict(facts["provenance"]),
        )
    except (KeyError, TypeError, ValueError, ConvscopeError) as error:
        raise BundleError(f"{where}: expected the facts of a model, can't read them: {error}") from error
    if card.task not in get_args(Task) or not all(isinstance(name, str) for name in card.classes):
        raise BundleError(f"{where}: expected a known task and class names, got {card.task!r}")
    if card.output_kind not in OUTPUT_KINDS:
        raise BundleError(f"{where}: expected outputs of a known kind, got {card.output_kind!r}; update convscope")
    if card.temperature <= 0:
        raise BundleError(f"{where}: expected a temperature above 0, got {card.temperature}")
    return card
