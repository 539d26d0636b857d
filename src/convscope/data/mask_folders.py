"""Folders of pictures and folders of masks, matched by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from convscope.data.files_source import FilesSource
from convscope.data.folder import PARTS
from convscope.data.header import read_header
from convscope.data.label_map import find_label_map
from convscope.data.mask_codes import MaskRule, rule_of_codes, rule_of_map
from convscope.data.mask_files import FileMask, header_of_mask, mask_turn, size_words, survey
from convscope.data.naming import natural_key, shown, some
from convscope.data.walking import children, existing_folder, walk
from convscope.errors import DataError, PictureError
from convscope.records.samples import Samples, SetAside

_PICTURES = frozenset({"images", "image", "imgs", "img", "pictures", "jpegimages", "imagestr"})
_MASKS = frozenset(
    {"masks", "mask", "labels", "label", "labelstr", "annotations", "segmentationclass", "manual", "1st_manual"}
    | {"groundtruth", "ground_truth", "gt"}
)
_ENDINGS = "mask|masks|label|labels|gt|seg|segmentation|groundtruth|manual1|manual|anno|image|img"
_SUFFIX = re.compile(rf"[ _\-.]*({_ENDINGS})$", re.IGNORECASE)
_NO_MASK, _NO_PICTURE = "no mask of its name", "a mask without a picture of its name"


@dataclass
class Pairing:
    """Keys of pictures with the keys of their masks, the part that each belongs to, and what has no partner."""

    pictures: list[str] = field(default_factory=list)
    masks: list[tuple[str, ...]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


def is_mask_folder(root: Path) -> bool:
    """Whether `read_mask_folder` knows this layout: a folder of pictures beside one of masks."""
    return bool(_layout(root))


def read_mask_folder(root: str | Path) -> Samples:
    """Read `images/` and `masks/` (and their usual other names) with one mask for each picture.

    Layouts: both in the folder; both below train/, val/, test/, or these below both; one such pair below a folder of
    its own for every picture; a folder of one-object masks for every picture in place of its mask. Names match when
    their stems do, without endings such as "_mask". Classes: a label map (see `label_map`), else `rule_of_codes` over
    all masks, which are read for it once.

    Raises:
        DataNotFoundError: no folder.
        DataError: no such layout, no pair, or masks of which nobody says what they mean.
    """
    folder = existing_folder(root)
    places = _layout(folder)
    if not places:
        raise DataError(f"{shown(str(folder))}: expected a folder of pictures (images/) beside one of masks (masks/)")
    pairing = Pairing()
    for picture_folder, mask_folder, part in places:
        _pair(folder, (picture_folder, mask_folder), part, pairing)
    return masked_samples(folder, pairing, source="a folder of pictures and one of masks")


def masked_samples(
    root: Path, pairing: Pairing, *, source: str, rule: MaskRule | None = None, names: Sequence[str] = ()
) -> Samples:
    """Check sizes and put matched pictures and masks into one record.

    Args:
        root: the data folder.
        pairing: what belongs together.
        source: how it was read, in words.
        rule: what codes mean; found by label map or survey where None.
        names: class names in index order for masks of indices.

    Raises:
        DataError: no pair is left, or nobody says what the codes mean.
    """
    rule = rule or _rule(root, pairing, names)
    kept, truth, left = [], [], list(pairing.set_aside)
    for i, (key, masks) in enumerate(zip(pairing.pictures, pairing.masks)):
        try:
            truth.append(_checked(root, key, masks, rule))
            kept.append(i)
        except PictureError as error:
            left.append(SetAside(shown(key), f"{error.reason} ({shown(error.path)})"))
    if not kept:
        first = f"; the first, {left[0].key}: {left[0].reason}" if left else ""
        raise DataError(f"{shown(str(root))}: expected pictures with masks of their size, found none{first}")
    column = np.empty(len(kept), object)
    column[:] = truth
    parts = tuple(pairing.parts[i] for i in kept)
    return Samples(
        pictures=FilesSource(root, tuple(pairing.pictures[i] for i in kept)),
        truth=column,
        task="segment",
        classes=rule.classes,
        given_split=parts if all(parts) else None,
        set_aside=tuple(left),
        source=f"{source}; {rule.words}",
        root=root,
    )


def _rule(root: Path, pairing: Pairing, names: Sequence[str]) -> MaskRule:
    first = {root / PurePosixPath(masks[0]).parent for masks in pairing.masks[:1]}
    labels = None if names else find_label_map((root, *first, *(f.parent for f in first)))
    if labels is not None:
        return rule_of_map(labels)
    codes, is_coloured = survey(root, [key for masks in pairing.masks for key in masks], as_index=bool(names))
    if not codes:
        raise DataError(f"{shown(str(root))}: expected masks that can be read, found none of {len(pairing.masks)}")
    try:
        return rule_of_codes(codes, is_coloured, names=names)
    except DataError as error:
        raise DataError(f"{shown(str(root))}: {error}") from error


def _checked(root: Path, key: str, masks: tuple[str, ...], rule: MaskRule) -> FileMask:
    picture = read_header(root / key, key=key)
    turns = set()
    for mask in masks:
        mask_hw = header_of_mask(root, mask)
        turn = mask_turn(picture, mask_hw)
        if turn is None:
            raise PictureError(mask, size_words(mask_hw, picture.upright_hw))
        turns.add(turn)
    if len(turns) > 1:
        raise PictureError(key, "some of its masks lie as stored, others as shown; turn them alike")
    return FileMask(root, masks, rule, picture.upright_hw, turns.pop())


_Place = tuple[str, str, str]  # keys of the pictures' and the masks' folder, and the part


def _layout(root: Path) -> list[_Place]:
    """Where pictures and masks lie; empty for another layout."""
    here = _pair_below(root, "")
    if here is not None:
        parts = _parts_below(root, here)
        return parts or ([(*here, "")] if _has_pictures(root / here[1]) else [])
    below = [(e.name, _pair_below(root, e.name)) for e in children(root) if e.is_dir(follow_symlinks=False)]
    found = [(name, pair) for name, pair in below if pair is not None and _has_pictures(root / pair[1])]
    names = {name.lower() for name, _ in found}
    is_parts = bool(names) and names <= set(PARTS)
    return [(*pair, PARTS[name.lower()] if is_parts else "") for name, pair in found]


def _pair_below(root: Path, below: str) -> tuple[str, str] | None:
    folders = {
        e.name.lower(): f"{below}/{e.name}" if below else e.name
        for e in children(root / below)
        if e.is_dir(follow_symlinks=False)
    }
    pictures = [key for name, key in folders.items() if name in _PICTURES]
    masks = [key for name, key in folders.items() if name in _MASKS]
    return (pictures[0], masks[0]) if len(pictures) == 1 and len(masks) == 1 else None


def _parts_below(root: Path, pair: tuple[str, str]) -> list[_Place]:
    """images/train beside masks/train."""
    names = [{e.name.lower(): e.name for e in children(root / key) if e.is_dir(follow_symlinks=False)} for key in pair]
    shared = [n for n in names[0] if n in names[1] and n in PARTS]
    return [
        (f"{pair[0]}/{names[0][n]}", f"{pair[1]}/{names[1][n]}", PARTS[n])
        for n in shared
        if _has_pictures(root / pair[1] / names[1][n])
    ]


def _has_pictures(folder: Path) -> bool:
    """Whether any mask lies there: the labels/ of YOLO hold text."""
    return bool(walk(folder).keys)


def _pair(root: Path, folders: tuple[str, str], part: str, pairing: Pairing) -> None:
    """Match by stem; a folder that is named like a picture holds its objects; a lone picture takes all masks."""
    pictures, masks = walk(root, folders[0]), walk(root, folders[1])
    pairing.set_aside += [*pictures.set_aside, *(s for s in masks.set_aside if not _is_label_file(s.key))]
    groups: dict[str, list[str]] = {}
    for key in masks.keys:
        inner = PurePosixPath(key).relative_to(folders[1])
        groups.setdefault(
            _stem(inner.parts[0] if len(inner.parts) > 1 else inner.name, len(inner.parts) > 1), []
        ).append(key)
    if len(pictures.keys) == 1 and masks.keys and _stem(pictures.keys[0].rsplit("/", 1)[-1]) not in groups:
        groups = {_stem(pictures.keys[0].rsplit("/", 1)[-1]): list(masks.keys)}
    used = set()
    for key in sorted(pictures.keys, key=natural_key):
        stem = _stem(key.rsplit("/", 1)[-1])
        found = groups.get(stem)
        if found is None:
            pairing.set_aside.append(SetAside(shown(key), _NO_MASK))
        elif stem in used:
            raise DataError(f"{shown(str(root))}: expected one picture for mask {shown(found[0])}, found several")
        else:
            used.add(stem)
            pairing.pictures.append(key)
            pairing.masks.append(tuple(sorted(found, key=natural_key)))
            pairing.parts.append(part)
    _refuse_doubles(root, folders[1], groups)
    lone = [keys[0] for stem, keys in groups.items() if stem not in used]
    pairing.set_aside += [SetAside(shown(key), _NO_PICTURE) for key in lone]


def _refuse_doubles(root: Path, mask_folder: str, groups: dict[str, list[str]]) -> None:
    """Two files such as a.png and a_mask.png in one flat folder of masks: which one is meant?"""
    if len(groups) < 2:
        return
    for keys in groups.values():
        flat = [k for k in keys if str(PurePosixPath(k).parent) == mask_folder]
        if len(flat) > 1:
            raise DataError(f"{shown(str(root))}: expected one mask for each picture, found {some(flat)}; keep one")


def _is_label_file(key: str) -> bool:
    return key.lower().endswith((".csv", ".json", ".txt", ".xml", ".md"))


def _stem(name: str, is_folder: bool = False) -> str:
    stem = name if is_folder else name.rsplit(".", 1)[0]
    return _SUFFIX.sub("", stem.strip()).casefold() or stem.casefold()


def suffix_free(names: Iterable[str]) -> list[str]:
    """Names as they are matched: without suffix and without endings such as "_mask"."""
    return [_stem(name) for name in names]
