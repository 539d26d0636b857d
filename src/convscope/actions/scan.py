"""`convscope scan`: what is in a folder or table of pictures, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convscope.data.audit import audit_samples
from convscope.data.opening import read_data
from convscope.records.audit import Audit
from convscope.records.progress import Progress, silent
from convscope.records.samples import Split, Task


def scan(
    data: Any,
    *,
    task: Task | None = None,
    split: Split | None = None,
    image_size: int | None = 224,
    report: str | Path | None = None,
    progress: Progress = silent,
) -> Audit:
    """Look at every picture once; nothing on disk is changed.

    Args:
        data: what `convscope.train` takes.
        task: what the labels mean, where that can't be told.
        split: look for leaks across these parts too; without it the data's own parts.
        image_size: the planned network input in pixels; smaller pictures are counted. None for no such count.
        report: also write a page (HTML) with the pictures behind each finding.
        progress: told how far it is.

    Raises:
        DataError: data that can't be used at all.
    """
    samples = read_data(data, task=task)
    frame = None if image_size is None else (image_size, image_size)
    audit = audit_samples(samples, split=split, network_hw=frame, progress=progress)
    if report is not None:
        from convscope.actions.scan_report import write_scan_report

        write_scan_report(Path(report), samples, audit, progress=progress)
    return audit
