"""name -> "module:object", built in or from entry points, with the nearest names when one is unknown."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from convscope.errors import UnknownNameError


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a clause that names the nearest known names, or all of them when few are known.

    Example:
        >>> nearest("gradcam", ["grad-cam", "saliency"])
        'did you mean grad-cam?'
    """
    names = sorted(known)
    folded = {n.lower(): n for n in names}
    close = [folded[c] for c in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)]
    if close:
        return "did you mean " + " or ".join(close) + "?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known: {shown}" if names else "none is known"


class Registry:
    """Names of one kind of thing; an object is imported only when it is asked for.

    Args:
        kind: what the names stand for, as said in errors ("model", "method").
        built_in: name -> "module:object".
        group: entry-point group through which other packages add names.
    """

    def __init__(self, kind: str, built_in: dict[str, str], group: str) -> None:
        """Hold the built-in names; entry points are read at the first look-up."""
        self.kind = kind
        self._targets = dict(built_in)
        self._group = group
        self._discovered = False

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for point in entry_points(group=self._group):
            self._targets.setdefault(point.name, point.value)

    def names(self) -> list[str]:
        """All known names, sorted."""
        self._discover()
        return sorted(self._targets)

    def get(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises:
            UnknownNameError: naming the nearest known names.
        """
        self._discover()
        if name not in self._targets:
            raise UnknownNameError(f"unknown {self.kind} {name!r}; {nearest(name, self._targets)}")
        module, _, attribute = self._targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
