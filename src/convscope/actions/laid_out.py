"""The pictures that were kept back as the finished network sees them: laid out after training, shown in the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from convscope.actions.learned import WORTH_EPOCHS
from convscope.errors import ConvscopeError, RunError
from convscope.files.atomic import write_json
from convscope.files.journal import JournalFile
from convscope.records.card import Opened
from convscope.records.embedding import Embedding
from convscope.records.progress import Progress, silent
from convscope.records.report import Section
from convscope.records.samples import Samples
from convscope.reporting.comparing import embedding_section
from convscope.training.plan import Plan

FILE = "embedding.json"
MOST, FEWEST = 300, 3  # pictures: one more forward pass, and points that can be told apart


def lay_out(folder: Path, opened: Opened, samples: Samples, plan: Plan, *, progress: Progress = silent) -> None:
    """Lay evenly chosen pictures out by what the last layer with height and width holds, and keep the points.

    Only for classes, and only where the plan watches layers; what can't be laid out becomes a note.

    Args:
        folder: the run folder.
        opened: the finished model with its card.
        samples: the pictures that were kept back.
        plan: says whether layers are watched.
        progress: told about each batch.
    """
    from convscope.scope.embedding import embed
    from convscope.scope.feed import as_feed
    from convscope.scope.tap import Probe

    card = opened.card
    wanted = plan.watch_layers and plan.epochs + plan.head_epochs >= WORTH_EPOCHS
    if card is None or not wanted or card.task != "classify" or not card.feature_layer or len(samples) < FEWEST:
        return
    few = samples.subset(np.unique(np.linspace(0, len(samples) - 1, min(MOST, len(samples))).astype(np.int64)))
    try:
        found = embed(Probe(opened), as_feed(few, card.preprocess), card.feature_layer, progress=progress)
    except ConvscopeError as error:
        JournalFile(folder).write("note", text=f"the pictures are not laid out: {error}")
        return
    facts = {"layer": found.layer, "method": found.method, "kept": found.kept, "pictures": list(found.labels)}
    points, truth = found.points.round(4).tolist(), [] if found.truth is None else found.truth.tolist()
    write_json(folder / FILE, {**facts, "points": points, "truth": truth})


def laid_out_sections(folder: Path, classes: tuple[str, ...]) -> list[Section]:
    """The chapter of a report; nothing where no pictures were laid out.

    Raises:
        RunError: the file can't be read.
    """
    file = folder / FILE
    if not file.is_file():
        return []
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        points = np.asarray(facts["points"], np.float64).reshape(len(facts["pictures"]), 2)
        truth = np.asarray(facts["truth"], np.int64) if facts["truth"] else None
        kept = None if facts["kept"] is None else float(facts["kept"])
        found = Embedding(
            str(facts["layer"]), str(facts["method"]), points, truth, classes, tuple(map(str, facts["pictures"])), kept
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: can't be read ({error}); remove this file to do without") from error
    return [embedding_section(found)]
