"""Feature maps of all convolutions of ResNet50, streamed and handed over as NumPy arrays, against the usual ways.

    python -m benchmarks.scope_maps tap forward one_compiled_model copy_of_each_output --pictures 256 --rounds 3
    python -m benchmarks.scope_maps tap copy_of_each_output_as_tensorflow_comes --pictures 64 --rounds 3
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
from benchmarks.scope_ways import ELSEWHERE, OLDER, Elsewhere
from benchmarks.timing import markdown

TAP, MINUTES = "tap", "tap_of_minutes"
WORDS = {
    TAP: "convscope tap",
    MINUTES: "convscope tap in a stream of over a minute: weights compiled as constants",
    "matrix_product": "no network: one matrix product with as many multiplications",
    "forward": "the network alone, no maps",
    "one_compiled_model": "compiled multi-output model, same hand-over",
    "copy_of_each_output": "`.numpy()` per output",
    "copy_of_each_output" + OLDER: "`.numpy()` per output, TensorFlow as it comes (no oneDNN)",
    "predict": "`predict` of a multi-output model",
    "a_model_per_layer": "a model per layer",
    "torch_hooks": "PyTorch forward hooks that copy",
    "keract": "keract (Keras 2)",
}
TWICE = ("copy_of_each_output", "copy_of_each_output" + OLDER, "a_model_per_layer", "torch_hooks", "keract")
GOALS = {"one_compiled_model": 0.95, **dict.fromkeys(TWICE, 2.0)}
FEW = {"a_model_per_layer", "keract"}  # run the network once per layer, or as slowly: one batch a round
TRIED = """The tap costs nothing beside the network, so the network's own speed is the limit: twice PyTorch's hooks
need it to run in half of what PyTorch takes, and it takes 0.50 to 0.58 of it. Two batches at a time (on TensorFlow on
CPUs) fill what cores are left idle, a tenth here; a stream that will last over a minute is compiled again with the
weights as constants, whose kernels oneDNN then lays out once (that compilation takes 5 to 8 s for ResNet50).

Tried one by one to make it faster, on the same machine. 2026-11-25, pictures/s against the plain graph: memory of the
batch before kept for the next one (in use: system time falls from 40 to 8 ms a picture); arrays handed over as views,
without a copy (in use); XLA 0.94; JAX needs 1.1 times the processor time. 2026-11-26 with oneDNN, processor time
against the plain graph: fused batch normalisation 1.15; only its product and sum by XLA 0.96; no batch normalisation
at all, which would be another network, 0.88.

keract 4.5.2 imports beside Keras 3.15 and fails in `get_activations` ('Sequential' object has no attribute
'_is_compiled')."""
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
    header = ("", "median pictures/s", "lowest to highest", "processor ms per picture", "rounds", "pictures a round")
    wanted = {WORDS[way]: goal for way, goal in GOALS.items()}
    return "\n\n".join(
        [
            "## Feature maps of the 53 convolutions of ResNet50\n\nTensorFlow with oneDNN unless said otherwise, "
            f"224x224, batches of {pieces[0]['batch']}, arrays handed over and dropped; each way in a process of its "
            "own, in turns; ratios are medians over the rounds that both ways ran in.",
            markdown(header, [_row(way, pieces) for way in WORDS]),
            goals({WORDS[way]: _ratios(way, pieces) for way in GOALS if _ratios(way, pieces)}, wanted, "tap / "),
            "What can be had at all: processor time of each way as a multiple of the tap's, and how many times as fast "
            "the network alone and a plain matrix product are. No way that runs the network can outrun them.",
            markdown(("", "processor time / the tap's", "network alone", "matrix product"), _limits(pieces)),
            *_of_minutes(pieces),
            TRIED,
        ]
    )


def _of_minutes(pieces: Sequence[dict[str, Any]]) -> list[str]:
    """The stream of minutes beside PyTorch's hooks, where both were measured."""
    both = [p["rates"] for p in pieces if {MINUTES, "torch_hooks"} <= p["rates"].keys()]
    if not both:
        return []
    ratio = statistics.median(r[MINUTES]["pictures_s"] / r["torch_hooks"]["pictures_s"] for r in both)
    return [f"In a stream of over a minute the tap is {ratio:.2f} times as fast as PyTorch's hooks."]


def _rounds(way: str, pieces: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [piece for piece in pieces if way in piece["rates"]]


def _row(way: str, pieces: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    rounds = _rounds(way, pieces)
    if not rounds:
        return WORDS[way], "not measured", "", "", "", ""
    speeds = [p["rates"][way]["pictures_s"] for p in rounds]
    cpu = statistics.median(p["rates"][way]["cpu_s"] for p in rounds)
    counts = sorted({p["batch"] if way in FEW else p["pictures"] for p in rounds})
    return (
        WORDS[way],
        f"{statistics.median(speeds):.3g}",
        f"{min(speeds):.3g} to {max(speeds):.3g}",
        f"{1e3 * cpu:.0f}",
        str(len(rounds)),
        ", ".join(map(str, counts)),
    )


def _ratios(way: str, pieces: Sequence[dict[str, Any]], fact: str = "pictures_s") -> list[float]:
    both = [p["rates"] for p in _rounds(way, pieces) if TAP in p["rates"]]
    return [rates[TAP][fact] / rates[way][fact] for rates in both]


def _limits(pieces: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    rows = []
    for way in (way for way in GOALS if _ratios(way, pieces)):
        own = _speed(way, pieces)
        times = [_speed(limit, pieces) for limit in ("forward", "matrix_product")]
        limits = (f"{speed / own:.2f}" if speed and own else "not measured" for speed in times)
        rows.append((WORDS[way], f"{1 / statistics.median(_ratios(way, pieces, 'cpu_s')):.2f}", *limits))
    return rows


def _speed(way: str, pieces: Sequence[dict[str, Any]]) -> float | None:
    found = [p["rates"][way]["pictures_s"] for p in _rounds(way, pieces)]
    return statistics.median(found) if found else None


if __name__ == "__main__":
    main()
