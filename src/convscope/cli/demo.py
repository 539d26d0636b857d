"""`convscope demo`: the whole way on real pictures that pip brings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from convscope.cli.screen import duration, percent, progress, say
from convscope.errors import RunError


def demo(which: Literal["cells", "brain"] = "cells", /, *, out: Path | None = None, again: bool = False) -> int:
    """Train on real pictures, step by step, and write the report.

    Args:
        which: cells: cracked solar cells, 2,624 photographs (elpv-dataset, CC BY-NC-SA 4.0); brain: grey and white
            matter on MRI, one averaged brain (nilearn, ICBM template).
        out: the run folder to write; default runs/demo-WHICH.
        again: replace an earlier demo in that folder.
    """
    import shutil

    from convscope.files.journal import JOURNAL

    began = time.monotonic()
    folder = out or Path(f"runs/demo-{which}")
    if (folder / JOURNAL).exists():
        if not again:
            raise RunError(
                f"{folder}: a demo is already there; look at {folder / 'report.html'}, or start anew with --again"
            )
        shutil.rmtree(folder)
    page = _cells(folder) if which == "cells" else _brain(folder)
    say(f"Took {duration(time.monotonic() - began)}. Open the report in a browser:")
    say(f"  {page.resolve().as_uri()}")
    return 0


def _cells(folder: Path) -> Path:
    from convscope.actions.demo import cells, run_cells
    from convscope.actions.scan import scan
    from convscope.cli.data import show_audit
    from convscope.cli.results import show_scores

    data = cells()
    say(f"{data.title}: {data.rule}.", bold=True)
    say(f"Pictures: {data.licence}. Weights: EfficientNet-Lite0, ImageNet (Apache-2.0).\n")
    with progress() as listen:
        audit = scan(data.samples, image_size=224, progress=listen)
        show_audit(audit)
        say()
        run = run_cells(out=folder, progress=listen)
        page = run.report(progress=listen)
    scores = run.scores
    show_scores(scores)
    headline = scores.values["balanced_accuracy"]
    low, high = percent(headline.low), percent(headline.high)
    say(f"\nBalanced accuracy {percent(headline.value)} on {scores.n} unseen cells, 95 % interval {low} to {high}; "
        f"guessing gives {percent(scores.majority)}.", bold=True)  # fmt: skip
    return page


def _brain(folder: Path) -> Path:
    from convscope.actions.demo_brain import BRAIN_CAVEAT, brain, run_brain
    from convscope.cli.results import show_scores

    data = brain()
    say(f"{data.title}: {data.rule}.", bold=True)
    say(f"Pictures: {data.licence}.\n")
    with progress() as listen:
        run = run_brain(out=folder, progress=listen)
        page = run.report(progress=listen)
    scores = run.scores
    show_scores(scores)
    tissues = ", ".join(f"{name} {percent(row['dice'])}" for name, row in list(scores.per_class.items())[1:])
    say(f"\nDice {percent(scores.values['dice'].value)} on {scores.n} unseen slices ({tissues}); marking everything as "
        f"one tissue gives {percent(scores.majority)}.", bold=True)  # fmt: skip
    say(f"{BRAIN_CAVEAT}. This is no medical device.")
    return page
