"""A report as data: sections of words, figures, sheets of tiles and tables; only the last step knows HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from convscope.records.figure import Figure
from convscope.records.provenance import Provenance

Words = tuple[tuple[str, str], ...]  # (bold sentence, detail) pairs
Tone = Literal["", "for", "against", "fine", "look", "must fix", "wrong"]


@dataclass(frozen=True)
class ScaleBar:
    """A colour bar: `kind` "viridis", "diverging" or "grey", the words at its ends, and the unit."""

    kind: str
    low: str
    high: str
    unit: str = ""


@dataclass(frozen=True)
class Tile:
    """One small picture with its words.

    Attributes:
        image: bytes in `media` ("png", "jpeg" or "webp").
        width_px, height_px: size it is shown at; for maps a whole multiple of the image's own size.
        alt: alternative text.
        rank: place in a ranking, before the head ("1").
        head: bold words below it ("ch 8"); `note` stands at the right of it, coloured by `tone`.
        lines: small lines below.
        tone: "for", "against", "wrong" ...: says more than colour, since `note` says it in words or a sign.
        is_pixelated: shown with nearest neighbours, never blurred.
    """

    image: bytes
    media: str
    width_px: int
    height_px: int
    alt: str
    head: str = ""
    note: str = ""
    lines: tuple[str, ...] = ()
    tone: Tone = ""
    is_pixelated: bool = False
    rank: str = ""


@dataclass(frozen=True)
class Sheet:
    """Tiles in reading order; a page shows the first `first` and keeps the rest behind a "show" line.

    `is_strip` keeps all tiles in one row that scrolls (a film strip); `together` tiles never part at the end of a line.
    """

    title: str
    tiles: tuple[Tile, ...]
    note: str = ""
    caption: str = ""
    scale: ScaleBar | None = None
    first: int = 24
    is_strip: bool = False
    together: int = 1


@dataclass(frozen=True)
class Table:
    """Rows of words.

    Attributes:
        header: column names; rows: one tuple of the same length each.
        numeric: numbers of the columns set flush right in tabular figures.
        tones: per row, colours its last cell; empty for none.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    tones: tuple[Tone, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """A short list of name and value ("Plan", "Data"), shown at the left."""

    title: str
    rows: tuple[tuple[str, str], ...]
    note: str = ""


Block = Figure | Sheet | Table


@dataclass(frozen=True)
class Section:
    """One chapter.

    Attributes:
        name: stable short name, unique in a report ("training"); becomes the anchor.
        title, note: heading and the small words beside it.
        words: what it means, plain words first.
        blocks: the evidence.
    """

    name: str
    title: str
    note: str = ""
    words: Words = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole page.

    Attributes:
        title: what it is about ("run cells-01"); subtitle: small words beside it.
        words: the answer first, before all sections.
        facts: the left column.
        sections: in reading order.
        provenance: the last line of the page.
        made: when it was written, in words; "" for none (keeps pages equal between runs).
    """

    title: str
    subtitle: str = ""
    words: Words = ()
    facts: tuple[Facts, ...] = ()
    sections: tuple[Section, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    made: str = ""
