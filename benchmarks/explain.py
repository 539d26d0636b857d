"""Explanations per second and their memory against Captum, pytorch-grad-cam, torchcam, Xplique and tf-keras-vis, CPU.

    KERAS_BACKEND=torch python -m benchmarks.explain [--methods a,b] [--part FILE] [--merge FILE ...]
    KERAS_BACKEND=tensorflow python -m benchmarks.explain --tensorflow-peers
    KERAS_BACKEND=torch python -m benchmarks.explain --memory

Same weights and pictures everywhere. On PyTorch the peers run on the same channels_first Keras model (same back end)
and on a plain torch.nn twin (native); convscope runs on PyTorch and TensorFlow, the latter in a process of its own that
takes turns with the peers. Each contender first finds its own fastest batch size for each method. Some methods at a
time (--methods with --part) keep a run short; --merge makes one table of the parts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explain_peers import METHODS, OPTIONS, SIDE, own_network, tensorflow_peers, torch_peers
from benchmarks.timing import alternate, markdown, publish, seconds

BATCHES = (8, 16, 32)
WITHOUT_BATCHES = ("grad-cam", "layer-cam")
BUDGET_MB = 512
Seconds = Callable[[int], float]


class Own:
    """convscope in this process: one probe, one run per method."""

    def __init__(self, images: np.ndarray) -> None:
        from convscope.scope.tap import Probe

        self.model = own_network()
        self.probe, self.images = Probe(self.model), images

    def run(self, name: str, batch: int = 32) -> None:
        from convscope.explaining.engine import Limits, Wish, explain

        layer = "relu3" if name.endswith("cam") else None
        wish = Wish(options=OPTIONS.get(name, {}), layer=layer)
        explain(self.probe, self.images, name, 1, wish=wish, limits=Limits(batch_size=batch))


def pictures(count: int, *, channels_first: bool) -> np.ndarray:
    """Noise on a grid, as every contender gets it."""
    values = np.random.default_rng(0).normal(size=(count, SIDE, SIDE, 3)).astype("float32")
    return np.ascontiguousarray(np.moveaxis(values, -1, 1)) if channels_first else values


class Worker:
    """convscope on another back end, in a process of its own that waits until it is its turn."""

    def __init__(self, backend: str, count: int) -> None:
        words = [sys.executable, "-m", "benchmarks.explain", "--worker", "--pictures", str(count)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "KERAS_BACKEND": backend},
        )  # fmt: skip

    def seconds(self, name: str, batch: int) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{name} {batch}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the worker ended; see its messages above")
        return float(json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def work(count: int) -> None:
    """The worker's side: a method's name and a batch size in, its seconds out; the first run of each compiles."""
    from convscope.backend.selection import backend_name

    own = Own(pictures(count, channels_first=backend_name() == "torch"))
    known: set[str] = set()
    for line in sys.stdin:
        name, batch = line.split()
        if line not in known:
            own.run(name, int(batch))
            known.add(line)
        taken = seconds(lambda name=name, batch=batch: own.run(name, int(batch)))
        sys.stdout.write(json.dumps(taken) + "\n")
        sys.stdout.flush()


def fastest_batch(run: Seconds, name: str) -> int:
    """The batch size that is fastest for this contender, each tried once after a run that warms up."""
    if name in WITHOUT_BATCHES:
        run(BATCHES[-1])
        return BATCHES[-1]
    found = {}
    for batch in BATCHES:
        run(batch)
        found[batch] = run(batch)
    return min(found, key=lambda batch: found[batch])


def measured(name: str, contenders: dict[str, Seconds], rounds: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each round per contender, in turn, each at its own batch size; and these sizes."""
    sizes = {k: fastest_batch(run, name) for k, run in contenders.items()}
    tuned = {k: lambda run=run, size=sizes[k]: run(size) for k, run in contenders.items()}
    return alternate(tuned, rounds=rounds), sizes


