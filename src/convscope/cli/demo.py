"""`convscope demo cells`: the whole way on real photographs that pip brings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from convscope.cli.screen import duration, percent, progress, say
from convscope.errors import RunError


def demo(which: Literal["cells"] = "cells", /, *, out: Path = Path("runs/demo-cells"), again: bool = False) -> int:
    """Train on real photographs, step by step, and write the report.

    Args:
        which: cells: cracked solar cells, 2,624 photographs (elpv-dataset, CC BY-NC-SA 4.0).
        out: the run folder to write.
        again: replace an earlier demo in that folder.
    """
    import shutil

    from convscope.actions.demo import cells, run_cells
    from convscope.actions.scan import scan
    from convscope.cli.data import show_audit
    from convscope.cli.results import show_scores
    from convscope.files.journal import JOURNAL

    began = time.monotonic()
    if (out / JOURNAL).exists():
        if not again:
            raise RunError(f"{out}: a demo is already there; look at {out / 'report.html'}, or start anew with --again")
        shutil.rmtree(out)
    data = cells()
    say(f"{data.title}: {data.rule}.", bold=True)
    say(f"Pictures: {data.licence}. Weights: EfficientNet-Lite0, ImageNet (Apache-2.0).\n")
    with progress() as listen:
        audit = scan(data.samples, image_size=224, progress=listen)
        show_audit(audit)
        say()
        run = run_cells(out=out, progress=listen)
        page = run.report(progress=listen)
    scores = run.scores
    show_scores(scores)
    headline = scores.values["balanced_accuracy"]
    low, high = percent(headline.low), percent(headline.high)
    say(f"\nBalanced accuracy {percent(headline.value)} on {scores.n} unseen cells, 95 % interval {low} to {high}; "
        f"guessing gives {percent(scores.majority)}.", bold=True)  # fmt: skip
    say(f"Took {duration(time.monotonic() - began)}. Open the report in a browser:")
    say(f"  {page.resolve().as_uri()}")
    return 0
