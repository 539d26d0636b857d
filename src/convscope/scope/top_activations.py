"""Which pictures, and which crop of each, fire a filter most and least: one forward pass of the data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convscope.draw.notebook import notebook_html
from convscope.draw.numbers import three
from convscope.draw.sheet import sheet_figure
from convscope.draw.tiles import picture_tile
from convscope.errors import ModelError
from convscope.records.field import ReceptiveField
from convscope.records.progress import Progress, silent
from convscope.records.report import Sheet, Tile
from convscope.scope.feed import Feed
from convscope.scope.maps import channels_last, check_finite
from convscope.scope.measuring import receptive_field
from convscope.scope.tap import Probe


@dataclass(frozen=True, eq=False)
class Fired:
    """One picture's strongest (or weakest) value of a channel.

    Attributes:
        index, key: which picture.
        value: the activation.
        at: (row, column) in the map.
        box: ((top, bottom), (left, right)) of the exact receptive field in network pixels, inclusive, clipped at the
            border; None where the field is not known.
        crop: the network input inside the box; None without one.
    """

    index: int
    key: str
    value: float
    at: tuple[int, int]
    box: tuple[tuple[int, int], ...] | None
    crop: np.ndarray | None


@dataclass(frozen=True, eq=False)
class TopActivations:
    """`most` and `least` of one channel, strongest or weakest first; each picture at most once in each."""

    layer: str
    channel: int
    most: tuple[Fired, ...]
    least: tuple[Fired, ...]

    def __str__(self) -> str:
        """A line per picture."""
        lines = [f"{self.layer} channel {self.channel}"]
        for words, fired in (("most", self.most), ("least", self.least)):
            lines += [f"{words} {f.value:.4g} {f.key} at {f.at}, pixels {f.box}" for f in fired]
        return "\n".join(lines)

    def sheets(self) -> tuple[Sheet, ...]:
        """The crops as tiles: those that fire the filter most, then those that fire it least."""
        known = [f.crop for f in (*self.most, *self.least) if f.crop is not None]
        low, high = (min(c.min() for c in known), max(c.max() for c in known)) if known else (0.0, 1.0)
        name = f"{self.layer} channel {self.channel}"
        note = "crops at the exact receptive field, as the network takes them"
        return tuple(
            Sheet(f"{name}: {words}", tuple(_tile(f, i, float(low), float(high)) for i, f in enumerate(fired)), note)
            for words, fired in (("most", self.most), ("least", self.least))
        )

    def _repr_html_(self) -> str:
        """The crops, most and least."""
        return "".join(notebook_html(sheet_figure(sheet)) for sheet in self.sheets())


def _tile(fired: Fired, place: int, low: float, high: float) -> Tile:
    crop = np.zeros((8, 8, 1)) if fired.crop is None else fired.crop
    if crop.ndim == 3 and crop.shape[0] in (1, 3) and crop.shape[-1] not in (1, 3):
        crop = np.moveaxis(crop, 0, -1)
    crop = crop if crop.ndim == 3 and crop.shape[-1] in (1, 3) else crop.reshape(*crop.shape[:2], -1).mean(axis=2)
    picture = np.round((crop - low) / (high - low or 1.0) * 255).clip(0, 255).astype(np.uint8)
    where = "no crop: field unknown" if fired.box is None else " × ".join(f"{a}..{b}" for a, b in fired.box)
    name = fired.key.rsplit("/", 1)[-1]
    lines = (f"{three(fired.value)} at {fired.at[0]}, {fired.at[1]}", where)
    return picture_tile(picture, f"{name}: {three(fired.value)}", head=f"{place + 1} {name}", lines=lines)


def top_activations(
    probe: Probe, feed: Feed, layer: str, channel: int, *, count: int = 9, progress: Progress = silent
) -> TopActivations:
    """The `count` pictures whose largest value of the channel is largest, and those whose largest value is smallest.

    Raises:
        UnknownLayerError: no such layer. ModelError: no such channel, or NaN in its maps.
    """
    n, peaks, places = len(feed), [], []
    for start in range(0, n, probe.batch_size):
        batch = feed.take(start, min(n, start + probe.batch_size))
        values = _maps(probe, batch, layer, channel)
        check_finite(values[..., None], layer, feed.ids[start : start + len(values)])
        flat = values.reshape(len(values), -1)
        peaks.append(flat.max(axis=1))
        places.append(np.stack(np.unravel_index(flat.argmax(axis=1), values.shape[1:]), axis=1))
        progress("looking for top activations", start + len(batch), n)
    if not peaks:
        raise ModelError("expected at least one picture, got none")
    peak, place = np.concatenate(peaks), np.concatenate(places)
    order = np.argsort(-peak, kind="stable")
    most = tuple(_fired(probe, feed, layer, channel, int(i), (peak, place)) for i in order[:count])
    least = tuple(_fired(probe, feed, layer, channel, int(i), (peak, place)) for i in order[::-1][:count])
    return TopActivations(layer, channel, most, least)


def _maps(probe: Probe, batch: np.ndarray, layer: str, channel: int) -> np.ndarray:
    name = probe.select(layer, batch)[0]
    maps = channels_last(probe.activations(batch, name)[name], probe.call(name, batch))
    if not 0 <= channel < maps.shape[-1]:
        raise ModelError(f"expected a channel of {name} from 0 to {maps.shape[-1] - 1}, got {channel}")
    return maps[..., channel]


def _fired(
    probe: Probe, feed: Feed, layer: str, channel: int, index: int, found: tuple[np.ndarray, np.ndarray]
) -> Fired:
    peak, place = found
    at = (int(place[index][0]), int(place[index][1]))
    picture = feed.take(index, index + 1)
    field = _field(probe, picture, layer, channel, at)
    if field is None or field.box is None:
        return Fired(index, feed.ids[index], float(peak[index]), at, None, None)
    cut = [slice(None)] * picture[0].ndim
    for axis, (low, high) in zip(field.axes, field.box):
        cut[axis.axis] = slice(low, high + 1)
    return Fired(index, feed.ids[index], float(peak[index]), at, field.box, picture[0][tuple(cut)])


def _field(probe: Probe, picture: np.ndarray, layer: str, channel: int, at: tuple[int, int]) -> ReceptiveField | None:
    call = probe.call(layer, picture)
    space = len(call.output_shapes[0]) - 1
    if space not in (1, 2) or call.steps > 1:
        return None
    try:
        return receptive_field(probe, call.name, at=at if space == 2 else at[1:], channel=channel, images=picture)
    except ModelError:  # a layer whose geometry is not known: the picture is shown without a crop
        return None
