"""Findings about copies: the same file, the same pixels, the same picture resized or mirrored, and where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.data.audit_facts import Facts
from convscope.data.hashing import array_digest
from convscope.data.perceptual import mirrored, near_duplicates
from convscope.errors import PictureError
from convscope.records.audit import Finding
from convscope.records.samples import Samples

MOST_SHOWN = 200
_MOST_COMPARED = 2000  # files decoded a second time, in full, to tell equal pixels from close ones
Group = tuple[int, ...]


@dataclass(frozen=True)
class Copies:
    """Groups of sample indices; no group of a later field repeats one of an earlier field.

    Attributes:
        files: the same bytes.
        pixels: other bytes, the same pixels.
        near: the same picture, re-encoded or resized.
        mirrored: one shows the other's mirror image.
    """

    files: tuple[Group, ...]
    pixels: tuple[Group, ...]
    near: tuple[Group, ...]
    mirrored: tuple[Group, ...]

    def together(self) -> tuple[Group, ...]:
        """All groups that a split should keep on one side."""
        return (*self.files, *self.pixels, *self.near, *self.mirrored)


def find_copies(samples: Samples, facts: Sequence[Facts]) -> Copies:
    """Group the readable pictures of a scan."""
    files = _by([(f.digest, f.index) for f in facts])
    leader = {i: group[0] for group in files for i in group}
    # one of each identical file is enough to compare looks
    single = [f for f in facts if leader.get(f.index, f.index) == f.index]
    if not single:
        return Copies(files, (), (), ())
    hashes = np.array([f.hash for f in single], np.uint64)
    mirrors = np.array([f.mirror_hash for f in single], np.uint64)
    thumbs = np.stack([f.thumb for f in single])
    looks = [tuple(single[i].index for i in group) for group in near_duplicates(hashes, thumbs)]
    pixels = _same_pixels(samples, looks, {f.index: f for f in single})
    exact = {frozenset(group) for group in pixels}
    near = tuple(group for group in looks if frozenset(group) not in exact)
    turned = tuple(tuple(single[i].index for i in group) for group in mirrored(hashes, mirrors, thumbs))
    return Copies(files, pixels, near, turned)


def _by(pairs: Iterable[tuple[bytes, int]]) -> tuple[Group, ...]:
    groups: dict[bytes, list[int]] = {}
    for digest, index in pairs:
        groups.setdefault(digest, []).append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _same_pixels(samples: Samples, looks: list[Group], facts: dict[int, Facts]) -> tuple[Group, ...]:
    """Among look-alikes of one size, those whose decoded pixels are equal."""
    found: list[Group] = []
    compared = 0
    for group in looks:
        by_size: dict[tuple[int, int], list[int]] = {}
        for index in group:
            by_size.setdefault(facts[index].hw, []).append(index)
        for members in by_size.values():
            if len(members) < 2 or compared + len(members) > _MOST_COMPARED:
                continue
            compared += len(members)
            found += _by([(_pixel_digest(samples, i), i) for i in members])
    return tuple(found)


def _pixel_digest(samples: Samples, index: int) -> bytes:
    try:
        return array_digest(samples.pictures.read(index, 3).values)
    except PictureError:  # it changed since the scan read it
        return index.to_bytes(8, "big")


def copy_findings(samples: Samples, copies: Copies, side: Sequence[str] | None) -> list[Finding]:
    """Findings by kind; `side` names each picture's part ("train", "val", "test") when there is a split."""
    findings = [
        *_kind(samples, copies.files, _FILES),
        *_kind(samples, copies.pixels, _PIXELS),
        *_kind(samples, copies.near, _NEAR),
        *_kind(samples, copies.mirrored, _MIRRORED),
    ]
    findings += _two_classes(samples, copies)
    if side is not None:
        findings += _leaks(samples, copies, side)
    return findings


@dataclass(frozen=True)
class _Words:
    kind: str
    title: str
    what: str


_FILES = _Words("identical-files", "Identical files", "of the same bytes. Cut by a split, one tests on the other.")
_PIXELS = _Words("identical-pixels", "Identical pixels", "of different files with the same pixels.")
_NEAR = _Words(
    "near-duplicates",
    "Same picture, other size or encoding",
    "that look the same. Found by picture hash and thumbnail.",
)
_MIRRORED = _Words("mirrored", "Mirror images", "of which one is the other seen in a mirror.")


def _kind(samples: Samples, groups: tuple[Group, ...], words: _Words) -> list[Finding]:
    if not groups:
        return []
    count = sum(len(g) for g in groups)
    pairs = "pair" if all(len(g) == 2 for g in groups) else "group"
    number = f"{len(groups)} {pairs}{'s' if len(groups) > 1 else ''}"
    return [
        Finding(
            words.kind,
            words.title,
            "look",
            count,
            f"{number} {words.what}",
            "keeps each group on one side of every split",
            named(samples, groups),
            {"groups": len(groups), "surplus": count - len(groups)},
        )
    ]


def named(samples: Samples, groups: Iterable[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    """Groups of keys, the first ones."""
    keys = samples.pictures.keys
    return tuple(tuple(keys[i] for i in group[:MOST_SHOWN]) for group in list(groups)[:MOST_SHOWN])


def _two_classes(samples: Samples, copies: Copies) -> list[Finding]:
    truth = samples.truth
    if truth is None or samples.task not in ("classify", "multilabel"):
        return []

    def torn(groups: Iterable[Group]) -> list[Group]:
        return [g for g in groups if any(not np.array_equal(truth[i], truth[g[0]]) for i in g[1:])]

    findings = []
    exact, near = torn((*copies.files, *copies.pixels)), torn(copies.near)
    if exact:
        count = sum(len(g) for g in exact)
        what = f"{count} pictures are the same as one of another class: at least one of the labels is wrong."
        does = "trains on both labels; give each picture one class"
        facts = {"groups": len(exact)}
        findings.append(
            Finding(
                "two-classes",
                "Same picture in two classes",
                "must fix",
                count,
                what,
                does,
                named(samples, exact),
                facts,
            )
        )
    if near:
        count = sum(len(g) for g in near)
        what = f"{count} pictures look like one of another class. One of the labels may be wrong."
        facts = {"groups": len(near)}
        findings.append(
            Finding(
                "near-two-classes", "Look-alikes in two classes", "look", count, what, "changes no label",
                named(samples, near), facts,
            )
        )  # fmt: skip
    return findings


def _leaks(samples: Samples, copies: Copies, side: Sequence[str]) -> list[Finding]:
    """Copies and groups that stand on two sides of the split."""
    by_group: dict[str, list[int]] = {}
    for i, name in enumerate(samples.groups or ()):
        by_group.setdefault(name, []).append(i)
    kinds = (
        ("leak-identical", "Identical pictures on two sides of the split", (*copies.files, *copies.pixels)),
        ("leak-near", "Look-alikes on two sides of the split", (*copies.near, *copies.mirrored)),
        ("leak-group", "One group on two sides of the split", tuple(tuple(g) for g in by_group.values())),
    )
    findings = []
    for kind, title, groups in kinds:
        torn = [g for g in groups if len({side[i] for i in g}) > 1]
        if torn:
            count = sum(len(g) for g in torn)
            sides = sorted({side[i] for g in torn for i in g}, key=("train", "val", "test").index)
            what = f"{count} pictures in {len(torn)} groups stand in {' and '.join(sides)}: scores would be too good."
            does = "leaves a given split as it is; move each group to one side"
            findings.append(
                Finding(kind, title, "must fix", count, what, does, named(samples, torn), {"groups": len(torn)})
            )
    return findings
