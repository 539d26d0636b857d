"""Names of pictures and classes: shown safely on one line, sorted as people count, compared for look-alikes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_DIGITS = re.compile(r"(\d+)")
# Letters of other scripts that look like Latin ones; the few that turn up in hand-made label files.
_LOOK_ALIKE = str.maketrans("аеорсухіАВЕКМНОРСТХΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "aeopcyxiABEKMHOPCTXABEZHIKMNOPTYXo")


def shown(name: str) -> str:
    r"""A file name fit for one line of any terminal or report.

    Control characters, line breaks, direction marks and bytes that are not UTF-8 become escapes.

    Example:
        >>> shown("a\nb.png")
        'a\\nb.png'
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which "class 2" comes before "class 10"; ties of value are broken by the text itself."""
    parts = _DIGITS.split(name)
    return (*((0, int(p), p) if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p), (-1, 0, name))


def folded(name: str) -> str:
    """What is left of a name when case, blanks, separators, accents' encoding and look-alike letters are ignored."""
    text = unicodedata.normalize("NFKC", name).translate(_LOOK_ALIKE).casefold()
    return re.sub(r"[\s_\-.]+", "", text)


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of different names that a person would read as one ("cat", "Cat ", "cаt" with a Cyrillic letter)."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few names in words: "a, b, c and 4 more"."""
    rest = len(names) - most
    return ", ".join(shown(n) for n in names[:most]) + (f" and {rest} more" if rest > 0 else "")
