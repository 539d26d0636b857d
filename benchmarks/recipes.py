"""Each recipe and the plain default on real sets, three seeds each, scored on the test part.

    python -m benchmarks.recipes [--data FOLDER ...] [--model efficientnet-lite0] [--seeds 3]

Writes a table to benchmarks/results/recipes.md. A recipe counts as worse than the default only when the difference
of the means is above twice its standard error. Runs that are done are not repeated, so a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from pathlib import Path

from benchmarks.timing import publish
from convscope.actions.dataset import divide, open_samples
from convscope.actions.trials import train_or_go_on
from convscope.training.plan import Plan
from convscope.training.recipes import RECIPES, with_recipe

SETS = ("cls-sign-digits", "cls-dog-cat", "cls-brain-mri-yesno")
DATA = Path(os.environ.get("CONVSCOPE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, action="append", help="default: the three real sets")
    options.add_argument("--model", default="efficientnet-lite0")
    options.add_argument("--weights", default="imagenet")
    options.add_argument("--side", type=int)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, help="for a smoke test: override every recipe's epochs")
    options.add_argument("--out", type=Path, default=Path("runs/bench-recipes"))
    given = options.parse_args()
    lines = [
        "| set | recipe | balanced accuracy, mean | sd | against the default | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for data in given.data or [DATA / name for name in SETS]:
        usual: list[float] = []
        for recipe in ("", *RECIPES):
            values, seconds = measure(data, recipe, given)
            usual = usual or values
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            lines.append(
                f"| {data.name} | {recipe or 'default'} | {statistics.mean(values):.4f} | {spread:.4f} | "
                f"{verdict(values, usual) if recipe else ''} | {seconds:.0f} |"
            )
            print(lines[-1], flush=True)
    side = f" at {given.side} px" if given.side else ""
    words = (
        f"{given.model}{side}, {given.seeds} seeds each; balanced accuracy on the test part. CPU seconds are "
        "those of this start of the benchmark, with other work on the machine."
    )
    publish("recipes", "Recipes against the plain default", [words, "\n".join(lines)])


def measure(data: Path, recipe: str, given: argparse.Namespace) -> tuple[list[float], float]:
    """Test scores over the seeds, and the CPU seconds that training took now."""
    values, began = [], time.process_time()
    for seed in range(given.seeds):
        fields = {"model": given.model, "weights": given.weights, "seed": seed, "watch_pictures": 0, "recipe": recipe}
        fields |= {"image_size": given.side} if given.side else {}
        fields |= {"epochs": given.epochs, "head_epochs": given.epochs} if given.epochs else {}
        plan = Plan(**fields)
        samples = open_samples(data, plan)
        parts = divide(samples, plan)
        plan = with_recipe(plan, pictures=len(parts.split.train), task=samples.task)
        folder = given.out / f"{data.name}-{recipe or 'default'}-{seed}"
        run = train_or_go_on(folder, parts, plan, name=data.name, callbacks=[])
        values.append(run.scores.values["balanced_accuracy"].value)
    return values, time.process_time() - began


def verdict(values: list[float], usual: list[float]) -> str:
    """Better, worse or the same within twice the standard error of the difference."""
    gain = statistics.mean(values) - statistics.mean(usual)
    if min(len(values), len(usual)) < 2:
        return f"{gain:+.4f}, one seed says little"
    error = math.sqrt(statistics.variance(values) / len(values) + statistics.variance(usual) / len(usual))
    word = "the same within noise" if abs(gain) <= 2 * error else "better" if gain > 0 else "worse"
    return f"{gain:+.4f} ± {error:.4f}, {word}"


if __name__ == "__main__":
    main()
