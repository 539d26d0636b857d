"""YOLO: one text file per picture, "class centre-x centre-y width height" in shares of the picture, and data.yaml.

`download:` in data.yaml is never run, fetched or looked at. Lines with more numbers are outlines (YOLO-seg); the box
is then what encloses them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from convscope.data.box_checks import Numbers
from convscope.data.marked import MarkedBox, MarkedPicture, box_samples, split_of_key, without_annotations
from convscope.data.naming import shown, some
from convscope.data.regular import read_regular
from convscope.data.walking import existing_folder, walk
from convscope.data.yolo_yaml import YoloPlan, plan_keys, read_plan
from convscope.errors import DataError, PictureError
from convscope.records.samples import Samples, SetAside

_MAX_TEXT_BYTES = 64 << 20
_NAN: Numbers = (math.nan, math.nan, math.nan, math.nan)
NAME_FILES = ("classes.txt", "obj.names")


@dataclass(frozen=True)
class YoloFolders:
    """What lies in a folder: `plans` are data files (.yaml), `labels` folders named labels, relative to it."""

    plans: tuple[str, ...]
    labels: tuple[str, ...]


def yolo_folders(root: Path) -> YoloFolders:
    """Look at most three folders deep for data.yaml and for folders named labels that hold text files."""
    plans, labels = [], []
    pending = [(root, "", 0)]
    while pending:
        folder, prefix, depth = pending.pop()
        try:
            entries = sorted(e for e in folder.iterdir() if not e.name.startswith(".") and not e.is_symlink())
        except OSError:
            continue
        if depth <= 1:
            plans += [prefix + e.name for e in entries if e.suffix.lower() in (".yaml", ".yml") and plan_keys(e)]
        for entry in entries:
            if entry.is_dir():
                if entry.name.lower() == "labels" and any(True for _ in entry.rglob("*.txt")):
                    labels.append(prefix + entry.name)
                elif depth < 3:
                    pending.append((entry, f"{prefix}{entry.name}/", depth + 1))
    return YoloFolders(tuple(sorted(plans)), tuple(sorted(labels)))


def read_yolo(path: str | Path, *, labels: str | None = None) -> Samples:
    """Read YOLO data: a data.yaml, or a folder with images/ and labels/.

    The label file of images/train/a.jpg is labels/train/a.txt; a picture without one is background. train, val and
    test come from data.yaml, else from folder names. Class names come from data.yaml, classes.txt or obj.names; without
    them classes are called by their numbers.

    Args:
        path: the folder, or its data.yaml.
        labels: the folder of label files below it, where there are several or it has another name.

    Raises:
        DataNotFoundError: nothing there.
        DataError: no label file, several folders of labels, or a data.yaml that can't be used.
    """
    given = Path(path)
    folder = given.parent if given.is_file() else existing_folder(given)
    found = yolo_folders(folder)
    plan = _plan(folder, given, found)
    walked = walk(folder)
    left = without_annotations(walked.set_aside)
    parts = plan.assign(walked.keys, folder) if plan and plan.parts else None
    keys = [k for k in walked.keys if parts is None or k in parts]
    roots = _label_roots(folder, found, labels)
    if parts is None:
        keys = [k for k in keys if "images" in k.lower().split("/")[:-1]] or keys
    texts = {k: t for k in keys if (t := _label_file(folder, k, roots)) is not None}
    if not texts:
        raise DataError(
            f"{shown(str(folder))}: expected label files (labels/NAME.txt for images/NAME.jpg), "
            f"found none for {len(keys)} pictures"
        )
    marked = [_picture(folder, k, texts.get(k), left) for k in keys]
    names = _names(folder, plan, marked)
    for picture in marked:
        picture.boxes = [_named(b, names) for b in picture.boxes]
        picture.split = parts[picture.key] if parts is not None else split_of_key(picture.key)
    if parts is None and not all(p.split for p in marked):
        for picture in marked:
            picture.split = ""
    bare = len(keys) - len(texts)
    source = f"YOLO, {len(texts)} label files" + (f", {shown(plan.name)}" if plan else "")
    source += f"; {bare} pictures without one as background" if bare else ""
    return box_samples(folder, marked, classes=names, source=source, set_aside=left)


def _plan(folder: Path, given: Path, found: YoloFolders) -> YoloPlan | None:
    if given.is_file():
        return read_plan(given)
    if len(found.plans) > 1:
        raise DataError(f"{shown(str(folder))}: found several data files ({some(found.plans)}); give one of them")
    return read_plan(folder / found.plans[0]) if found.plans else None


def _label_roots(folder: Path, found: YoloFolders, labels: str | None) -> tuple[str, ...]:
    """Folders of labels that do not lie beside a folder of images, or the one that was named."""
    if labels is not None:
        if not (folder / labels).is_dir():
            raise DataError(f"{shown(str(folder))}: expected a folder of labels {shown(labels)}, found none")
        return (labels,)
    beside = [f for f in found.labels if (folder / f).with_name("images").is_dir()]
    if not beside and len(found.labels) > 1:
        raise DataError(f"{shown(str(folder))}: found several folders of labels ({some(found.labels)}); name one")
    return () if beside else found.labels


def _label_file(folder: Path, key: str, roots: tuple[str, ...]) -> str | None:
    """The label file of a picture, relative to the folder; None for background."""
    parts = PurePosixPath(key).with_suffix(".txt").parts
    images = [i for i, p in enumerate(parts[:-1]) if p.lower() == "images"]
    rest = parts[images[-1] + 1 :] if images else parts
    tried = [PurePosixPath(r, *rest).as_posix() for r in roots]
    if not roots and images:
        tried.append(PurePosixPath(*parts[: images[-1]], "labels", *rest).as_posix())
    if not roots:
        tried.append("/".join(parts))  # beside the picture
    return next((t for t in tried if (folder / t).is_file()), None)


def _picture(folder: Path, key: str, text: str | None, left: list[SetAside]) -> MarkedPicture:
    picture = MarkedPicture(key, is_relative=True)
    if text is None:
        return picture
    try:
        data = read_regular(folder / text, key=text, max_bytes=_MAX_TEXT_BYTES)
        lines = data.decode("utf-8-sig").splitlines()
    except (PictureError, UnicodeDecodeError) as error:
        reason = error.reason if isinstance(error, PictureError) else "not UTF-8 text"
        left.append(SetAside(shown(text), f"labels that can't be read ({reason})"))
        return picture
    for number, line in enumerate(lines, start=1):
        if words := line.split():
            where = f"{text}:{number}"
            try:
                picture.boxes.append(parse_line(words, where))
            except ValueError as error:
                left.append(SetAside(shown(where), str(error)))
    return picture


def parse_line(words: list[str], where: str) -> MarkedBox:
    """One line of a label file.

    Raises:
        ValueError: another number of columns, or words that are no numbers; the message is the reason.
    """
    try:
        label = int(words[0]) if words[0].lstrip("+-").isdecimal() else int(float(words[0]))
        numbers = [float(w) for w in words[1:]]
    except (ValueError, OverflowError) as error:
        raise ValueError(f"a line that is no numbers ({shown(' '.join(words)[:60])})") from error
    if len(numbers) == 4:
        cx, cy, wide, tall = numbers
        xyxy = (cx - wide / 2, cy - tall / 2, cx + wide / 2, cy + tall / 2)
        return MarkedBox(xyxy, label, where, words[0])
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"a line of {len(words)} columns (expected 5, or 1 and pairs for an outline)")
    points = np.array(numbers).reshape(-1, 2)
    if not np.isfinite(points).all():
        return MarkedBox(_NAN, label, where, words[0])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return MarkedBox((left, top, right, bottom), label, where, words[0], outlines=(points,))


def _names(folder: Path, plan: YoloPlan | None, marked: list[MarkedPicture]) -> tuple[str, ...]:
    if plan is not None and plan.names:
        return plan.names
    for name in NAME_FILES:
        for place in (folder / name, folder / "labels" / name):
            if place.is_file():
                text = read_regular(place, max_bytes=_MAX_TEXT_BYTES).decode("utf-8-sig", "replace")
                return tuple(line.strip() for line in text.splitlines() if line.strip())
    highest = max((b.label for p in marked for b in p.boxes if b.label < 10_000), default=-1)
    if highest < 0:
        raise DataError(f"{shown(str(folder))}: expected labelled boxes, found none in {len(marked)} pictures")
    return tuple(str(i) for i in range(highest + 1))


def _named(box: MarkedBox, names: tuple[str, ...]) -> MarkedBox:
    if 0 <= box.label < len(names):
        return MarkedBox(box.xyxy, box.label, box.where, names[box.label], outlines=box.outlines)
    return MarkedBox(box.xyxy, -1, box.where, box.name)
