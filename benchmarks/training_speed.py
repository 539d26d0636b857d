"""Training pictures per second on a CPU: convscope against bare Keras on each back end and against plain PyTorch loops.

    python -m benchmarks.training_speed [--networks seed-like resnet50 efficientnet-lite0] [--rounds 3] [--only WORDS]

Three networks: the seed-like one (three blocks of two 3x3 convolutions, 32-64-128, batch norm, max pooling) at 64 px,
batch 32; ResNet50 and EfficientNet-Lite0 at 224 px, batch 8. Every contender is a process of its own, for Keras fixes
its back end at import; they take turns. convscope trains as `convscope train` does, with journal, state and feed; the
others get arrays in memory. The rate is that of the median step. PyTorch has channels_last, by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import alternate, markdown, publish, rows_against
from convscope.actions.doctor import has_bfloat16

CLASSES = 10
SIZES = {"seed-like": (64, 32), "resnet50": (224, 8), "efficientnet-lite0": (224, 8)}  # side, batch
PLANS: dict[str, dict[str, Any]] = {
    "seed-like": {"model": "simple-cnn", "filters": (32, 64, 128), "convs_per_block": 2},
    "resnet50": {"model": "resnet50"},
    "efficientnet-lite0": {"model": "efficientnet-lite0"},
}
BASE = "convscope"
WARM, SECONDS, LEAST, MOST = 2, 4.0, 3, 60  # steps that do not count; measured steps fill so many seconds


class Clock:
    """When each step ended."""

    def __init__(self, batch: int) -> None:
        self.batch, self.ends = batch, [time.perf_counter()]

    def tick(self) -> bool:
        """One more step; whether that is enough."""
        self.ends.append(time.perf_counter())
        steps = len(self.ends) - 1 - WARM
        return steps >= LEAST and (steps >= MOST or self.ends[-1] - self.ends[WARM] >= SECONDS)

    def rate(self) -> float:
        """Pictures per second of the median step."""
        return self.batch / statistics.median(np.diff(self.ends)[WARM:])


def contenders() -> dict[str, tuple[str, list[str]]]:
    """Name -> back end and words for `--one`."""
    found = {BASE: ("", ["convscope", "off"])}
    for name, backend in (("TensorFlow", "tensorflow"), ("PyTorch", "torch"), ("JAX", "jax")):
        found[f"Keras on {name}"] = (backend, ["keras", "off"])
    found["plain PyTorch, channels_last"] = ("torch", ["torch", "off"])
    if has_bfloat16():  # elsewhere it is emulated, at a tenth of the speed
        found["Keras on TensorFlow, mixed_bfloat16"] = ("tensorflow", ["keras", "bfloat16"])
        found["plain PyTorch, channels_last, bfloat16"] = ("torch", ["torch", "bfloat16"])
    return found


def by_convscope(network: str, precision: str, clock: Clock) -> None:
    """The real `fit`, on arrays."""
    from convscope.actions.dataset import divide, open_samples
    from convscope.actions.network import prepare
    from convscope.backend.selection import load_keras
    from convscope.training.fit import fit
    from convscope.training.job import TrainingJob
    from convscope.training.plan import Plan

    side, batch = SIZES[network]
    plan = Plan(
        **PLANS[network], weights="none", image_size=side, batch_size=batch, epochs=99, patience=0, keep_best=False,
        val_share=0.1, test_share=0.0, fit="stretch", watch_pictures=0, checkpoint_minutes=60,
        mixed_precision=precision,
    )  # fmt: skip
    x, y = arrays(network)
    samples = open_samples((x.astype(np.uint8), y), plan)
    parts = divide(samples, plan)
    prepared = prepare(plan, samples)
    job = TrainingJob(parts.train, None, prepared.preprocess, plan)

    class Ticks(load_keras().callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            if step + 1 < self.params["steps"] and clock.tick():  # the last batch of an epoch is a smaller one
                raise Enough

    with tempfile.TemporaryDirectory() as folder:
        fit(prepared.trained, job, folder=Path(folder), callbacks=[Ticks()])


class Enough(Exception):
    """Measured long enough."""


def by_keras(network: str, precision: str, clock: Clock) -> None:
    """The same network by its own `fit`, compiled alike."""
    from convscope.actions.network import prepare
    from convscope.backend.selection import load_keras
    from convscope.data.opening import read_data
    from convscope.training.plan import Plan

    keras = load_keras()
    if precision != "off":
        keras.config.set_dtype_policy(f"mixed_{precision}")
    side, batch = SIZES[network]
    x, y = arrays(network)
    samples = read_data((x.astype(np.uint8), y))
    model = prepare(Plan(**PLANS[network], weights="none", image_size=side, fit="stretch"), samples).model
    model.compile("adam", keras.losses.CategoricalCrossentropy(), metrics=["accuracy"])

    class Ticks(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            if clock.tick():
                raise Enough

    whole = len(x) // batch * batch
    one_hot = np.eye(CLASSES, dtype=np.float32)[y]
    model.fit(x[:whole], one_hot[:whole], batch_size=batch, epochs=99, verbose=0, callbacks=[Ticks()])


def by_torch(network: str, precision: str, clock: Clock) -> None:
    """A plain loop with channels_last, as PyTorch's own guide for CPUs has it."""
    import torch

    from benchmarks.torch_networks import NETWORKS

    torch.manual_seed(0)
    _, batch = SIZES[network]
    x, y = arrays(network)
    model = NETWORKS[network](CLASSES).to(memory_format=torch.channels_last)
    pictures = torch.from_numpy(x / 255).permute(0, 3, 1, 2).to(memory_format=torch.channels_last)
    truth = torch.from_numpy(y)
    optimizer, loss = torch.optim.Adam(model.parameters()), torch.nn.CrossEntropyLoss()
    model.train()
    while True:
        for start in range(0, len(x) - batch + 1, batch):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                found = loss(model(pictures[start : start + batch]), truth[start : start + batch])
            found.backward()
            optimizer.step()
            found.item()
            if clock.tick():
                return


