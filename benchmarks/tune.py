"""Does a search beat the default plan in a stated number of trials? On a real set, with seeds, on the test part.

    python -m benchmarks.tune [--trials 20] [--data FOLDER] [--out FOLDER]

The baseline is the default plan of simple-cnn trained with the same seeds as the winner, on the same split; both are
judged on the test part, which no trial saw. Random search with as many trials stands beside TPE and ASHA. A stopped
benchmark goes on where it was; the table goes to benchmarks/results/tune.md.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import convscope
from benchmarks.timing import markdown, publish
from convscope.actions.dataset import Parts, divide, open_samples
from convscope.actions.predict import predict_samples
from convscope.actions.run import Run
from convscope.actions.trials import train_or_go_on
from convscope.actions.tune import resume_tune
from convscope.metrics.score import score_predictions
from convscope.training.plan import Plan

DATA = Path(os.environ.get("CONVSCOPE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 3e-2, "log": True},
    "batch_size": {"choices": [16, 32, 64]},
    "convs_per_block": {"low": 1, "high": 2},
    "filters": {"choices": [[16, 32, 64], [32, 64, 128], [32, 64, 128, 256]]},
    "dropout": {"low": 0.0, "high": 0.5},
    "augment": {"rotate_deg": {"low": 0, "high": 15}, "flip_horizontal": {"choices": [True, False]}},
    "schedule": {"choices": ["constant", "cosine", "one-cycle"]},
}
METRIC, SEEDS = "val_accuracy", 3
PARTS = {"train": "training", "val": "validation", "test": "test pictures"}


@dataclass(frozen=True)
class Judged:
    """Best validation accuracy of a run, and accuracy of its kept epoch on the test part."""

    val: float
    test: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=DATA / "cls-sign-digits")
    options.add_argument("--trials", type=int, default=20)
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--side", type=int, default=48)
    options.add_argument("--out", type=Path, default=Path("runs/bench-tune"))
    given = options.parse_args()
    plan = Plan(
        model="simple-cnn", weights="none", image_size=given.side, epochs=given.epochs, monitor=METRIC, patience=0,
        watch_pictures=0,
    )  # fmt: skip
    usual, parts = baseline(given.data, plan, given.out / "default")
    rows = [row("default plan", 1, usual, usual)]
    for method in ("random", "tpe", "asha"):
        folder = given.out / method
        if (folder / "report.html").exists() or (folder / "study.toml").exists():
            study = resume_tune(folder, data=given.data)
        else:
            study = convscope.tune(
                given.data, space=SPACE, plan=plan, method=method, trials=given.trials, reruns=SEEDS, out=folder
            )
        found = [tested(folder / r.folder, parts, r.value) for r in study.facts.reruns]
        rows.append(row(method, given.trials, found, usual))
        sys.stderr.write(" | ".join(rows[-1]) + "\n")
    header = ("plan", "trials", f"validation accuracy, {SEEDS} seeds", "test accuracy", "sd", "gain on test")
    n = ", ".join(f"{len(getattr(parts.split, name))} {words}" for name, words in PARTS.items())
    words = (
        f"{given.data.name}: {n}; simple-cnn at {given.side} px, {given.epochs} epochs a trial. The gain stands with "
        "twice its standard error; the test part is small, so read it with that. Space: " + ", ".join(SPACE) + "."
    )
    publish("tune", "Finding a plan: a search against the default", [words, markdown(header, rows)])


def row(name: str, trials: int, found: list[Judged], usual: list[Judged]) -> tuple[str, ...]:
    """One line: means over the seeds, and the gain over the default plan with twice its standard error."""
    val, test = ([getattr(f, part) for f in found] for part in ("val", "test"))
    gain = statistics.mean(test) - statistics.mean(f.test for f in usual)
    spread = statistics.stdev(test) if len(test) > 1 else 0.0
    usual_spread = statistics.stdev(f.test for f in usual) if len(usual) > 1 else 0.0
    error = math.sqrt(spread**2 / len(test) + usual_spread**2 / len(usual))
    return (
        name, str(trials), f"{statistics.mean(val):.4f}", f"{statistics.mean(test):.4f}", f"{spread:.4f}",
        "" if found is usual else f"{gain:+.4f} ± {2 * error:.4f}",
    )  # fmt: skip


def tested(run: Path, parts: Parts, val: float) -> Judged:
    """Accuracy of a finished run on the test part, computed here: the study itself scores only the winner's first."""
    scores = score_predictions(predict_samples(Run(run).opened, parts.test))
    return Judged(val, scores.values["accuracy"].value)


def baseline(data: Path, plan: Plan, folder: Path) -> tuple[list[Judged], Parts]:
    """The default plan for each seed on the split that the studies use, trained and scored as the winners are."""
    parts = divide(open_samples(data, plan), plan)
    none = parts.split.test[:0]
    trained = Parts(parts.samples, replace(parts.split, test=none), parts.sha256)
    found = []
    for seed in range(SEEDS):
        seeded = plan.with_changes({"seed": plan.seed + seed, "keep_checkpoints": 1})
        run = train_or_go_on(folder / f"seed-{seed}", trained, seeded, name="baseline", callbacks=[])
        best = max(v for v in run.history.column(METRIC) if v is not None)
        found.append(tested(run.path, parts, best))
    return found, parts


if __name__ == "__main__":
    main()
