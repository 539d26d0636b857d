"""How long grouping 100,000 picture hashes takes, and whether planted copies are found (limit: 60 s)."""

import argparse
import resource
import time
from itertools import pairwise

import numpy as np

from benchmarks.timing import markdown, publish
from convscope.data.perceptual import difference_hashes, mirrored, near_duplicates, thumbnail

LIMIT_S = 60


def pictures(n: int, seed: int) -> np.ndarray:
    """Smooth random grey pictures (n, 32, 32, 1): sums of a few waves, as unlike each other as photographs."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:32, 0:32] / 32
    out = np.zeros((n, 32, 32), np.float32)
    for _ in range(6):
        fy, fx, phase, size = (
            rng.uniform(low, high, (n, 1, 1)) for low, high in ((-4, 4), (-4, 4), (0, 6.3), (10, 50))
        )
        out += size * np.sin(6.283 * (fy * rows + fx * columns) + phase)
    return np.clip(out + 128, 0, 255)[..., None].astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--copies", type=int, default=500)
    options = parser.parse_args()
    originals = pictures(options.n - options.copies, seed=1)
    noise = np.random.default_rng(2).normal(0, 2, (options.copies, 32, 32, 1))
    copies = np.clip(originals[: options.copies] + noise, 0, 255).astype(np.uint8)
    hashed = [(*difference_hashes(p), thumbnail(p)) for part in (originals, copies) for p in part]
    hashes = np.array([h[0] for h in hashed], np.uint64)
    mirrors = np.array([h[1] for h in hashed], np.uint64)
    thumbs = np.array([h[2] for h in hashed])
    clocks = [(time.perf_counter(), time.process_time())]
    groups = near_duplicates(hashes, thumbs)
    clocks.append((time.perf_counter(), time.process_time()))
    mirrored(hashes, mirrors, thumbs)
    clocks.append((time.perf_counter(), time.process_time()))
    planted = {(i, options.n - options.copies + i) for i in range(options.copies)}
    found = sum(any((a, b) in planted for a in g for b in g) for g in groups)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = [tuple(b - a for a, b in zip(*pair, strict=True)) for pair in pairwise(clocks)]
    rows = [
        (what, f"{clock:.1f}", f"{processor:.1f}")
        for what, (clock, processor) in zip(("copies", "mirrored copies"), spent, strict=True)
    ]
    table = markdown(("what", "by the clock, s", "processor time, s"), rows)
    words = (
        f"Planted noisy copies found: {found} of {len(planted)}; other groups: {len(groups) - found}; most memory of "
        f"the process, with the pictures themselves: {peak:.0f} MiB."
    )
    goal = f"Grouping {options.n:,} difference hashes with thumbnails; goal: under {LIMIT_S} s together."
    publish("near_duplicates", "Near duplicates", [goal, table, words])
    if sum(processor for _, processor in spent) > LIMIT_S:
        raise SystemExit(f"slower than the limit of {LIMIT_S} s")


if __name__ == "__main__":
    main()
