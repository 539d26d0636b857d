"""Does memory stay flat over 10,000 pictures? Each job in processes of its own, with 1,000 and with 10,000 files.

    python -m benchmarks.memory [--few 1000] [--many 10000]

The jobs: one pass of the loader without a cache, an epoch of training the simple CNN with a cache that may take 16 MiB
of memory, and prediction. What counts is the most memory the process ever held (VmHWM) above what it held when the job
began; ten times the pictures may add the cost of their names and answers, stated per picture, and nothing more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.timing import markdown, publish

JOBS = ("loader pass, no cache", "training, one epoch", "prediction")
PER_PICTURE_KIB = 8  # names, labels, scores and the rows of the audit
SLACK_MIB = 24


def make_folder(folder: Path, pictures: int) -> None:
    """Two classes of photographs, 320x240: crops of one real photograph, each at a place of its own, and noise."""
    import skimage.data

    photo, rng = skimage.data.astronaut(), np.random.default_rng(0)
    for i in range(pictures):
        top, left = rng.integers(0, 512 - 240), rng.integers(0, 512 - 320)
        crop = photo[top : top + 240, left : left + 320] // (1 + i % 2)
        crop = crop + rng.integers(0, 40, (8, 8, 1), np.uint8).repeat(30, 0).repeat(40, 1)
        path = folder / "ab"[i % 2] / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(path, quality=85)


def held_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (the most ever) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def loader_pass(folder: Path) -> None:
    """All pictures once, decoded and stretched to 224x224, dropped at once."""
    from convscope.data.budget import NO_CACHE
    from convscope.data.files_source import FilesSource
    from convscope.data.loader import Loader
    from convscope.records.geometry import Preprocess
    from convscope.records.samples import Samples

    keys = tuple(sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg")))
    samples = Samples(FilesSource(folder, keys), np.arange(len(keys)) % 2, "classify", ("a", "b"), root=folder)
    for _ in Loader(samples, Preprocess(224, 224, fit="stretch"), batch_size=32, cache=NO_CACHE).batches(0):
        pass


def job(name: str, folder: Path, run: Path) -> dict[str, float]:
    """Do one job in this process; what it held before, and the most it ever held, MiB."""
    import convscope

    plan = convscope.Plan(model="simple-cnn", weights="none", image_size=64, epochs=1, batch_size=32, cache_mb=16)
    if name == JOBS[0]:
        before = held_mib("VmRSS")
        loader_pass(folder)
    elif name == JOBS[1]:
        before = held_mib("VmRSS")
        convscope.train(folder, plan=plan, out=run)
    else:
        opened = convscope.open_run(run)
        before = held_mib("VmRSS")
        opened.predict([folder])
    return {"before": before, "most": held_mib("VmHWM")}


def measured(name: str, folder: Path, run: Path) -> dict[str, float]:
    """`job` in a fresh process."""
    words = [sys.executable, "-m", "benchmarks.memory", "--job", name, "--folder", str(folder), "--run", str(run)]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    said = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    return json.loads(said.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000)
    for hidden in ("--job", "--folder", "--run"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(job(options.job, Path(options.folder), Path(options.run))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as made:
        sizes = (options.few, options.many)
        for n in sizes:
            make_folder(Path(made) / str(n), n)
        for name in JOBS:
            runs = [measured(name, Path(made) / str(n), Path(made) / f"run{n}") for n in sizes]
            above = [run["most"] - run["before"] for run in runs]
            allowed = SLACK_MIB + (options.many - options.few) * PER_PICTURE_KIB / 1024
            met = "yes" if above[1] - above[0] <= allowed else "NO"
            rows.append((name, *(f"{v:.0f} MiB" for v in above), f"{above[1] - above[0]:+.0f} MiB", met))
    header = ("job", *(f"{n:,} pictures" for n in sizes), "difference", "flat")
    words = (
        "The most memory held above what the process held when the job began (back end and libraries are loaded lazily "
        f"and count). Flat: {options.many - options.few:,} pictures more add at most {SLACK_MIB} MiB and "
        f"{PER_PICTURE_KIB} KiB a picture for names, answers and the audit; all decoded at once they would add "
        f"{(options.many - options.few) * 320 * 240 * 3 / 2**20:,.0f} MiB."
    )
    publish("memory", "Memory over many pictures", [markdown(header, rows), words])


if __name__ == "__main__":
    main()
