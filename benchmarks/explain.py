"""Explanations per second and their memory against Captum, pytorch-grad-cam, torchcam, Xplique and tf-keras-vis, CPU.

    KERAS_BACKEND=torch python -m benchmarks.explain [--cpu] [--tensorflow-peers] [--memory]

Same weights and pictures everywhere. On PyTorch the peers run on the same channels_first Keras model (same back end)
and on a plain torch.nn twin (native); convscope runs on each back end that is installed, in processes of their own that
take turns with the peers. --cpu compares the processors' time, for machines that are busy with other things.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.explain_peers import METHODS, OPTIONS, SIDE, own_network, tensorflow_peers, torch_peers
from benchmarks.timing import alternate, markdown, publish

BATCH = 32
BUDGET_MB = 512
Clock = Callable[[], float]


class Own:
    """convscope in this process: one probe, one run per method."""

    def __init__(self, images: np.ndarray) -> None:
        from convscope.scope.tap import Probe

        self.model = own_network()
        self.probe, self.images = Probe(self.model), images

    def run(self, name: str) -> None:
        from convscope.explaining.engine import Limits, Wish, explain

        layer = "relu3" if name.endswith("cam") else None
        wish = Wish(options=OPTIONS.get(name, {}), layer=layer)
        explain(self.probe, self.images, name, 1, wish=wish, limits=Limits(batch_size=BATCH))


def pictures(count: int, *, channels_first: bool) -> np.ndarray:
    """Noise on a grid, as every contender gets it."""
    values = np.random.default_rng(0).normal(size=(count, SIDE, SIDE, 3)).astype("float32")
    return np.ascontiguousarray(np.moveaxis(values, -1, 1)) if channels_first else values


def timed(action: Callable[[], object], clock: Clock) -> float:
    """Seconds of one call by this clock."""
    began = clock()
    action()
    return clock() - began


class Worker:
    """convscope on another back end, in a process of its own that waits until it is its turn."""

    def __init__(self, backend: str, count: int, cpu: bool) -> None:
        words = [sys.executable, "-m", "benchmarks.explain", "--worker", "--pictures", str(count)]
        self._process = subprocess.Popen(
            words + (["--cpu"] if cpu else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "KERAS_BACKEND": backend},
        )  # fmt: skip

    def seconds(self, name: str) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the worker ended; see its messages above")
        return float(json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def work(count: int, clock: Clock) -> None:
    """The worker's side: a method's name in, its seconds out; the first run of each compiles and is not counted."""
    from convscope.backend.selection import backend_name

    own = Own(pictures(count, channels_first=backend_name() == "torch"))
    known: set[str] = set()
    for line in sys.stdin:
        name = line.strip()
        if name not in known:
            own.run(name)
            known.add(name)
        sys.stdout.write(json.dumps(timed(lambda name=name: own.run(name), clock)) + "\n")
        sys.stdout.flush()


def memory(count: int = 1000) -> str:
    """Resident memory while 1,000 pictures are explained one after another, after a first round of 50."""
    own = Own(pictures(8, channels_first=True))
    highest: dict[str, tuple[float, float]] = {}
    for name in ("grad-cam", "integrated-gradients"):
        for _ in range(50 // 8 + 1):
            own.run(name)
        before = resident_mb()
        for _ in range(count // 8):
            own.run(name)
        highest[name] = (before, resident_mb())
    rows = [(n, f"{a:.0f}", f"{b:.0f}", f"{b - a:+.1f}") for n, (a, b) in highest.items()]
    header = ("method", "after 50 pictures, MB", f"after {count}, MB", "growth, MB")
    met = all(b - a < 32 and b < BUDGET_MB + a for a, b in highest.values())
    return f"Memory over {count} pictures (goal: flat within 32 MB): {'met' if met else 'NOT met'}.\n\n" + markdown(
        header, rows
    )


def resident_mb() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def compare(given: argparse.Namespace, clock: Clock) -> list[str]:
    """All methods, all contenders in turn."""
    images = pictures(given.pictures, channels_first=True)
    own = Own(images)
    peers = torch_peers(own.model, images)
    others = [b for b in ("tensorflow", "jax") if importlib.util.find_spec(b)]
    workers = {b: Worker(b, given.pictures, given.cpu) for b in others}
    rows, same, native, best = [], [], [], []
    for name in given.methods.split(",") if given.methods else METHODS:
        contenders: dict[str, Callable[[], float]] = {"torch": lambda name=name: timed(lambda: own.run(name), clock)}
        contenders |= {b: lambda name=name, w=w: w.seconds(name) for b, w in workers.items()}
        contenders |= {k: lambda run=run: timed(run, clock) for k, run in peers.get(name, {}).items()}
        for run in contenders.values():
            run()
        found = alternate(contenders, rounds=given.rounds)
        middle = {k: statistics.median(v) for k, v in found.items()}
        fastest = min(["torch", *others], key=lambda b: middle[b])
        for peer in peers.get(name, {}):
            on_same = statistics.median(p / m for p, m in zip(found[peer], found["torch"]))
            on_best = statistics.median(p / m for p, m in zip(found[peer], found[fastest]))
            if peer.endswith("native"):
                native.append(on_same)
                best.append(on_best)
            else:
                same.append((name, on_same))
            ms = [f"{middle[k] / given.pictures * 1000:.1f}" for k in ("torch", fastest, peer)]
            rows.append((name, peer, ms[0], f"{ms[1]} ({fastest})", ms[2], f"{on_same:.2f}", f"{on_best:.2f}"))
        if not peers.get(name):
            ms = [f"{middle[k] / given.pictures * 1000:.1f}" for k in ("torch", fastest)]
            rows.append((name, "no peer on PyTorch", ms[0], f"{ms[1]} ({fastest})", "–", "–", "–"))
    for worker in workers.values():
        worker.close()
    header = ("method", "peer", "torch, ms", "best, ms", "peer, ms", "same back end ×", "best back end ×")
    slower = [f"{n} {r:.2f}" for n, r in same if r < 1]
    goals = [
        f"Goal 1, same back end at least 1.0 for every method: {_met(slower)}.",
        f"Goal 2, best back end against native PyTorch at least 1.0 in the median: "
        f"{'met' if statistics.median(best) >= 1 else 'NOT met'} ({statistics.median(best):.2f}); "
        f"on PyTorch itself {statistics.median(native):.2f}.",
    ]
    clocks = "processor time" if given.cpu else "wall clock"
    words = (
        f"{given.pictures} pictures of {SIDE} x {SIDE}, four convolutions, ms per picture by {clocks}; medians of "
        f"{given.rounds} rounds taken in turn, ratios taken round by round."
    )
    return [words, "\n".join(goals), markdown(header, rows)]


def _met(slower: list[str]) -> str:
    return "met" if not slower else f"NOT met: {', '.join(slower)}"


def on_tensorflow(given: argparse.Namespace, clock: Clock) -> list[str]:
    """Xplique and tf-keras-vis on the same Keras model, on TensorFlow, in this process."""
    images = pictures(given.pictures, channels_first=False)
    own = Own(images)
    rows = []
    runs, failed = tensorflow_peers(own.model, images)
    for name, peers in runs.items():
        for peer, run in peers.items():
            try:
                run()
            except (AttributeError, TypeError, ValueError, RuntimeError, KeyError) as error:
                failed.append(f"{peer}, {name}: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
                continue
            own.run(name)
            found = alternate(
                {
                    "own": lambda name=name: timed(lambda: own.run(name), clock),
                    "peer": lambda run=run: timed(run, clock),
                },
                rounds=given.rounds,
            )
            ratio = statistics.median(p / m for p, m in zip(found["peer"], found["own"]))
            ms = [f"{statistics.median(found[k]) / given.pictures * 1000:.1f}" for k in ("own", "peer")]
            rows.append((name, peer, *ms, f"{ratio:.2f}"))
    slower = [f"{r[0]} {r[4]} ({r[1]})" for r in rows if float(r[4]) < 1]
    goal = f"Same back end, TensorFlow, at least 1.0 for every method: {_met(slower)}."
    table = markdown(("method", "peer", "convscope, ms", "peer, ms", "times as fast"), rows)
    return [goal, table, *(["Did not run: " + "; ".join(failed) + "."] if failed else [])]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", default="", help="some of them, separated by commas; for a quick look")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--tensorflow-peers", action="store_true")
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    clock = time.process_time if given.cpu else time.perf_counter
    if given.worker:
        work(given.pictures, clock)
        return
    if given.tensorflow_peers:
        publish("explain-tensorflow", "Explanations against peers on TensorFlow", on_tensorflow(given, clock))
        return
    parts = compare(given, clock)
    parts += [memory()] if given.memory else []
    publish("explain-quick" if given.methods else "explain", "Explanations against peers", parts)


if __name__ == "__main__":
    main()
