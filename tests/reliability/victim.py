"""A small real training run in a process of its own, which can be told to die at a given instant.

python victim.py FOLDER    imports everything, says "ready", reads one JSON line, then trains or resumes FOLDER:
    {"kill_after_cpu_s": 1.3}     SIGKILL itself after so much processor time (a busy machine is slow)
    {"kill_in_save": [k, 0.4]}    SIGKILL itself inside the k-th save, after this share of a save's usual time
    {"kill_at_call": n}           SIGKILL itself at the n-th call that writes (fsync, rename, truncate)
Whoever lives to the end writes the processor seconds since the orders as a last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

CALLS = ("fsync", "replace", "truncate")


def data():
    import numpy as np

    rng = np.random.default_rng(0)
    y = np.arange(48) % 3
    x = rng.integers(0, 120, (48, 12, 12, 3)) + 60 * (np.arange(3) == y[:, None])[:, None, None, :]
    return x.astype(np.uint8), y


def plan(**changes):
    from convscope import Plan

    usual = {
        "model": "simple-cnn", "weights": "none", "image_size": 12, "fit": "stretch", "filters": (4,), "dropout": 0.3,
        "epochs": 3, "batch_size": 8, "learning_rate": 0.01, "schedule": "cosine", "warmup_epochs": 1, "ema": 0.9,
        "patience": 0, "workers": 1, "cache_mb": 1, "checkpoint_minutes": 1e-9, "keep_checkpoints": 3,
        "augment": {"flip_horizontal": True, "brightness": 0.2, "mixup": 0.4},
    }  # fmt: skip
    return Plan(**usual | changes)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(cpu_s: float) -> None:
    """Kill at this reading of the process' clock, whatever it does then."""

    def wait() -> None:
        while time.process_time() < cpu_s:
            time.sleep(0.002)
        die()

    threading.Thread(target=wait, daemon=True).start()


def die_inside_save(number: int, share: float) -> None:
    """Kill inside the `number`-th checkpoint, at a share of the time that the one before took."""
    from convscope.training import checkpoint

    real, seen = checkpoint.write_checkpoint, {"saves": 0, "cost_s": 0.05}

    def watched(*given, **named):
        seen["saves"] += 1
        if seen["saves"] >= number:
            threading.Timer(share * seen["cost_s"], die).start()
        began = time.monotonic()
        done = real(*given, **named)
        seen["cost_s"] = time.monotonic() - began
        return done

    checkpoint.write_checkpoint = watched


def die_at_call(number: int) -> None:
    """Kill just before the `number`-th call that makes something last."""
    left = [number]

    def counted(real):
        def call(*given, **named):
            left[0] -= 1
            if left[0] <= 0:
                die()
            return real(*given, **named)

        return call

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def train_or_resume(folder: Path, **changes) -> None:
    """What a user does who starts the same run again and again."""
    import convscope

    if (folder / "journal.jsonl").exists():
        convscope.resume(folder, data=data())
    else:
        convscope.train(data(), plan=plan(**changes), out=folder)


def main() -> int:
    import convscope.actions.finish
    import convscope.actions.network
    import convscope.actions.resume
    import convscope.bundle.keras_file
    import convscope.bundle.saving
    import convscope.training.fit
    import convscope.training.verdict  # noqa: F401 - warm before "ready"
    from convscope.errors import ConvscopeError

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line.strip():
        return 0
    orders, began = json.loads(line), time.process_time()
    folder = Path(orders["folder"])
    if "kill_after_cpu_s" in orders:
        die_after(began + orders["kill_after_cpu_s"])
    if "kill_in_save" in orders:
        die_inside_save(*orders["kill_in_save"])
    if "kill_at_call" in orders:
        die_at_call(orders["kill_at_call"])
    try:
        train_or_resume(folder, **orders.get("plan", {}))
    except ConvscopeError as error:
        sys.stderr.write(f"convscope: {error}\n")
        return 2
    except KeyboardInterrupt as stop:
        return int(getattr(stop, "exit_code", 130))
    sys.stdout.write(f"{time.process_time() - began}\n")
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
