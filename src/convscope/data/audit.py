"""Scan a data set: read every picture once, say what was found and what convscope does about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from convscope.data.audit_boxes import all_boxes, box_counts, box_findings, box_summary, without_boxes
from convscope.data.audit_classes import class_counts, class_findings
from convscope.data.audit_copies import Copies, copy_findings, find_copies
from convscope.data.audit_facts import Facts, collect_facts
from convscope.data.audit_files import file_findings
from convscope.data.audit_masks import (
    collect_masks,
    group_findings,
    is_medical,
    mask_counts,
    mask_findings,
    mask_summary,
)
from convscope.data.audit_shortcuts import find_shortcuts, shortcut_findings
from convscope.data.audit_words import summarise
from convscope.data.files_source import FilesSource
from convscope.data.naming import shown
from convscope.records.audit import Audit, Finding
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples, Split

_URGENCY = ("must fix", "look", "note")
_SUMMARIES = {"detect": box_summary, "segment": mask_summary}


def audit_samples(
    samples: Samples,
    *,
    split: Split | None = None,
    network_hw: tuple[int, int] | None = None,
    progress: Progress = silent,
    workers: int | None = None,
) -> Audit:
    """Scan all pictures; see `audit_with_copies`."""
    return audit_with_copies(samples, split=split, network_hw=network_hw, progress=progress, workers=workers)[0]


def audit_with_copies(
    samples: Samples,
    *,
    split: Split | None = None,
    network_hw: tuple[int, int] | None = None,
    progress: Progress = silent,
    workers: int | None = None,
) -> tuple[Audit, Copies]:
    """Scan all pictures and give the groups of copies too, for a split that keeps them together.

    Args:
        samples: what to scan; a split given by the data itself is checked for leaks.
        split: checked for leaks instead of the given one.
        network_hw: the network's frame in pixels; smaller pictures are reported.
        progress: told after every picture.
        workers: threads; one per core by default.

    Returns:
        Findings by urgency, then by count; `Copies.together()` fits the argument `same` of `split_samples`.
    """
    facts, bad = collect_facts(samples, progress=progress, workers=workers)
    side = _sides(samples, split)
    copies = find_copies(samples, facts)
    findings = copy_findings(samples, copies, side) + group_findings(samples, side)
    if samples.task == "detect":
        counts = box_counts(samples, [f.index for f in facts])
        findings += file_findings(without_boxes(samples), facts, bad, network_hw)
        findings += box_findings(samples, counts, side, network_hw)
    elif samples.task == "segment":
        masks = collect_masks(samples, progress=progress, workers=workers)
        counts = mask_counts(samples, masks)
        findings += file_findings(samples, facts, bad, network_hw) + mask_findings(samples, masks)
    else:
        counts = class_counts(samples, [f.index for f in facts])
        findings += shortcut_findings(find_shortcuts(samples, facts), samples, len(facts))
        findings += file_findings(samples, facts, bad, network_hw)
        findings += class_findings(samples, counts, side)
    findings.sort(key=lambda f: (_URGENCY.index(f.urgency), -f.count))
    audit = _audit(samples, facts, counts, findings)
    return replace(audit, unreadable=tuple((b.index, b.reason) for b in bad)), copies


def _sides(samples: Samples, split: Split | None) -> Sequence[str] | None:
    """The part of each picture: of the split, else as the data says, else None."""
    if split is None:
        return samples.given_split
    side = ["train"] * len(samples)
    for part, indices in (("val", split.val), ("test", split.test)):
        for i in indices:
            side[int(i)] = part
    return side


def _audit(samples: Samples, facts: list[Facts], counts: dict[str, int], findings: list[Finding]) -> Audit:
    truth = samples.truth
    has_classes = truth is not None and samples.task == "classify"
    has_boxes = truth is not None and samples.task == "detect"
    xyxy, labels, _ = all_boxes(samples) if has_boxes else (np.zeros((0, 4)), np.zeros(0, np.int64), None)
    return Audit(
        data=_name(samples),
        source=samples.source,
        task=samples.task,
        n=len(facts),
        bytes=sum(f.size for f in facts),
        classes=counts,
        kinds=dict(Counter(f"{f.format}, {f.mode}" for f in facts).most_common()),
        extensions=_extensions(samples, facts),
        sizes=tuple(f.hw for f in facts),
        brightness=tuple(round(f.brightness, 2) for f in facts),
        truth=tuple(int(truth[f.index]) for f in facts) if has_classes and truth is not None else (),
        findings=tuple(findings),
        summary=_SUMMARIES.get(samples.task, summarise)(len(facts), counts, findings),
        box_sizes=tuple((round(b - t, 2), round(r - x, 2)) for x, t, r, b in xyxy.tolist()),
        box_truth=tuple(labels.tolist()),
    )


def _name(samples: Samples) -> str:
    """What is scanned, in a word or two; a folder of medical files may bear a patient's name and is not named."""
    if samples.root is not None:
        return shown(samples.root.resolve().name)
    return "medical pictures" if is_medical(samples) else "arrays"


def _extensions(samples: Samples, facts: list[Facts]) -> dict[str, int]:
    if not isinstance(samples.pictures, FilesSource):
        return {}
    keys = samples.pictures.keys
    return dict(Counter(PurePosixPath(keys[f.index]).suffix or "(none)" for f in facts).most_common())
