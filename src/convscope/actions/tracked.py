"""A run that other programs follow: the trackers of its plan, with a few pictures to show maps of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.network import Prepared, as_model_input
from convscope.actions.run_folder import RunFolder
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.records.samples import Samples
from convscope.records.team import ALONE, Team
from convscope.training.plan import Plan
from convscope.training.tracking import tracking

_PICTURES = 4


@contextmanager
def tracked(
    folder: Path, samples: Samples, prepared: Prepared, plan: Plan, *, resume: bool, team: Team = ALONE
) -> Iterator[list[Any]]:
    """Callbacks for `plan.track`, closed when the block ends; none where the plan names no tracker.

    Args:
        folder: the run folder; its journal has begun.
        samples: validation pictures, or training pictures where there are none.
        prepared: what is trained.
        plan: its `track` names the trackers.
        resume: whether the run is gone on with.
        team: only its first process follows; with several processes maps of pictures are left out.
    """
    if not team.is_first:
        yield []
        return

    def images() -> np.ndarray | None:
        if team.processes > 1:
            return None
        few = samples.subset(np.arange(min(_PICTURES, len(samples))))
        loader = Loader(few, prepared.preprocess, batch_size=len(few), cache=NO_CACHE, unreadable="drop")
        batch = loader.batch(0, 0)
        return as_model_input(batch.images, prepared.preprocess) if len(batch.images) else None

    done = len(RunFolder(folder).history.epochs) if resume and plan.track else 0
    with tracking(plan, folder, whole=prepared.model, images=images, epoch=done) as called:
        yield called
