"""Read a store of feature maps: all channels of one picture, or one channel over all pictures."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convscope.errors import DataError, UnknownLayerError
from convscope.registry import nearest
from convscope.scope.shown import table
from convscope.scope.store_layout import engine, plain_spec, read_blocks, read_root


class MapStore:
    """A store opened for reading.

    Args:
        path: the folder.

    Raises:
        DataError: no store there, or a damaged one.
    """

    def __init__(self, path: Path | str) -> None:
        """Read the facts; no array is opened yet."""
        self.path = Path(path)
        self.facts = read_root(self.path)
        self._whole = read_blocks(self.path)
        self._open: dict[str, Any] = {}

    def __str__(self) -> str:
        """How much is in it, then one line per layer."""
        facts = self.facts
        lines = [f"{self.path}: {int(self.written.sum())} of {facts['n']} pictures, {facts['dtype']}, {facts['codec']}"]
        for layer, array in facts["arrays"].items():
            lines.append(f"  {layer}: {' x '.join(map(str, facts['shapes'][array]))}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """The same."""
        return str(self)

    def _repr_html_(self) -> str:
        """A table of the layers."""
        facts = self.facts
        rows = [(layer, " x ".join(map(str, facts["shapes"][a]))) for layer, a in facts["arrays"].items()]
        head, *_ = str(self).splitlines()
        return table(head, ("layer", "height x width x channels"), rows)._repr_html_()

    @property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers in it."""
        return tuple(self.facts["arrays"])

    @property
    def ids(self) -> tuple[str, ...]:
        """The pictures' names."""
        return tuple(self.facts["ids"])

    @property
    def labels(self) -> tuple[int, ...] | None:
        """Class index per picture, where known."""
        return None if self.facts["labels"] is None else tuple(self.facts["labels"])

    @cached_property
    def written(self) -> np.ndarray:
        """(n,) bool: which pictures are in it already."""
        n, block = self.facts["n"], self.facts["block"]
        return np.isin(np.arange(n) // block, sorted(self._whole))

    @property
    def is_complete(self) -> bool:
        """Whether every picture is in it."""
        return bool(self.written.all())

    def picture(self, layer: str, index: int) -> np.ndarray:
        """All maps of one picture: (height, width, channels).

        Raises:
            UnknownLayerError: no such layer. DataError: no such picture, not written yet, or damaged.
        """
        self._check(np.array([index]))
        return self._read(layer, (index,))

    def channel(self, layer: str, channel: int) -> np.ndarray:
        """One channel over all pictures: (n, height, width).

        Raises:
            UnknownLayerError: no such layer. DataError: no such channel, the store is not whole, or damaged.
        """
        self._check(np.arange(self.facts["n"]))
        channels = self.facts["shapes"][self._array(layer)][2]
        if not 0 <= channel < channels:
            raise DataError(f"expected a channel of {layer} from 0 to {channels - 1}, got {channel}")
        return self._read(layer, (slice(None), slice(None), slice(None), channel))

    def predictions(self) -> np.ndarray:
        """(n, outputs) float32: the model's first output for each picture, flat."""
        self._check(np.arange(self.facts["n"]))
        return self._read_array("predictions", (slice(None),))

    def _array(self, layer: str) -> str:
        if layer not in self.facts["arrays"]:
            raise UnknownLayerError(f"{self.path}: has no layer {layer!r}; {nearest(layer, self.layers)}")
        return str(self.facts["arrays"][layer])

    def _check(self, rows: np.ndarray) -> None:
        n = self.facts["n"]
        if (rows < 0).any() or (rows >= n).any():
            raise DataError(f"{self.path}: expected a picture from 0 to {n - 1}, got {int(rows.max())}")
        if not self.written[rows].all():
            done = int(self.written.sum())
            raise DataError(f"{self.path}: only {done} of {n} pictures are written; store the same data again to go on")

    def _read(self, layer: str, index: tuple) -> np.ndarray:
        return self._read_array(self._array(layer), index)

    def _read_array(self, name: str, index: tuple) -> np.ndarray:
        try:
            if name not in self._open:
                self._open[name] = engine().open(plain_spec(self.path, name), read=True).result()
            return np.asarray(self._open[name][index].read().result())
        except ValueError as error:
            reason = str(error).splitlines()[0][:200]
            raise DataError(
                f"{self.path / name}: damaged or cut ({reason}); remove the store and write it again"
            ) from error
