"""Masks in files: for people and other programs (PNG, CSV), and exactly, for the report."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convscope.draw.contours import mask_colours, mask_overlay
from convscope.draw.png import jpeg_bytes
from convscope.errors import PictureError, RunError
from convscope.files.atomic import atomic_file, write_bytes, write_json, write_text
from convscope.records.masks import ArrayMask, Segmentations
from convscope.records.samples import Samples

EXACT = "masks.npz"


def mask_rows(found: Segmentations) -> list[dict[str, Any]]:
    """One plain row per picture: its name and the share of its pixels that each class takes."""
    rows = []
    for key, mask in zip(found.keys, found.masks, strict=True):
        shares = np.bincount(mask.reshape(-1), minlength=len(found.classes)) / mask.size
        rows.append({"picture": key} | {name: float(s) for name, s in zip(found.classes, shares, strict=False)})
    return rows


def write_pngs(folder: Path, found: Segmentations, samples: Samples) -> tuple[Path, ...]:
    """Write masks/0001.png (palette, pixel value = class index), overlays/0001.jpg, masks.csv and masks.json."""
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    names = {}
    for number, (key, mask) in enumerate(zip(found.keys, found.masks, strict=True), start=1):
        names[key] = f"{number:04d}"
        write_bytes(folder / "masks" / f"{names[key]}.png", palette_png(mask, len(found.classes)))
        try:
            picture = samples.pictures.read(place[key], 3).values
        except PictureError:  # it could be read a moment ago; the mask is what was asked for
            continue
        drawn = mask_overlay(picture, mask, None, classes=len(found.classes))
        write_bytes(folder / "overlays" / f"{names[key]}.jpg", jpeg_bytes(drawn))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = mask_rows(found)
    writer.writerow([*rows[0], "mask"])
    writer.writerows([[*row.values(), f"masks/{names[row['picture']]}.png"] for row in rows])
    write_text(folder / "masks.csv", text.getvalue())
    write_json(folder / "masks.json", {"classes": list(found.classes), "masks": names})
    return folder / "masks.csv", folder / "masks", folder / "overlays"


def palette_png(mask: np.ndarray, classes: int) -> bytes:
    """An 8-bit palette PNG whose pixel values are the class indices."""
    image = Image.fromarray(mask)
    image.putpalette(mask_colours(classes).astype(np.uint8).reshape(-1).tolist())
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def write_masks(folder: Path, found: Segmentations) -> None:
    """Keep masks with their truth in a run folder, exactly."""
    arrays: dict[str, np.ndarray] = {"keys": np.array(found.keys, dtype=str), "classes": np.array(found.classes)}
    for index, mask in enumerate(found.masks):
        arrays[f"found_{index}"] = mask
        if found.truth is not None:
            arrays[f"truth_{index}"] = found.truth[index].read()
    if found.cases is not None:
        arrays["cases"] = np.array(found.cases, dtype=str)
    if found.spacing_mm is not None:
        arrays["spacing_mm"] = np.array(found.spacing_mm, np.float64)
    with atomic_file(folder / EXACT) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub takes names for options


def read_masks(folder: Path) -> Segmentations:
    """Read what `write_masks` wrote.

    Raises:
        RunError: the run has none yet.
    """
    path = folder / EXACT
    if not path.is_file():
        raise RunError(f"{folder}: this run has no masks yet; go on with `convscope train --resume {folder}`")
    with np.load(path, allow_pickle=False) as stored:
        keys, classes = (tuple(str(v) for v in stored[name]) for name in ("keys", "classes"))
        masks = tuple(stored[f"found_{i}"] for i in range(len(keys)))
        truth = tuple(ArrayMask(stored[f"truth_{i}"]) for i in range(len(keys))) if "truth_0" in stored else None
        cases = tuple(str(v) for v in stored["cases"]) if "cases" in stored else None
        spacing = tuple((float(y), float(x)) for y, x in stored["spacing_mm"]) if "spacing_mm" in stored else None
    return Segmentations(keys, masks, classes, truth, spacing, cases)
