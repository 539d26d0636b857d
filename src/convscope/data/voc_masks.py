"""Pascal VOC masks: JPEGImages/, SegmentationClass/ and the lists in ImageSets/Segmentation/."""

from __future__ import annotations

from pathlib import Path

from convscope.data.folder import PARTS
from convscope.data.label_map import find_label_map
from convscope.data.mask_codes import rule_of_map
from convscope.data.mask_folders import Pairing, masked_samples
from convscope.data.naming import shown
from convscope.data.regular import read_regular
from convscope.data.walking import existing_folder, walk
from convscope.errors import DataError
from convscope.records.samples import Samples, SetAside

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_MASKS, _PICTURES, _LISTS = "SegmentationClass", "JPEGImages", "ImageSets/Segmentation"
_MOST_BYTES = 64 << 20


def voc_mask_root(folder: Path) -> Path | None:
    """The folder that holds SegmentationClass/ and JPEGImages/: the given one, or one below it (VOC2012/)."""
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())
    for place in (
        folder,
        *below,
        *(p for b in below for p in sorted(b.iterdir()) if p.is_dir() and not p.is_symlink()),
    ):
        if (place / _MASKS).is_dir() and (place / _PICTURES).is_dir():
            return place
    return None


def read_voc_masks(folder: str | Path) -> Samples:
    """Read VOC masks: palette index = class, 255 = void; colours through a label map (labelmap.txt).

    Which pictures: those with a mask; train, val and test as ImageSets/Segmentation/*.txt say, where they are.
    Classes: a label map, else the 21 of VOC.

    Raises:
        DataNotFoundError: no folder.
        DataError: no such layout, a list that names no picture, or a label map that can't be understood.
    """
    root = voc_mask_root(existing_folder(folder))
    if root is None:
        raise DataError(f"{shown(str(folder))}: expected {_PICTURES}/ beside {_MASKS}/, found none")
    pictures = {key.rsplit("/", 1)[-1].rsplit(".", 1)[0]: key for key in walk(root, _PICTURES).keys}
    masks = {key.rsplit("/", 1)[-1].rsplit(".", 1)[0]: key for key in walk(root, _MASKS).keys}
    parts = _parts(root)
    pairing = Pairing()
    for stem, mask in masks.items():
        if stem not in pictures:
            pairing.set_aside.append(SetAside(shown(mask), "a mask without a picture of its name"))
        elif parts and stem not in parts:
            pairing.set_aside.append(SetAside(shown(pictures[stem]), f"in no list of {_LISTS}"))
        else:
            pairing.pictures.append(pictures[stem])
            pairing.masks.append((mask,))
            pairing.parts.append(parts.get(stem, ""))
    labels = find_label_map((root, root.parent))
    rule = None if labels is None else rule_of_map(labels)
    names = () if rule is not None else VOC_CLASSES
    return masked_samples(root, pairing, source="Pascal VOC masks", rule=rule, names=names)


def _parts(root: Path) -> dict[str, str]:
    """Stem -> part, from train.txt, val.txt and test.txt; trainval.txt says nothing more."""
    found: dict[str, str] = {}
    for name, part in PARTS.items():
        path = root / _LISTS / f"{name}.txt"
        if not path.is_file():
            continue
        where = f"{_LISTS}/{name}.txt"
        for line in read_regular(path, key=where, max_bytes=_MOST_BYTES).decode("utf-8-sig", "replace").split():
            if found.setdefault(line, part) != part:
                raise DataError(f"{where}: {shown(line)} is listed in {found[line]} too; keep one")
    return found
