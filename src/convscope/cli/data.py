"""`convscope scan`: what is in a folder or table of pictures, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from convscope.cli.screen import percent, progress, prose, say, say_json, table
from convscope.records.audit import COUNTED_IN_BOXES, Audit

SIGNS = {"must fix": "▲ must fix:", "look": "◆ look:", "note": "○ note:"}
PICTURES = ("picture", "pictures")


def scan(
    data: Path,
    *,
    task: Literal["auto", "classify", "multilabel", "regress", "detect", "segment"] = "auto",
    image_size: int = 224,
    report: Path | None = None,
    json: bool = False,
    strict: bool = False,
    show_paths: bool = False,
) -> int:
    """Look at every picture once; nothing on disk is changed.

    Args:
        data: a folder of class folders, a folder with train/ val/ test/, or a table (CSV, TSV) with paths and labels;
            or pictures with boxes: COCO JSON, Pascal VOC XML, YOLO labels or a table of boxes.
        task: what the labels mean; auto takes what the data itself says.
        image_size: the planned network input in pixels; smaller pictures are counted.
        report: also write a page (HTML) with the pictures behind each finding.
        json: print JSON instead of tables.
        strict: leave with exit code 2 when something must be fixed.
        show_paths: DICOM, NIfTI, NRRD: say on the terminal's error stream which file each study id stands for.
    """
    from convscope.actions.scan import scan as look_at

    with progress() as listen:
        audit = look_at(data, task=None if task == "auto" else task, image_size=image_size, report=report,
                        progress=listen)  # fmt: skip
    if show_paths:
        from convscope.cli.paths import show_paths as show
        from convscope.data.opening import read_data

        show(read_data(data, task=None if task == "auto" else task))
    if json:
        say_json(audit.as_dict())
    else:
        show_audit(audit)
        if report is not None:
            say(f"Report: {report}")
    return 2 if strict and any(f.urgency == "must fix" for f in audit.findings) else 0


def show_audit(audit: Audit) -> None:
    """Print a scan as tables and plain words."""
    say(f"{audit.data}: {audit.n} pictures, {audit.bytes / 1e6:.3g} MB, read as {audit.source}")
    total = sum(audit.classes.values())
    if audit.classes:
        rows = [(name, count, percent(count / total)) for name, count in list(audit.classes.items())[:20]]
        table("\nClasses", ("class", "boxes" if audit.task == "detect" else "pictures", "share"), rows, right=(1, 2))
        if len(audit.classes) > 20:
            say(f"... and {len(audit.classes) - 20} more classes")
    kinds = ", ".join(f"{name} {count}" for name, count in audit.kinds.items())
    say(f"\nKinds: {kinds}")
    say("Names: " + ", ".join(f"{name or 'no extension'} {count}" for name, count in audit.extensions.items()))
    if audit.findings:
        say("\nFindings", bold=True)
        for finding in audit.findings:
            one, many = ("box", "boxes") if audit.task == "detect" and finding.kind in COUNTED_IN_BOXES else PICTURES
            unit = one if finding.count == 1 else many
            say(f"{SIGNS[finding.urgency]} {finding.title} · {finding.count} {unit}", bold=True)
            of = finding.count if unit in PICTURES else 0
            prose(f"{finding.what} {_shown(finding.pictures, of)}".strip(), indent=2)
            prose(f"convscope {finding.does}", indent=2)
    else:
        say("\nNothing to fix, nothing to look at.")
    say()
    for bold, detail in audit.summary:
        say(bold, bold=True)
        prose(detail)


def _shown(pictures: tuple[tuple[str, ...], ...], of: int = 0, most: int = 3) -> str:
    """The first few names behind a finding of `of` pictures; single names are kept up to a number only."""
    groups = [" = ".join(group) for group in pictures[:most]]
    all_of_them = max(of, len(pictures)) if all(len(group) == 1 for group in pictures) else len(pictures)
    more = f" and {all_of_them - most} more" if all_of_them > most and len(pictures) > most else ""
    return f"({'; '.join(groups)}{more})" if groups else ""