def arrays(network: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures float32 0..255 and classes."""
    side, batch = SIZES[network]
    rng = np.random.default_rng(0)
    n = batch * 20  # an epoch longer than what is measured: its end and its smaller last batch are not steps
    return rng.integers(0, 256, (n, side, side, 3)).astype(np.float32), np.arange(n) % CLASSES


def one(kind: str, precision: str, network: str) -> float:
    """Measure in this process."""
    clock = Clock(SIZES[network][1])
    with contextlib.suppress(Enough):
        {"convscope": by_convscope, "keras": by_keras, "torch": by_torch}[kind](network, precision, clock)
    return clock.rate()


def rate(backend: str, words: list[str], network: str) -> float:
    """Measure in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment |= {"KERAS_BACKEND": backend} if backend else {}
    command = [sys.executable, "-m", "benchmarks.training_speed", "--one", *words, network]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} {network} failed: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--networks", nargs="+", default=list(SIZES), choices=list(SIZES))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="", help="contenders whose name holds this word, and convscope")
    options.add_argument("--keep", type=Path, help="a JSON file of figures, added to; the page is made of all in it")
    options.add_argument("--one", nargs=3, metavar=("KIND", "PRECISION", "NETWORK"))
    given = options.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(one(*given.one)) + "\n")
        return
    known: dict[str, dict[str, list[float]]] = {}
    if given.keep is not None and given.keep.exists():
        known = json.loads(given.keep.read_text())
    chosen = {n: c for n, c in contenders().items() if given.only in n or n == BASE}
    for network in given.networks:
        kept = known.setdefault(network, {})

        def turn(name: str, network: str = network, kept: dict[str, list[float]] = kept) -> float:
            found = rate(*chosen[name], network)
            kept.setdefault(name, []).append(found)
            if given.keep is not None:  # after each figure: a benchmark that is cut short has not been in vain
                given.keep.write_text(json.dumps(known))
            return found

        alternate({name: (lambda name=name, turn=turn: turn(name)) for name in chosen}, rounds=given.rounds)
    parts = [f"bfloat16 in this processor: {'yes' if has_bfloat16() else 'no'}."]
    for network, every in known.items():
        rounds = min(map(len, every.values()))
        figures = {name: values[:rounds] for name, values in every.items()}
        header, rows = rows_against(figures, BASE, unit="pictures/s")
        side, batch = SIZES[network]
        parts.append(f"## {network} at {side}, batch {batch}\n\n{markdown(header, rows)}")
    publish("training_speed", "Training speed against peers", parts)


if __name__ == "__main__":
    main()