def compare(given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per method and peer: milliseconds per picture and ratios taken round by round."""
    images = pictures(given.pictures, channels_first=True)
    own = Own(images)
    peers = torch_peers(own.model, images)
    worker = Worker("tensorflow", given.pictures) if importlib.util.find_spec("tensorflow") else None
    rows = []
    for name in given.methods.split(",") if given.methods else METHODS:
        contenders: dict[str, Seconds] = {"torch": lambda b, name=name: seconds(lambda: own.run(name, b))}
        if worker is not None:
            contenders["tensorflow"] = lambda b, name=name: worker.seconds(name, b)
        for peer, run in peers.get(name, {}).items():
            contenders[peer] = lambda b, run=run: seconds(lambda: run(b))
        found, sizes = measured(name, contenders, given.rounds)
        middle = {k: statistics.median(v) / given.pictures * 1000 for k, v in found.items()}
        best = min(("torch", "tensorflow") if worker else ("torch",), key=lambda b: middle[b])
        for peer in peers.get(name) or ("",):
            ratios = [
                statistics.median(p / m for p, m in zip(found[peer], found[k])) if peer else None
                for k in ("torch", best)
            ]
            rows.append(
                {"method": name, "peer": peer, "pictures": given.pictures, "torch": middle["torch"],
                 "best": middle[best], "backend": best, "theirs": middle.get(peer), "same": ratios[0],
                 "native": ratios[1], "sizes": sizes}
            )  # fmt: skip
        if given.part:  # what is measured is kept, should a later method not end in time
            given.part.write_text(json.dumps(rows), encoding="utf-8")
    if worker is not None:
        worker.close()
    return rows


def parts_of(rows: list[dict[str, Any]], given: argparse.Namespace) -> list[str]:
    """Goals and table of the measured rows."""
    same = [(r["method"], r["peer"], r["same"]) for r in rows if r["peer"].endswith("same model")]
    native = [r for r in rows if r["peer"].endswith("native")]
    slower = [f"{m} {x:.2f} ({p.split(',')[0]})" for m, p, x in same if x < 1]
    by_method = {m: min(r["native"] for r in native if r["method"] == m) for m in {r["method"] for r in native}}
    least = statistics.median(by_method.values())
    table = []
    for r in rows:
        own = (f"{r['torch']:.1f}, {r['sizes']['torch']}", f"{r['best']:.1f} ({r['backend']})")
        theirs = ("–",) * 2 if not r["peer"] else (f"{r['theirs']:.1f}, {r['sizes'][r['peer']]}", f"{r['same']:.2f}")
        on_best = f"{r['native']:.2f}" if r["peer"] else "–"
        table.append((r["method"], str(r["pictures"]), r["peer"] or "no peer on PyTorch", *own, *theirs, on_best))
    goals = [
        f"Goal 1, same model and back end at least 1.0 for every method: {_met(slower)}.",
        f"Goal 2, best back end against native PyTorch at least 1.0 in the median over methods (each method's fastest "
        f"peer): {'met' if least >= 1 else 'NOT met'} ({least:.2f}; "
        f"{', '.join(f'{m} {x:.2f}' for m, x in sorted(by_method.items()))}).",
    ]
    words = (
        f"Pictures of {SIDE} x {SIDE}, four convolutions; ms per picture and the batch size that was fastest for each; "
        f"medians of {given.rounds} rounds taken in turn, ratios taken round by round."
    )
    header = ("method", "pictures", "peer", "torch: ms, batch", "best: ms", "peer: ms, batch", "torch ×", "best ×")
    return [words, "\n".join(goals), markdown(header, table)]


def _met(slower: list[str]) -> str:
    return "met" if not slower else f"NOT met: {', '.join(slower)}"


def memory(count: int = 1000) -> list[str]:
    """Resident memory while 1,000 pictures are explained one batch after another, after a first round of 50."""
    from convscope.backend.selection import backend_name

    own = Own(pictures(8, channels_first=backend_name() == "torch"))
    highest: dict[str, tuple[float, float]] = {}
    for name in ("grad-cam", "integrated-gradients"):
        for _ in range(50 // 8 + 1):
            own.run(name, 16)
        before = resident_mb()
        for _ in range(count // 8):
            own.run(name, 16)
        highest[name] = (before, resident_mb())
    rows = [(n, f"{a:.0f}", f"{b:.0f}", f"{b - a:+.1f}") for n, (a, b) in highest.items()]
    header = ("method", "after 56 pictures, MB", f"after {count}, MB", "growth, MB")
    met = all(b - a < 32 and b < BUDGET_MB + a for a, b in highest.values())
    goal = f"Memory over {count} pictures on {backend_name()} (goal: flat within 32 MB): {'met' if met else 'NOT met'}."
    return [goal, markdown(header, rows)]


def resident_mb() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def on_tensorflow(given: argparse.Namespace) -> list[str]:
    """Xplique and tf-keras-vis on the same Keras model, on TensorFlow, in this process."""
    images = pictures(given.pictures, channels_first=False)
    own = Own(images)
    rows = []
    runs, failed = tensorflow_peers(own.model, images)
    for name, peers in runs.items():
        if given.methods and name not in given.methods.split(","):
            continue
        for peer, run in peers.items():
            contenders: dict[str, Seconds] = {
                "own": lambda b, name=name: seconds(lambda: own.run(name, b)),
                "peer": lambda b, run=run: seconds(lambda: run(b)),
            }
            try:
                run(BATCHES[-1])
            except (AttributeError, TypeError, ValueError, RuntimeError, KeyError) as error:
                failed.append(f"{peer}, {name}: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
                continue
            found, sizes = measured(name, contenders, given.rounds)
            ratio = statistics.median(p / m for p, m in zip(found["peer"], found["own"]))
            ms = [f"{statistics.median(found[k]) / given.pictures * 1000:.1f}, {sizes[k]}" for k in ("own", "peer")]
            rows.append((name, peer, *ms, f"{ratio:.2f}"))
            sys.stderr.write(f"{rows[-1]}\n")  # what is measured is known, should a later method not end in time
    slower = [f"{r[0]} {r[4]} ({r[1]})" for r in rows if float(r[4]) < 1]
    goal = f"Same model on TensorFlow, at least 1.0 for every method: {_met(slower)}." if rows else "No peer ran."
    table = markdown(("method", "peer", "convscope: ms, batch", "peer: ms, batch", "times as fast"), rows)
    return [goal, *([table] if rows else []), *(["Did not run: " + "; ".join(failed) + "."] if failed else [])]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", default="", help="some of them, separated by commas")
    parser.add_argument("--part", type=Path, help="keep the rows in this JSON file instead of publishing them")
    parser.add_argument("--merge", type=Path, nargs="+", help="publish the rows of these files")
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--tensorflow-peers", action="store_true")
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    if given.worker:
        work(given.pictures)
    elif given.tensorflow_peers:
        publish("explain_tensorflow", "Explanations against peers on TensorFlow", on_tensorflow(given))
    elif given.memory:
        publish("explain_memory", "Memory of explanations", memory())
    elif given.merge:
        rows = [row for path in given.merge for row in json.loads(path.read_text(encoding="utf-8"))]
        publish("explain", "Explanations against peers", parts_of(rows, given))
    elif given.part:
        compare(given)
    else:
        publish("explain", "Explanations against peers", parts_of(compare(given), given))


if __name__ == "__main__":
    main()
