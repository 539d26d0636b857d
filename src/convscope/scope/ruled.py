"""A probe under rules: the same model, some operations replaced while it runs (backward rules, random weights)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from convscope.errors import ModelError
from convscope.scope.tap import Probe

Change = tuple[Any, str, Any]  # object, attribute, value for the time of a run


def ruled(probe: Probe, images: Any, rule: Callable[[dict[str, Any]], list[Change]]) -> Probe:
    """A new Probe on the same model whose runs happen with the changes that `rule(operations by path)` gives.

    The changes are set on the instances during a run only; the model and the given probe stay as they were.

    Raises:
        ModelError: as Probe; or whatever `rule` raises.
    """
    probe.calls(images)
    subject = probe._subject
    if subject is None:
        raise ModelError("expected a probe that has seen its model")
    twin = Probe(probe.model, classes=probe.classes, precision=probe.precision, batch_size=probe.batch_size)
    twin._subject = replace(subject, extra=tuple(rule(subject.by_path)))
    return twin
