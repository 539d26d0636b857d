"""A scan kept beside a run, and a scan as a page of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from convscope.draw.png import as_rgb, jpeg_bytes, shrink
from convscope.errors import PictureError
from convscope.files.atomic import atomic_file, write_json, write_text
from convscope.files.journal import plain
from convscope.records.audit import Audit, Finding
from convscope.records.progress import Progress, silent
from convscope.records.provenance import Provenance
from convscope.records.report import Report
from convscope.records.samples import Samples
from convscope.reporting.audit import audit_facts, audit_section
from convscope.reporting.render import render_report

AUDIT, THUMBNAILS = "audit.json", "thumbnails.npz"
THUMBNAIL_PX = 160
PER_FINDING = 24


def thumbnails(samples: Samples, audit: Audit, *, progress: Progress = silent) -> dict[str, bytes]:
    """Small JPEGs of the pictures behind the findings; unreadable ones are left out."""
    wanted = list(dict.fromkeys(k for f in audit.findings for k in _first_keys(f)))
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    found = {}
    for done, key in enumerate(wanted, start=1):
        if key in place:
            try:
                picture = samples.pictures.read(place[key], 3, (THUMBNAIL_PX, THUMBNAIL_PX))
                found[key] = jpeg_bytes(shrink(as_rgb(picture.values), THUMBNAIL_PX))
            except PictureError:
                continue
        progress("thumbnails", done, len(wanted))
    return found


def _first_keys(finding: Finding) -> list[str]:
    return [key for group in finding.pictures for key in group][:PER_FINDING]


def write_audit(folder: Path, samples: Samples, audit: Audit, *, progress: Progress = silent) -> None:
    """Keep a scan in a run folder."""
    write_json(folder / AUDIT, plain(audit.as_dict()))
    small = thumbnails(samples, audit, progress=progress)
    names = np.array(list(small), dtype=str)
    arrays = {f"picture{i}": np.frombuffer(data, np.uint8) for i, data in enumerate(small.values())}
    with atomic_file(folder / THUMBNAILS) as temporary, open(temporary, "wb") as file:
        np.savez(file, names=names, **arrays)  # type: ignore[arg-type]  # its stub takes names for options


def read_audit(folder: Path) -> tuple[Audit, dict[str, bytes]] | None:
    """The scan kept in a run folder with its thumbnails; None when there is none."""
    if not (folder / AUDIT).is_file():
        return None
    facts: dict[str, Any] = json.loads((folder / AUDIT).read_text(encoding="utf-8"))
    findings = tuple(
        Finding(**{**f, "pictures": tuple(tuple(g) for g in f["pictures"])}) for f in facts.pop("findings")
    )
    facts |= {"sizes": tuple(tuple(s) for s in facts["sizes"]), "summary": tuple(tuple(s) for s in facts["summary"])}
    facts["box_sizes"] = tuple(tuple(s) for s in facts.get("box_sizes", ()))
    facts |= {name: tuple(facts.get(name, ())) for name in ("brightness", "truth", "box_truth")}
    facts["unreadable"] = tuple((int(index), str(reason)) for index, reason in facts.get("unreadable", ()))
    small: dict[str, bytes] = {}
    if (folder / THUMBNAILS).is_file():
        with np.load(folder / THUMBNAILS, allow_pickle=False) as stored:
            small = {str(name): stored[f"picture{i}"].tobytes() for i, name in enumerate(stored["names"])}
    return Audit(findings=findings, **facts), small


def write_scan_report(path: Path, samples: Samples, audit: Audit, *, progress: Progress = silent) -> None:
    """Write a scan as one HTML page."""
    small = thumbnails(samples, audit, progress=progress)
    report = Report(
        title=f"scan of {audit.data}",
        subtitle=audit.source,
        words=audit.summary,
        facts=audit_facts(audit),
        sections=(audit_section(audit, small, class_order=samples.classes),),
        provenance=Provenance(data=f"{audit.data}, {audit.n} pictures"),
    )
    write_text(path, render_report(report))
