"""Mask files to codes, and codes to class indices."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from convscope.data.formats import sniff, why_not_a_picture
from convscope.data.label_map import LabelMap, is_void
from convscope.data.naming import shown
from convscope.data.others import DECODER_ERRORS
from convscope.data.stored import DEFAULT_LIMITS, Limits, check_size
from convscope.errors import DataError, PictureError
from convscope.records.masks import VOID

MASK_FORMATS = ("PNG", "GIF", "BMP", "TIFF")
_MOST_PLAIN = 64  # an index above this without a label map is rather a grey value


def mask_codes(
    data: bytes, key: str, *, as_colour: bool, as_index: bool = False, limits: Limits = DEFAULT_LIMITS
) -> tuple[np.ndarray, bool]:
    """What each pixel of a mask file says, before anybody knows which class that is.

    Palette pictures give their index, unless all colours that they use are grey: then that grey (`as_index` keeps the
    index). A first frame is taken of several.

    Returns:
        ((h, w) uint32: grey value, index, or red << 16 | green << 8 | blue; whether these are colours).

    Raises:
        PictureError: no mask format (JPEG changes values), damaged, or too large.
    """
    kind = sniff(data)
    if kind not in MASK_FORMATS:
        why = "JPEG changes the values of a mask; save it as PNG" if kind == "JPEG" else why_not_a_picture(data)
        raise PictureError(key, why if not kind or kind == "JPEG" else f"{kind} is no format for masks; save it as PNG")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            check_size(key, (image.size[1], image.size[0]), 4, limits)
            image.load()
            return _codes(image, key, as_colour, as_index)
    except PictureError:
        raise
    except DECODER_ERRORS as error:
        raise PictureError(key, f"damaged {kind} ({' '.join(str(error).split())})") from error


def _codes(image: Image.Image, key: str, as_colour: bool, as_index: bool) -> tuple[np.ndarray, bool]:
    mode = image.mode
    if mode == "F":
        raise PictureError(key, "a mask of fractions; save whole numbers")
    if mode == "P" and not as_colour and not as_index:
        used = np.unique(np.asarray(image))
        palette = np.asarray(image.convert("RGB").getpalette() or image.getpalette("RGB") or [], np.int64)
        colours = palette.reshape(-1, 3)[used[used < len(palette) // 3]] if palette.size else np.empty((0, 3))
        is_grey = len(colours) == len(used) and not np.ptp(colours, axis=1).any()
        return np.asarray(image.convert("L") if is_grey else image).astype(np.uint32), False
    if mode in ("1", "L", "P", "I") or mode.startswith("I;16"):
        if as_colour:
            image = image.convert("RGB")
        else:
            return np.asarray(image.convert("L") if mode == "1" else image).astype(np.uint32), False
    if mode == "LA" and not as_colour:
        return np.asarray(image.convert("L")).astype(np.uint32), False
    rgb = np.asarray(image.convert("RGB")).astype(np.uint32)
    if not as_colour and not np.ptp(rgb, axis=2).any():
        return rgb[:, :, 0], False
    return rgb[:, :, 0] << 16 | rgb[:, :, 1] << 8 | rgb[:, :, 2], True


@dataclass(frozen=True)
class MaskRule:
    """Codes in ascending order, the class index of each (VOID for none); `words` say it; `is_index`: a palette's."""

    codes: tuple[int, ...]
    indices: tuple[int, ...]
    is_colour: bool
    classes: tuple[str, ...]
    words: str
    is_index: bool = False

    def apply(self, codes: np.ndarray, key: str) -> np.ndarray:
        """(h, w) codes -> (h, w) uint8 class index.

        Raises:
            PictureError: a code that stands for no class.
        """
        known = np.array(self.codes, np.uint32)
        places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        strange = known[places] != codes
        if strange.any():
            named = code_words(int(codes[strange][0]), self.is_colour)
            raise PictureError(
                key, f"{int(strange.sum()):,} pixels of {named}, which stands for no class; expected {self.words}"
            )
        return np.array(self.indices, np.uint8)[places]


def code_words(code: int, is_colour: bool) -> str:
    """A code for people: "colour 255,20,147" or "value 3"."""
    return f"colour {code >> 16},{code >> 8 & 255},{code & 255}" if is_colour else f"value {code}"


def rule_of_map(labels: LabelMap) -> MaskRule:
    """The rule that a label map gives; 255 is void where no class has it."""
    indices: dict[int, int] = {}
    for name, code in labels.entries:
        indices[code] = VOID if is_void(name) else labels.classes.index(name)
    if not labels.is_colour:
        indices.setdefault(VOID, VOID)
    ordered = sorted(indices)
    words = f"the {len(labels.entries)} {'colours' if labels.is_colour else 'values'} of {labels.where}"
    return MaskRule(tuple(ordered), tuple(indices[c] for c in ordered), labels.is_colour, labels.classes, words)


def rule_of_codes(found: Iterable[int], is_coloured: bool, *, names: Sequence[str] = ()) -> MaskRule:
    """The rule for masks without a label map, from all codes that they hold.

    Two codes, one of them 0: background and foreground. Small whole numbers: class indices, 255 is void.

    Args:
        found: codes.
        is_coloured: whether they are colours.
        names: class names in index order, the background first; made up where empty.

    Raises:
        DataError: colours or grey values of which nobody says what they mean.
    """
    codes = sorted(set(found))
    if is_coloured:
        listed = "; ".join(code_words(c, True) for c in codes[:8]) + ("; ..." if len(codes) > 8 else "")
        raise DataError(
            f"expected to know the class of each colour of the masks, found {listed}; "
            "put labels.csv (name,r,g,b) beside the folders"
        )
    top = max((c for c in codes if c != VOID), default=0)
    if len(codes) == 1 or (len(codes) == 2 and codes[0] == 0 and (codes[1] == VOID or codes[1] > _MOST_PLAIN)):
        white = codes[-1] if codes[-1] else VOID
        classes = tuple(names) or ("background", "foreground")
        return MaskRule((0, white), (0, 1), False, _enough(classes, 2), f"0 and {white}")
    if top > (_MOST_PLAIN if not names else len(names) - 1):
        raise DataError(
            f"expected class indices 0, 1, 2, ... in the masks, found values {', '.join(map(str, codes[:8]))}"
            f"{', ...' if len(codes) > 8 else ''}; put labels.csv (name,value) beside the folders"
        )
    count = max(top + 1, 2)
    made = ("background", "foreground") if count == 2 else ("background", *(f"class {i}" for i in range(1, count)))
    classes = tuple(names) or made
    indices = {i: i for i in range(len(classes))} | {VOID: VOID}
    return MaskRule(
        tuple(indices), tuple(indices.values()), False, classes, f"0 to {len(classes) - 1}, 255 for void", bool(names)
    )


def _enough(classes: tuple[str, ...], count: int) -> tuple[str, ...]:
    if len(classes) != count:
        raise DataError(
            f"expected {count} class names for masks of {count} values, got {', '.join(map(shown, classes))}"
        )
    return classes
