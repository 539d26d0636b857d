"""Explanations that draw themselves and save themselves: PNG, NPZ and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from convscope.draw.numbers import signed, three
from convscope.draw.overlay import overlay
from convscope.draw.png import png_bytes
from convscope.draw.sheet import sheet_figure
from convscope.draw.tiles import picture_tile
from convscope.errors import DataError
from convscope.explaining.frames import to_picture
from convscope.files.atomic import atomic_file, write_bytes, write_json
from convscope.files.journal import plain
from convscope.records.attribution import Attribution
from convscope.records.features import TargetName
from convscope.records.figure import Figure
from convscope.records.geometry import Letterbox
from convscope.records.provenance import Provenance
from convscope.records.report import ScaleBar, Sheet, Tile

SHOWN = 12
TILE_PX = 224


@dataclass(frozen=True, eq=False)
class Explanation(Attribution):
    """An Attribution with the pictures that it explains.

    Attributes:
        pictures: (n, height, width, 1 or 3) uint8 in the network frame, for the eye.
        letterboxes: network frame <-> picture frame, where files were fitted; else empty.
    """

    pictures: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    letterboxes: tuple[Letterbox, ...] = ()

    def in_picture(self, index: int) -> np.ndarray:
        """Heat of one picture in its own pixels, (height, width) float32.

        Raises:
            DataError: the pictures were given as arrays, so that no other frame is known.
        """
        if not self.letterboxes:
            raise DataError("expected pictures from files, got arrays: their only frame is the network's own")
        return to_picture(self.heat[index], self.letterboxes[index])

    def overlay(self, index: int) -> np.ndarray:
        """The picture with its heat laid over at 50 %, (height, width, 3) uint8.

        Heat with a value per pixel ends its colours at 99 % of the pixels, since a few of them outshine all others.
        """
        return overlay(self.pictures[index], self.heat[index], signed=self.signed, limit=self._limit(index))

    def _limit(self, index: int) -> float | None:
        if self.values is None:
            return None
        return float(np.quantile(np.abs(self.heat[index]), 0.99)) or None

    def figure(self, most: int = SHOWN) -> Figure:
        """Pictures and overlays side by side, labelled, with a colour bar."""
        tiles: list[Tile] = []
        for i in range(min(len(self.heat), most)):
            tiles += self._tiles(i)
        where = f"layer {', '.join(self.layers[:4])}" if self.layers else "with respect to the picture"
        more = "" if len(self.heat) <= most else f" · first {most} of {len(self.heat)}"
        kind, low = ("diverging", "−end") if self.signed else ("viridis", "0")
        sheet = Sheet(
            self.method,
            tuple(tiles),
            f"{where} · {self.layer_reason} · heat at 50 % over grey{more}",
            self.provenance.line(),
            ScaleBar(kind, low, "end", "largest of each picture" if self.values is None else "99 % of each picture"),
        )
        return sheet_figure(sheet, columns=4)

    def _tiles(self, i: int) -> list[Tile]:
        heat, target, name = self.heat[i], self.targets[i], self.labels[i].rsplit("/", 1)[-1]
        least = signed(float(heat.min())) if self.signed else "0"
        lines = (f"{target.kind} {three(float(self.scores[i]))}", f"heat {least} to {three(float(heat.max()))}")
        row, column = divmod(int(np.argmax(heat)), heat.shape[1])
        alt = (
            f"{self.method} for {target.label} on {name}: strongest in row {row + 1} of {heat.shape[0]}, "
            f"column {column + 1} of {heat.shape[1]}"
        )
        return [
            picture_tile(self.pictures[i], f"{name} as the network sees it", head=name, longest_px=TILE_PX),
            picture_tile(self.overlay(i), alt, head=f"for {target.label}", lines=lines, longest_px=TILE_PX),
        ]

    def _repr_html_(self) -> str:
        return self.figure().data.decode()

    def __str__(self) -> str:
        """One line per picture."""
        head = f"{self.method}: {self.facts.get('words', '')}"
        rows = [
            f"{label}: for {t.label} ({t.kind} {three(float(s))})"
            for label, t, s in zip(self.labels, self.targets, self.scores)
        ]
        return "\n".join([head, *rows[:SHOWN]])

    def save(self, folder: str | Path) -> list[Path]:
        """Write METHOD.npz (heat and values), METHOD.json (everything else) and one overlay per picture.

        Returns:
            The files written, in order.

        Raises:
            StorageError: the folder can't be written.
        """
        place = Path(folder)
        arrays = {"heat": self.heat, "scores": self.scores}
        if self.values is not None:
            arrays["values"] = self.values
        written = [place / f"{self.method}.npz"]
        with atomic_file(written[0]) as path, open(path, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub takes names for options
        written.append(place / f"{self.method}.json")
        write_json(written[-1], plain(self.as_dict()))
        for i, stem in enumerate(file_stems(self.labels)):
            written.append(place / f"{self.method}-{stem}.png")
            write_bytes(written[-1], png_bytes(self.overlay(i)))
        return written

    def as_dict(self) -> dict[str, object]:
        """Everything but the arrays of heat and pictures, as plain JSON values."""
        return {
            "method": self.method,
            "signed": self.signed,
            "heat_shape": list(self.heat.shape),
            "layers": list(self.layers),
            "layer_reason": self.layer_reason,
            "pictures": [
                {"label": label, "target": vars(t), "score": float(s)}
                for label, t, s in zip(self.labels, self.targets, self.scores)
            ],
            "facts": self.facts,
            "letterboxes": [asdict(box) for box in self.letterboxes],
            "provenance": self.provenance.as_dict(),
        }


def file_stems(labels: Sequence[str]) -> list[str]:
    """Safe, different file names for labels: letters, digits, dot, dash and underscore; numbered where equal."""
    stems: list[str] = []
    for label in labels:
        name = label.rsplit("/", 1)[-1]
        stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)[:80] or "picture"
        count = sum(s == stem or s.startswith(stem + "~") for s in stems)
        stems.append(f"{stem}~{count}" if count else stem)
    return stems


def shown(attribution: Attribution, pictures: np.ndarray, letterboxes: Sequence[Letterbox] = ()) -> Explanation:
    """The same record, able to show itself."""
    known = {f.name: getattr(attribution, f.name) for f in fields(Attribution)}
    return Explanation(**known, pictures=pictures, letterboxes=tuple(letterboxes))


def load(folder: str | Path, method: str) -> Attribution:
    """What `save` wrote, without the pictures.

    Raises:
        DataError: no such explanation there.
    """
    place = Path(folder)
    try:
        facts = json.loads((place / f"{method}.json").read_text(encoding="utf-8"))
        with np.load(place / f"{method}.npz", allow_pickle=False) as arrays:
            heat, scores, values = arrays["heat"], arrays["scores"], arrays.get("values")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{place}: expected {method}.json and {method}.npz, found none that can be read") from error
    rows = facts["pictures"]
    return Attribution(
        method=facts["method"],
        heat=heat,
        signed=facts["signed"],
        targets=tuple(TargetName(**row["target"]) for row in rows),
        scores=scores,
        layers=tuple(facts["layers"]),
        layer_reason=facts["layer_reason"],
        labels=tuple(row["label"] for row in rows),
        provenance=Provenance.from_dict(facts["provenance"]),
        facts=facts["facts"],
        values=values,
    )


def for_the_eye(images: np.ndarray, scale: float | None = None, offset: float = 0.0) -> np.ndarray:
    """Network input (n, h, w, c) as pictures (n, h, w, 1 or 3) uint8.

    Args:
        images: channels last.
        scale: network value = pixel x scale + offset, where known; else 0..255 values are taken as pixels and others
            stretched from the smallest to the largest value of each picture.
        offset: see scale.
    """
    values = np.asarray(images, np.float64)
    if values.shape[-1] not in (1, 3):
        values = values.mean(axis=-1, keepdims=True)
    if scale is not None:
        values = (values - offset) / scale
    elif values.min() < 0 or values.max() > 255 or values.max() <= 2:
        low = values.min(axis=(1, 2, 3), keepdims=True)
        span = values.max(axis=(1, 2, 3), keepdims=True) - low
        values = np.divide(values - low, span, out=np.zeros_like(values), where=span > 0) * 255
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
