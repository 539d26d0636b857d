"""Masks that lie in files: read when asked for, brought to the picture's upright frame."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.exif import swaps_sides, upright
from convscope.data.header import Header, read_header
from convscope.data.mask_codes import MaskRule, mask_codes
from convscope.data.regular import read_regular
from convscope.errors import PictureError

_THREADS = 4


@dataclass(frozen=True, eq=False)
class FileMask:
    """The mask of one picture in one file, or in several of one object each; a MaskTruth.

    Attributes:
        root: the data folder.
        keys: the mask's file; several: whatever is not 0 in any of them is class 1.
        rule: which class a code stands for.
        picture_hw: of the picture, upright.
        turn: EXIF orientation to undo, 1 where the mask is upright already.
    """

    root: Path
    keys: tuple[str, ...]
    rule: MaskRule
    picture_hw: tuple[int, int]
    turn: int = 1

    def read(self) -> np.ndarray:
        """(height, width) uint8 class index, VOID where nothing is said.

        Raises:
            PictureError: unreadable, of another size than the picture, or with a code that stands for no class.
        """
        if len(self.keys) == 1:
            return self._one(self.keys[0])
        whole = np.zeros(self.picture_hw, np.uint8)
        for key in self.keys:
            np.maximum(whole, self._one(key), out=whole)
        return whole

    def fingerprint(self) -> bytes:
        """Names and sizes of the files, and what their codes stand for."""
        sizes = [(key, os.path.getsize(self.root / key)) for key in self.keys if (self.root / key).exists()]
        return repr((sizes, self.rule, self.turn)).encode("utf-8", "surrogateescape")

    def _one(self, key: str) -> np.ndarray:
        codes, is_coloured = mask_codes(
            read_regular(self.root / key, key=key), key, as_colour=self.rule.is_colour, as_index=self.rule.is_index
        )
        if is_coloured and not self.rule.is_colour:
            raise PictureError(key, f"a mask in colours, expected {self.rule.words}")
        mask = upright(self.rule.apply(codes, key), self.turn)
        if mask.shape != self.picture_hw:
            raise PictureError(key, size_words(mask.shape, self.picture_hw))
        return mask


def size_words(mask_hw: tuple[int, ...], picture_hw: tuple[int, int]) -> str:
    """Why a mask does not fit its picture."""
    high, wide = picture_hw
    return f"the mask has {mask_hw[1]} x {mask_hw[0]} pixels, its picture {wide} x {high}; make them equal"


def mask_turn(picture: Header, mask_hw: tuple[int, int]) -> int | None:
    """EXIF orientation that a mask of this size shares with its picture, or None when it fits neither way.

    A mask of the picture's upright size belongs to the picture as shown, which is how annotation tools display it.
    """
    if mask_hw == picture.upright_hw:
        return 1
    return picture.orientation if swaps_sides(picture.orientation) and mask_hw == picture.stored_hw else None


def survey(root: Path, keys: Iterable[str], *, as_index: bool = False) -> tuple[set[int], bool]:
    """All codes that the masks hold, and whether they are colours; unreadable masks are passed over."""
    codes: set[int] = set()
    is_coloured = False
    with ThreadPoolExecutor(_THREADS) as pool:
        for found, coloured in pool.map(lambda key: _codes_of(root, key, as_index), keys):
            codes |= found
            is_coloured |= coloured
    return codes, is_coloured


def _codes_of(root: Path, key: str, as_index: bool) -> tuple[set[int], bool]:
    try:
        codes, is_coloured = mask_codes(read_regular(root / key, key=key), key, as_colour=False, as_index=as_index)
    except PictureError:
        return set(), False  # named again, with its reason, when the mask is read
    return set(np.unique(codes).tolist()), is_coloured


def header_of_mask(root: Path, key: str) -> tuple[int, int]:
    """(height, width) by the header.

    Raises:
        PictureError: no picture.
    """
    return read_header(root / key, key=key).stored_hw
