"""Where a run comes from: hashes, versions, back end, seed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from convscope.actions.dataset import Parts
from convscope.actions.network import Prepared
from convscope.backend.devices import devices, versions
from convscope.backend.selection import backend_name, backend_rule
from convscope.draw.numbers import count as number
from convscope.records.provenance import Provenance
from convscope.training.plan import Plan

MOST_NAMED = 5  # files left out, in the journal and on the screen; split.json has all


def begin_facts(parts: Parts, prepared: Prepared, plan: Plan) -> dict[str, Any]:
    """What the journal's first event says."""
    backend = backend_name()
    counts: dict[str, int] = {}
    if parts.samples.task == "classify" and parts.samples.truth is not None:
        found = np.bincount(parts.samples.truth[parts.used], minlength=len(parts.samples.classes))
        counts = dict(zip(parts.samples.classes, found.tolist(), strict=True))
    return {
        "task": parts.samples.task,
        "classes": list(parts.samples.classes),
        "class_counts": counts,
        "data": parts.words,
        "data_sha256": parts.sha256,
        "source": parts.samples.source,
        "split": {"train": len(parts.split.train), "val": len(parts.split.val), "test": len(parts.split.test)},
        "split_rule": parts.split.rule,
        "set_aside": len(parts.samples.set_aside),
        "left_out": [f"{s.key}: {s.reason}" for s in parts.samples.set_aside[:MOST_NAMED]],
        "network": prepared.name,
        "parameters": int(prepared.model.count_params()),
        "preprocess": prepared.preprocess.as_dict(),
        "seed": plan.seed,
        "backend": backend,
        "backend_rule": backend_rule(),
        "devices": devices(),
        "versions": dict(versions(backend)),
    }


def model_sha256(model: Any) -> str:
    """SHA-256 over all weights in order."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def run_provenance(parts: Parts, prepared: Prepared, plan: Plan) -> Provenance:
    """The provenance of a finished model."""
    backend = backend_name()
    return Provenance(
        data=parts.words,
        data_sha256=parts.sha256,
        model=f"{prepared.name}, {number(prepared.model.count_params())} parameters",
        model_sha256=model_sha256(prepared.model),
        seed=plan.seed,
        backend=f"{backend} on {', '.join(devices())}",
        versions=tuple((n, v) for n, v in versions(backend) if n in ("convscope", "keras", backend)),
    )
