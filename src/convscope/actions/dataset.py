"""The data of a run: opened, divided, hashed, and written down so that a resume finds the same parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from convscope.arrays.orientation import Plane
from convscope.data.audit import audit_with_copies
from convscope.data.audit_masks import is_medical
from convscope.data.hashing import identical_pictures
from convscope.data.medical import Slicing
from convscope.data.naming import shown
from convscope.data.opening import Reading, read_data
from convscope.data.split import Ties, split_samples
from convscope.errors import DataError, PictureError, RunError
from convscope.files.atomic import write_json
from convscope.records.audit import Audit
from convscope.records.card import Card
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples, SetAside, Split, truth_bytes
from convscope.registry import nearest
from convscope.training.plan import Plan

SPLIT = "split.json"
PARTS = ("train", "val", "test")
MEDICAL_NAME = "medical data"
MOST_SCANNED = 50_000


@dataclass(frozen=True, eq=False)
class Parts:
    """Samples with their split; `sha256` names exactly these pictures' names and labels;
    `audit` is what the scan found, where one was made."""

    samples: Samples
    split: Split
    sha256: str
    audit: Audit | None = None
    name: str = ""

    @property
    def train(self) -> Samples:
        """The training part."""
        return self.samples.subset(self.split.train)

    @property
    def val(self) -> Samples:
        """The validation part."""
        return self.samples.subset(self.split.val)

    @property
    def test(self) -> Samples:
        """The part kept back for the end."""
        return self.samples.subset(self.split.test)

    @property
    def kept_back(self) -> tuple[str, Samples]:
        """The pictures that scores are for: "test", or "validation" where there is no test part."""
        return ("test", self.test) if len(self.split.test) else ("validation", self.val)

    @property
    def used(self) -> np.ndarray:
        """(n,) indices of the pictures that are in some part."""
        return np.sort(np.concatenate([self.split.train, self.split.val, self.split.test]))

    @property
    def shared(self) -> int:
        """Pictures that the scan found on two sides of a split that the data itself makes."""
        found = self.audit.findings if self.audit is not None else ()
        return sum(f.count for f in found if f.kind.startswith("leak-"))

    @property
    def smallest_side_px(self) -> int | None:
        """Shortest side of any picture in pixels, where a scan saw them all."""
        return min((min(size) for size in self.audit.sizes), default=None) if self.audit is not None else None

    @property
    def words(self) -> str:
        """The data in words, for provenance and report."""
        root = self.samples.root
        usual = MEDICAL_NAME if is_medical(self.samples) else root.name if root is not None else self.samples.source
        name = self.name or usual
        return f"{name}, {len(self.used)} pictures"


def open_samples(data: Any, plan: Plan, own: Any = None) -> Samples:
    """Read data of any accepted kind; Samples pass through.

    Args:
        data: see `convscope.train`.
        plan: its task, value range, plane and window are heard.
        own: the user's own model, whose loss may say the task, and which takes arrays exactly as they are.
    """
    task = None if plan.task == "auto" else plan.task
    if isinstance(data, str | Path | Samples):
        reading = Reading(slicing=Slicing(plane=plan.plane, window=plan.window))
        return without(read_data(data, task=task, reading=reading), plan.leave_out)
    if own is None:
        return without(read_data(data, task=task, reading=Reading(pixels=plan.value_range)), plan.leave_out)
    from convscope.actions.network import own_task

    return without(read_data(data, task=own_task(own, plan)), plan.leave_out)


def read_as_trained(data: Any, card: Card) -> Samples:
    """Other data for a trained network: of its task, volumes cut and scaled as for training.

    Raises:
        DataNotFoundError, DataError: as `read_data`.
    """
    return read_data(data, task=card.task, reading=Reading(slicing=slicing_of(card)))


def slicing_of(card: Card) -> Slicing:
    """How volumes were cut for training; axial where there were none.

    Raises:
        DataError: a card with an unknown plane.
    """
    return Slicing(plane=cast(Plane, card.plane or "axial"), window=card.window)


def without(samples: Samples, names: Sequence[str]) -> Samples:
    """The samples without the pictures of these names, which are noted as set aside.

    Raises:
        DataError: a name that no picture has.
    """
    if not names:
        return samples
    keys = samples.pictures.keys
    place = {shown(key): index for index, key in enumerate(keys)}
    unknown = [name for name in names if name not in place and name not in keys]
    if unknown:
        raise DataError(f"leave_out: no picture is named {unknown[0]!r}; {nearest(unknown[0], list(place))}")
    out = {place.get(name, -1) for name in names} | {i for i, key in enumerate(keys) if key in set(names)}
    left = tuple(SetAside(shown(keys[i]), "left out by the plan") for i in sorted(out - {-1}))
    kept = samples.subset(np.array([i for i in range(len(samples)) if i not in out], np.int64))
    return replace(kept, set_aside=(*samples.set_aside, *left))


def start_facts(data: Any, samples: Samples, name: str, notes: Sequence[str]) -> dict[str, Any]:
    """What the journal says of where the data came from: its path and name, neither for medical files.

    A path often holds a patient's name or number; such a run is resumed and evaluated by giving its data again.
    """
    if is_medical(samples):
        return {"data_path": None, "name": name or MEDICAL_NAME, "notes": list(notes)}
    is_path = isinstance(data, str | Path)
    label = name or (Path(data).resolve().stem if is_path else "arrays")
    return {"data_path": str(Path(data).resolve()) if is_path else None, "name": label, "notes": list(notes)}


def divide(samples: Samples, plan: Plan, *, name: str = "", progress: Progress = silent) -> Parts:
    """Scan, then split as the plan says; identical pictures and look-alikes stay on one side.

    Above MOST_SCANNED pictures only identical files are looked for, which needs no decoding.

    Raises:
        DataError: nothing to train or to validate on.
    """
    audit, same = scanned(samples, plan, progress=progress)
    split = split_samples(samples, val_share=plan.val_share, test_share=plan.test_share, seed=plan.seed, same=same)
    if not len(split.train) or not len(split.val):
        raise DataError(
            f"expected pictures for training and for validation, got {len(split.train)} and {len(split.val)} of "
            f"{len(samples)}; add pictures or change val_share and test_share"
        )
    samples, split = without_unreadable(samples, split, audit, strict=plan.strict)
    return Parts(samples, split, data_sha256(samples), audit, name)


def without_unreadable(samples: Samples, split: Split, audit: Audit | None, *, strict: bool) -> tuple[Samples, Split]:
    """Take the pictures that the scan could not read out of every part, and note them as set aside.

    Raises:
        PictureError: the first of them, where the plan is strict.
    """
    bad = dict(audit.unreadable) if audit is not None else {}
    if not bad:
        return samples, split
    names = {i: shown(samples.pictures.keys[i]) for i in sorted(bad)}
    if strict:
        first = min(bad)
        raise PictureError(names[first], bad[first])
    left = tuple(SetAside(names[i], bad[i]) for i in sorted(bad))
    kept = {part: np.array([i for i in getattr(split, part) if int(i) not in bad], np.int64) for part in PARTS}
    return replace(samples, set_aside=(*left, *samples.set_aside)), Split(**kept, rule=split.rule)


def scanned(samples: Samples, plan: Plan, *, progress: Progress = silent) -> tuple[Audit | None, Ties]:
    """The scan of picture files, and the groups of pictures that a split must keep together."""
    if not hasattr(samples.pictures, "path") or len(samples) > MOST_SCANNED:
        return None, identical_pictures(samples, progress=progress)
    frame = plan.size_hw
    audit, copies = audit_with_copies(samples, network_hw=frame, progress=progress, workers=plan.workers or None)
    return audit, copies.together()


def data_sha256(samples: Samples) -> str:
    """SHA-256 over names, labels and the sizes of files: cheap, and it changes when the data does."""
    digest = hashlib.sha256(repr((samples.task, samples.classes)).encode())
    path = getattr(samples.pictures, "path", None)
    for index, key in enumerate(samples.pictures.keys):
        digest.update(key.encode("utf-8", "surrogateescape") + b"\0")
        if path is not None:
            file = Path(path(index))
            digest.update(str(file.stat().st_size if file.exists() else -1).encode() + b"\0")
    digest.update(truth_bytes(samples.truth))
    return digest.hexdigest()


def write_split(folder: Path, parts: Parts) -> None:
    """Write which picture is in which part, and what was set aside."""
    keys = parts.samples.pictures.keys
    write_json(
        folder / SPLIT,
        {
            "rule": parts.split.rule,
            "data_sha256": parts.sha256,
            **{name: [keys[i] for i in getattr(parts.split, name)] for name in PARTS},
            "set_aside": [{"picture": s.key, "reason": s.reason} for s in parts.samples.set_aside],
        },
    )


def read_split(folder: Path, samples: Samples) -> Parts:
    """Find the parts of a run again in the same data.

    Raises:
        RunError: the data is not the one that the run was started with.
    """
    try:
        facts = json.loads((folder / SPLIT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / SPLIT}: expected the split of the run, can't read it") from error
    sha256 = data_sha256(samples)
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    if sha256 != facts["data_sha256"]:
        known = {k for name in PARTS for k in facts[name]}
        missing, new = sorted(known - set(place)), sorted(set(place) - known)
        difference = f"missing {missing[0]!r}" if missing else f"new {new[0]!r}" if new else "changed labels or files"
        raise RunError(
            f"{folder}: expected the data that this run was started with, found other data ({difference}); "
            "to go on with new data use --continue-from"
        )
    found = {name: np.array([place[key] for key in facts[name]], np.int64) for name in PARTS}
    split = Split(**found, rule=facts["rule"])
    return Parts(samples, split, sha256)
