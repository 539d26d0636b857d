"""The chapter on the data: what is in there, what is wrong with it."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image

from convscope.draw.bars import class_bars_figure
from convscope.draw.numbers import count, percent, three
from convscope.draw.spread import histogram_figure, sizes_figure
from convscope.errors import DataError
from convscope.records.audit import Audit, Finding
from convscope.records.report import Block, Facts, Section, Sheet, Table, Tile, Tone

GLYPHS: dict[str, tuple[str, Tone]] = {
    "must fix": ("▲ must fix", "must fix"),
    "look": ("◆ look", "look"),
    "note": ("○ note", "fine"),
}
THUMBNAIL_PX = 80
MOST_GROUPS = 12


def thumbnail_tile(data: bytes, key: str, *, lines: tuple[str, ...] = ()) -> Tile:
    """A stored thumbnail (JPEG, PNG or WebP bytes) as a tile named by its key.

    Raises:
        DataError: bytes that are no such picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            (width, height), media = image.size, str(image.format).lower()
    except (OSError, ValueError) as error:
        raise DataError(f"expected the thumbnail of {key} as JPEG, PNG or WebP bytes, got something else") from error
    factor = THUMBNAIL_PX / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Tile(data, media, *size, alt=f"picture {key}", head=key.rsplit("/", 1)[-1], lines=lines)


def _finding_sheet(finding: Finding, thumbnails: Mapping[str, bytes]) -> Sheet | None:
    groups = [g for g in finding.pictures if any(k in thumbnails for k in g)]
    tiles = []
    paired = any(len(g) > 1 for g in groups)
    for number, group in enumerate(groups[:MOST_GROUPS], start=1):
        for key in group:
            if key in thumbnails:
                where = key.rsplit("/", 1)[0] if "/" in key else ""
                lines = tuple(w for w in (f"group {number}" if paired else "", where) if w)
                tiles.append(thumbnail_tile(thumbnails[key], key, lines=lines))
    if not tiles:
        return None
    of = f"{min(len(groups), MOST_GROUPS)} of {len(finding.pictures)} {'groups' if paired else 'pictures'}"
    return Sheet(finding.title, tuple(tiles), note=of, first=12)


def findings_table(audit: Audit) -> Table:
    """All findings, most urgent first."""
    order = list(GLYPHS)
    findings = sorted(audit.findings, key=lambda f: (order.index(f.urgency), -f.count))
    rows = tuple((f.title, count(f.count), f.what, f.does, GLYPHS[f.urgency][0]) for f in findings)
    tones = tuple(GLYPHS[f.urgency][1] for f in findings)
    header = (
        "Finding",
        "Pictures" if audit.task != "detect" else "Count",
        "What was found",
        "What convscope does",
        "Urgency",
    )
    note = ", ".join(
        f"{n} {words}"
        for urgency, words in (("must fix", "to fix before training"), ("look", "to look at"), ("note", "noted"))
        if (n := sum(f.urgency == urgency for f in findings))
    )
    return Table(f"{len(findings)} findings" if findings else "Nothing found", header, rows, (1,), tones, note)


def audit_facts(audit: Audit) -> tuple[Facts, ...]:
    """The left column: what was scanned and what kinds of files it holds."""
    size = f"{three(audit.bytes / 1e6)} MB" if audit.bytes >= 1e5 else f"{count(audit.bytes)} bytes"
    scan = (
        ("data", audit.data),
        ("read as", audit.source),
        ("task", f"{audit.task}, {len(audit.classes)} classes" if audit.classes else audit.task),
        ("pictures", f"{count(audit.n)}, {size}"),
        *((("boxes", count(sum(audit.classes.values()))),) if audit.task == "detect" else ()),
    )
    kinds = tuple((kind, count(n)) for kind, n in audit.kinds.items())
    names = (
        (("names", ", ".join(f"{e or 'none'} {count(n)}" for e, n in audit.extensions.items())),)
        if audit.extensions
        else ()
    )
    return Facts("Data", scan, "nothing changed on disk"), Facts("Kinds", kinds + names)


def _balance_words(audit: Audit) -> str:
    counts = list(audit.classes.values())
    if not counts or not sum(counts):
        return ""
    largest = max(audit.classes, key=lambda c: audit.classes[c])
    ratio = f" Largest to smallest {three(max(counts) / min(counts))} to 1." if min(counts) else ""
    return f"Always saying {largest} is right {percent(max(counts) / sum(counts))} of the time.{ratio}"


def audit_section(
    audit: Audit,
    thumbnails: Mapping[str, bytes],
    *,
    input_hw: tuple[int | None, int | None] = (None, None),
    class_order: tuple[str, ...] = (),
) -> Section:
    """Findings by urgency with the pictures that show them, class balance, sizes and brightness.

    Args:
        audit: the scan.
        thumbnails: key -> JPEG, PNG or WebP bytes of a small picture; keys without one are not drawn.
        input_hw: the planned network frame, drawn into the size scatter.
        class_order: class names by the indices of `audit.truth`; () takes the names sorted, as folders are read.
    """
    order = class_order or tuple(sorted(audit.classes))
    blocks: list[Block] = [findings_table(audit)]
    if audit.classes:
        colours = [order.index(c) for c in audit.classes] if len(order) <= 4 else []
        of, caption = ("Boxes", "") if audit.task == "detect" else ("Pictures", _balance_words(audit))
        blocks.append(class_bars_figure(audit.classes, colours=colours, caption=caption, of=of))
    if audit.sizes:
        blocks.append(sizes_figure(audit.sizes, truth=audit.truth, classes=order, input_hw=input_hw))
    if audit.box_sizes:
        blocks.append(
            sizes_figure(audit.box_sizes, truth=audit.box_truth, classes=order, input_hw=input_hw, of="boxes")
        )
    if audit.brightness:
        words = ("mean of all pixels, 0 to 255", "Height: share of the pictures of the group in each bin.")
        blocks.append(
            histogram_figure("Mean brightness", audit.brightness, truth=audit.truth, classes=order, words=words)
        )
    blocks += [s for f in audit.findings if (s := _finding_sheet(f, thumbnails)) is not None]
    return Section("data", "Data", f"{count(audit.n)} pictures · {audit.source}", audit.summary, tuple(blocks))
