"""Group the layers of a backbone from input to output, so that the last few groups can learn and the rest stay."""

from __future__ import annotations

import re
from typing import Any

from convscope.models.parts import POOLED
from convscope.models.scaling import RGB_TO_BGR


def stages_of(model: Any, pattern: str) -> list[list[str]]:
    """Names of the layers before `pooled` that hold weights, grouped.

    Args:
        model: flat functional model with a layer `pooled`.
        pattern: regular expression; its first group is the name of the stage. A layer that does not match joins the
            stage before it. The frozen colour swap belongs to no stage.
    """
    groups: dict[str, list[str]] = {}
    key = ""
    for layer in model.layers:
        if layer.name == POOLED:
            break
        match = re.search(pattern, layer.name)
        key = match.group(1) if match else key
        if layer.weights and layer.name != RGB_TO_BGR:
            groups.setdefault(key, []).append(layer.name)
    return list(groups.values())
