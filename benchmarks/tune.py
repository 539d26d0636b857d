"""Does a search beat the default plan in a stated number of trials? On a real set, with seeds, on the test part.

    python -m benchmarks.tune [--trials 30] [--data FOLDER] [--out FOLDER]

The baseline is the default plan of simple-cnn trained with the same seeds as the winner; both are judged on validation,
the winner on the test part as well. Random search with as many trials stands beside TPE.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import convscope
from convscope.actions.dataset import divide, open_samples
from convscope.actions.trials import train_or_go_on
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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=DATA / "cls-sign-digits")
    options.add_argument("--trials", type=int, default=30)
    options.add_argument("--epochs", type=int, default=15)
    options.add_argument("--side", type=int, default=64)
    options.add_argument("--out", type=Path, default=Path("runs/bench-tune"))
    given = options.parse_args()
    plan = Plan(
        model="simple-cnn", weights="none", image_size=given.side, epochs=given.epochs, monitor=METRIC, watch_pictures=0
    )
    rows = [("default plan", 1, baseline(given.data, plan, given.out / "default"), "not looked at", 0.0)]
    for method in ("random", "tpe", "asha"):
        began = time.process_time()
        study = convscope.tune(
            given.data, space=SPACE, plan=plan, method=method, trials=given.trials, reruns=SEEDS, out=given.out / method
        )
        values = [r.value for r in study.facts.reruns]
        tested = study.facts.tested
        score = f"{tested['values']['accuracy']['value']:.4f}" if tested else "no test part"
        rows.append((method, given.trials, values, score, time.process_time() - began))
    print("| plan | trials | validation accuracy, 3 seeds | sd | test accuracy | CPU s |\n|---|---|---|---|---|---|")
    for name, trials, values, score, seconds in rows:
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"| {name} | {trials} | {statistics.mean(values):.4f} | {spread:.4f} | {score} | {seconds:.0f} |")


def baseline(data: Path, plan: Plan, folder: Path) -> list[float]:
    """Best validation accuracy of the default plan for each seed, on the split that the studies use."""
    parts = divide(open_samples(data, plan), plan)
    found = []
    for seed in range(SEEDS):
        seeded = plan.with_changes({"seed": plan.seed + seed})
        run = train_or_go_on(folder / f"seed-{seed}", parts, seeded, name="baseline", callbacks=[])
        found.append(max(v for v in run.history.column(METRIC) if v is not None))
    return found


if __name__ == "__main__":
    main()
