"""Feature maps of all convolutions of ResNet50, streamed and handed over as NumPy arrays, against the usual ways.

    python -m benchmarks.scope_maps tap forward one_compiled_model copy_of_each_output --pictures 256 --rounds 3
    python -m benchmarks.scope_maps tap torch_hooks a_model_per_layer --pictures 64 --rounds 2
    python -m benchmarks.scope_maps                       # only write the result of all pieces so far

A quiet machine is rare, so it is measured in pieces: each call starts the named ways, each in a process of its own,
lets them take turns, and adds its rounds to `--pieces FILE`; then the result is written from all pieces. A piece holds
the tap, since every ratio is taken within one round. Delete the file to begin anew.

keract needs Keras 2; to have it measured, make a folder for it alone and name it with `--keract FOLDER`:
    pip install --no-deps --target FOLDER keract tf-keras
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.scope_results import goals, publish_part
from benchmarks.scope_ways import ELSEWHERE, Elsewhere
from benchmarks.timing import markdown

TAP = "tap"
WORDS = {
    "tap": "convscope tap",
    "forward": "the network alone, no maps (no way can be faster)",
    "one_compiled_model": "compiled multi-output model, same hand-over",
    "copy_of_each_output": "`.numpy()` per output",
    "predict": "`predict` of a multi-output model",
    "a_model_per_layer": "a model per layer",
    "torch_hooks": "PyTorch forward hooks that copy",
    "keract": "keract (Keras 2)",
}
TWICE = ("copy_of_each_output", "a_model_per_layer", "torch_hooks", "keract")
GOALS = {"one_compiled_model": 0.95, **dict.fromkeys(TWICE, 2.0)}
FEW = {"a_model_per_layer", "keract"}  # run the network once per layer, or as slowly: one batch a round
PIECES = Path(tempfile.gettempdir()) / "convscope-scope-maps.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ways", nargs="*", choices=[[], *ELSEWHERE])
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pieces", type=Path, default=PIECES)
    parser.add_argument("--keract", default="", help="folder with keract and tf-keras")
    given = parser.parse_args()
    if given.ways:
        measure(given)
    pieces = [json.loads(line) for line in given.pieces.read_text().splitlines()]
    publish_part("maps", told(pieces))


def measure(given: Any) -> None:
    """Let the ways take turns; every round is one line of the file of pieces."""
    running = {}
    for way in given.ways:
        pictures = given.batch if way in FEW else given.pictures
        running[way] = Elsewhere(way, pictures, given.batch, given.keract if way == "keract" else "")
    try:
        for other in running.values():
            other.wait_until_ready()
        for number in range(given.rounds):
            rates = {}
            for way, other in running.items():
                sys.stderr.write(f"round {number + 1} of {given.rounds}: {way}\n")
                rates[way] = vars(other())
            with given.pieces.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"pictures": given.pictures, "batch": given.batch, "rates": rates}) + "\n")
    finally:
        for other in running.values():
            other.close()


def told(pieces: Sequence[dict[str, Any]]) -> str:
    """The table of all ways, the goals, and how far the network alone lets anything go."""
    rows = []
    for way, words in WORDS.items():
        rounds = [(p, p["rates"][way]) for p in pieces if way in p["rates"]]
        if not rounds:
            rows.append((words, "not measured", "", "", "", ""))
            continue
        speeds = [r["pictures_s"] for _, r in rounds]
        cpu = statistics.median(r["cpu_s"] for _, r in rounds)
        counts = sorted({p["batch"] if way in FEW else p["pictures"] for p, _ in rounds})
        rows.append(
            (
                words,
                f"{statistics.median(speeds):.3g}",
                f"{min(speeds):.3g} to {max(speeds):.3g}",
                f"{1e3 * cpu:.0f}",
                str(len(rounds)),
                ", ".join(map(str, counts)),
            )
        )
    header = ("", "median pictures/s", "lowest to highest", "processor ms per picture", "rounds", "pictures a round")
    ratios, cpu_rows = {}, []
    for way in GOALS:
        both = [p["rates"] for p in pieces if way in p["rates"] and TAP in p["rates"]]
        if both:
            ratios[WORDS[way]] = [r[TAP]["pictures_s"] / r[way]["pictures_s"] for r in both]
            work = statistics.median(r[way]["cpu_s"] / r[TAP]["cpu_s"] for r in both)
            cpu_rows.append((f"processor time of {WORDS[way]} / of the tap", f"{work:.2f}"))
    wanted = {WORDS[way]: goal for way, goal in GOALS.items()}
    return "\n\n".join(
        [
            "## Feature maps of the 53 convolutions of ResNet50\n\nTensorFlow unless said otherwise, 224x224, batches "
            f"of {pieces[0]['batch']}, arrays handed over and dropped; each way in a process of its own, in turns; "
            "ratios are medians over the rounds that both ways ran in.",
            markdown(header, rows),
            goals(ratios, wanted, "tap / "),
            markdown(("work", "measured"), cpu_rows),
        ]
    )


if __name__ == "__main__":
    main()
