"""Pascal VOC: one XML file per picture, read without entities or DTDs.

VOC counts pixels from 1 and includes the last one, so its box (1, 1, 640, 480) covers a whole picture of 640 x 480;
here that is (0, 0, 640, 480). `difficult` objects count neither for nor against, like a COCO crowd.

Source: Everingham et al., PASCAL VOC development kit, section "Annotation".
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from convscope.data.marked import (
    MarkedBox,
    MarkedPicture,
    box_samples,
    class_order,
    split_of,
    split_of_key,
    without_annotations,
)
from convscope.data.naming import natural_key, shown
from convscope.data.regular import read_regular
from convscope.data.walking import existing_folder, is_hidden, walk
from convscope.errors import DataError, PictureError
from convscope.records.samples import Samples, SetAside

_MAX_XML_BYTES = 16 << 20
_MASK_FOLDERS = frozenset({"segmentationclass", "segmentationobject"})
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def xml_keys(root: Path) -> list[str]:
    """All XML files at most three folders deep, in natural order, relative to `root`."""
    found, pending = [], [(root, "", 0)]
    while pending:
        folder, prefix, depth = pending.pop()
        try:
            entries = [e for e in folder.iterdir() if not is_hidden(e.name) and not e.is_symlink()]
        except OSError:
            continue
        found += [prefix + e.name for e in entries if e.suffix.lower() == ".xml" and e.is_file()]
        if depth < 3:
            pending += [(e, f"{prefix}{e.name}/", depth + 1) for e in entries if e.is_dir()]
    return sorted(found, key=natural_key)


def read_voc(root: str | Path) -> Samples:
    """Read a folder of VOC annotations: Annotations/ and JPEGImages/ (any names), or XML files beside pictures.

    A picture belongs to the XML file of the same name (without ending), else to the one whose <filename> names it.
    Pictures without an XML file are kept as background. ImageSets/Main/train.txt, val.txt and test.txt, or folders
    of such names, give the split.

    Raises:
        DataNotFoundError: no such folder.
        DataError: no XML annotation, or an XML file with a DTD.
    """
    folder = existing_folder(root)
    keys = xml_keys(folder)
    if not keys:
        raise DataError(f"{shown(str(folder))}: expected XML annotations (Pascal VOC), found no .xml file")
    found = walk(folder)
    pictures = [k for k in found.keys if not _MASK_FOLDERS & {p.lower() for p in PurePosixPath(k).parts[:-1]}]
    left = without_annotations(found.set_aside)
    by_picture: dict[str, MarkedPicture] = {}
    names = _Names(pictures)
    for key in keys:
        try:
            tree = _parsed(folder, key)
            picture = _picture(tree, key, names)
            if picture.key in by_picture:
                raise PictureError(key, f"a second annotation of one picture ({shown(picture.key)})")
            by_picture[picture.key] = picture
        except PictureError as error:
            left.append(SetAside(shown(key), error.reason))
    marked = [by_picture.get(k) or MarkedPicture(k) for k in pictures]
    classes = class_order({b.name for p in marked for b in p.boxes if b.label >= 0})
    if not classes:
        raise DataError(f"{shown(str(folder))}: expected objects in {len(keys)} XML files, found none")
    places = {name: i for i, name in enumerate(classes)}
    for picture in marked:
        picture.boxes = [_labelled(b, places) for b in picture.boxes]
    _give_splits(folder, marked)
    bare = sum(p.key not in by_picture for p in marked)
    source = f"Pascal VOC, {len(keys)} XML files" + (f"; {bare} pictures without one as background" if bare else "")
    return box_samples(folder, marked, classes=classes, source=source, set_aside=left)


class _Names:
    """Pictures by their name without ending."""

    def __init__(self, keys: list[str]) -> None:
        self._by_stem: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        for key in keys:
            path = PurePosixPath(key)
            self._by_stem.setdefault(path.stem, []).append(key)
            self._by_name.setdefault(path.name, []).append(key)

    def of(self, xml_key: str, said: str) -> str:
        """The picture that an XML file describes.

        Raises:
            PictureError: none, or several.
        """
        path = PurePosixPath(xml_key)
        hits = self._by_stem.get(path.stem) or self._by_name.get(PurePosixPath(said.replace("\\", "/")).name, [])
        beside = [k for k in hits if PurePosixPath(k).parent == path.parent]
        same_part = [k for k in hits if split_of_key(k) == split_of_key(xml_key)]
        for candidates in (beside, hits, same_part):
            if len(candidates) == 1:
                return candidates[0]
        if hits:
            raise PictureError(xml_key, f"several pictures of this name ({shown(hits[0])}, {shown(hits[1])})")
        raise PictureError(xml_key, f"an annotation without its picture ({shown(said) or 'no filename'})")


def _parsed(folder: Path, key: str) -> Element:
    data = read_regular(folder / key, key=key, max_bytes=_MAX_XML_BYTES)
    try:
        tree: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            f"{shown(key)}: expected an annotation without DTD and entities, found one; it was not opened"
        ) from error
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that Python has no name for
        raise PictureError(key, f"not XML that can be read ({error})") from error
    if tree.tag != "annotation":
        raise PictureError(key, f"not a VOC annotation (its root is <{shown(str(tree.tag))}>)")
    return tree


def _picture(tree: Element, key: str, names: _Names) -> MarkedPicture:
    picture = MarkedPicture(names.of(key, (tree.findtext("filename") or "").strip()))
    picture.said_hw = _size(tree)
    for number, item in enumerate(tree.iter("object"), start=1):
        where = f"{key} box {number}"
        name = (item.findtext("name") or "").strip()
        words = [(item.findtext(f"bndbox/{side}") or "").strip() for side in _SIDES]
        picture.boxes.append(_box(words, name, where, is_difficult=(item.findtext("difficult") or "").strip() == "1"))
    return picture


def _box(words: list[str], name: str, where: str, *, is_difficult: bool) -> MarkedBox:
    try:
        left, top, right, bottom = (float(w) for w in words)
    except ValueError:
        left = top = right = bottom = float("nan")
    if left < right and top < bottom:  # a swapped or empty box is named as it stands
        # tools that count from 0 write 0 at the border
        left, top = (v - 1 if v >= 1 or v < 0 else 0.0 for v in (left, top))
    return MarkedBox((left, top, right, bottom), 0 if name else -1, where, name or "no name", is_difficult)


def _labelled(box: MarkedBox, places: dict[str, int]) -> MarkedBox:
    label = places[box.name] if box.label == 0 else -1
    return MarkedBox(box.xyxy, label, box.where, box.name, box.is_crowd)


def _size(tree: Element) -> tuple[int, int] | None:
    """What <size> says; None where it is absent or 0, as some tools write."""
    try:
        high, wide = (int(float(tree.findtext(f"size/{n}") or "0")) for n in ("height", "width"))
    except (ValueError, OverflowError):
        return None
    return (high, wide) if high > 0 and wide > 0 else None


def _give_splits(folder: Path, marked: list[MarkedPicture]) -> None:
    """From ImageSets/Main, else from folder names where all pictures lie in such folders."""
    lists = folder / "ImageSets" / "Main"
    listed: dict[str, str] = {}
    if lists.is_dir():
        for file in sorted(lists.glob("*.txt")):
            part = split_of(file.stem)
            if part and file.stem.lower() in ("train", "val", "test"):
                text = read_regular(file, key=file.name, max_bytes=_MAX_XML_BYTES).decode("utf-8", "replace")
                listed |= {line.split()[0]: part for line in text.splitlines() if line.strip()}
    for picture in marked:
        path = PurePosixPath(picture.key)
        picture.split = listed.get(path.stem, listed.get(path.name, "")) if listed else split_of_key(picture.key)
    if not listed and not all(p.split for p in marked):
        for picture in marked:
            picture.split = ""
