"""How fast do pictures come from files? convscope's loader beside tf.data and PyTorch's DataLoader.

    python benchmarks/loader.py [--pictures 2000] [--rounds 3]

Every round runs all of them, one after the other, in one process, on the same folder of generated 640x480 JPEGs (crops
of real photographs, quality 90), stretched to 224x224. Medians over the rounds, of pictures per second and of processor
time per picture: on a machine that others use at the same time only the second means something. The table goes to
benchmarks/results/loader.md too.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

FRAME, BATCH = 224, 32
RESULT = Path(__file__).with_name("results") / "loader.md"
FIRST, MEMORY, DISK = "convscope, first pass", "convscope, later pass (memory)", "convscope, later pass (disk)"
TF, TORCH = "tf.data (image_dataset_from_directory)", "PyTorch DataLoader (Pillow, 2 workers)"
# what: (measured, against, at least so many times as fast)
GOALS = ((FIRST, TF, 0.9), (FIRST, TORCH, 1.2), (MEMORY, TF, 3.0), (DISK, TF, 3.0))


def photographs() -> list[np.ndarray]:
    """Real photographs of scikit-image and scikit-learn, at least 800x600."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    found = [getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")]
    whole = []
    for values in [*found, *load_sample_images().images]:
        image = Image.fromarray(values)
        factor = max(800 / image.width, 600 / image.height, 1)
        size = (round(image.width * factor), round(image.height * factor))
        whole.append(np.asarray(image.resize(size, Image.Resampling.BICUBIC)))
    return whole


def make_folder(folder: Path, pictures: int) -> list[str]:
    """Write `pictures` JPEGs in two class folders; return their keys."""
    rng, photos, keys = np.random.default_rng(0), photographs(), []
    for i in range(pictures):
        photo = photos[i % len(photos)]
        top, left = rng.integers(0, photo.shape[0] - 479), rng.integers(0, photo.shape[1] - 639)
        key = f"{'ab'[i % 2]}/{i:05d}.jpg"
        (folder / key).parent.mkdir(exist_ok=True)
        Image.fromarray(photo[top : top + 480, left : left + 640]).save(folder / key, quality=90)
        keys.append(key)
    return keys


@dataclass(frozen=True)
class Speed:
    """Pictures per second, and milliseconds of processor time per picture: all threads, and worker processes."""

    per_s: float
    cpu_ms: float


def spent_s() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def speed(batches: Callable[[], Iterable]) -> Speed:
    began, spent = time.perf_counter(), spent_s()
    count = sum(len(batch) for batch in batches())
    return Speed(count / (time.perf_counter() - began), 1000 * (spent_s() - spent) / count)


def convscope_passes(folder: Path, keys: list[str], cache: Path) -> dict[str, Callable[[], Iterable]]:
    from convscope.data.budget import NO_CACHE, CacheBudget
    from convscope.data.files_source import FilesSource
    from convscope.data.loader import Loader
    from convscope.records.geometry import Preprocess
    from convscope.records.samples import Samples

    truth = np.arange(len(keys)) % 2
    samples = Samples(FilesSource(folder, tuple(keys)), truth, "classify", ("a", "b"), root=folder)

    def loader(budget: CacheBudget) -> Loader:
        frame = Preprocess(FRAME, FRAME, fit="stretch")
        return Loader(samples, frame, batch_size=BATCH, shuffle=True, cache=budget)

    memory = loader(CacheBudget(memory_bytes=2 << 30))
    disk = loader(CacheBudget(memory_bytes=0, disk_bytes=8 << 30, folder=cache))
    for warm in (memory, disk):
        for _ in warm.batches(0):
            pass
    return {
        FIRST: lambda: (b.images for b in loader(NO_CACHE).batches(0)),
        MEMORY: lambda: (b.images for b in memory.batches(1)),
        DISK: lambda: (b.images for b in disk.batches(1)),
    }


def tf_pass(folder: Path) -> Callable[[], Iterable]:
    import keras
    import tensorflow as tf

    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(FRAME, FRAME), batch_size=BATCH, shuffle=False, verbose=False
    ).prefetch(tf.data.AUTOTUNE)
    return lambda: (images for images, _ in data)


class Pictures:
    """What one writes for PyTorch by hand."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        image = Image.open(self.paths[index]).convert("RGB").resize((FRAME, FRAME), Image.Resampling.BILINEAR)
        return np.array(image), index % 2


def torch_pass(folder: Path, keys: list[str]) -> Callable[[], Iterable]:
    from torch.utils.data import DataLoader

    data = DataLoader(Pictures([folder / k for k in keys]), batch_size=BATCH, num_workers=2)

    def batches() -> Iterable:
        Image.core.set_blocks_max(0)  # as Pillow comes; convscope's loader, in the same process, has it keep memory
        return (images for images, _ in data)

    return batches


def reduced_difference(folder: Path, keys: list[str]) -> float:
    """Mean difference, of 255, between reduced-size and full decoding of 200 pictures."""
    from convscope.data.files_source import FilesSource
    from convscope.data.fit import fit_picture
    from convscope.records.geometry import Preprocess

    source, frame = FilesSource(folder, tuple(keys)), Preprocess(FRAME, FRAME, fit="stretch")
    differences = []
    for i in range(min(200, len(keys))):
        fast, full = (fit_picture(source.read(i, 3, hw), frame)[0].astype(int) for hw in ((FRAME, FRAME), None))
        differences.append(np.abs(fast - full).mean())
    return float(np.mean(differences))


def measure(folder: Path, keys: list[str], cache: Path, rounds: int) -> dict[str, Speed]:
    # PyTorch first: its workers are forked, which must not happen after TensorFlow has started threads
    torch = torch_pass(folder, keys)
    for _ in torch():
        pass
    passes = {TORCH: torch, TF: tf_pass(folder)} | convscope_passes(folder, keys, cache)
    for _ in passes[TF]():  # traced and tuned before it counts
        pass
    speeds: dict[str, list[Speed]] = {name: [] for name in passes}
    for number in range(rounds):
        for name in sorted(passes, reverse=bool(number % 2)):
            speeds[name].append(speed(passes[name]))
    return {name: _medians(values) for name, values in speeds.items()}


def _medians(speeds: list[Speed]) -> Speed:
    return Speed(statistics.median(s.per_s for s in speeds), statistics.median(s.cpu_ms for s in speeds))


def table(medians: dict[str, Speed], difference: float, pictures: int, rounds: int) -> str:
    lines = [
        "# Loader: pictures per second from files",
        "",
        f"{pictures} JPEGs of 640x480 (crops of real photographs, quality 90) to {FRAME}x{FRAME}, batches of {BATCH}, "
        f"median of {rounds} rounds in one process. {platform.platform()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}.",
        "",
        "| what | pictures/s | processor time per picture, ms |",
        "|---|---|---|",
        *(f"| {name} | {value.per_s:,.0f} | {value.cpu_ms:.2f} |" for name, value in medians.items()),
        "",
        "| ratio | by the clock | by processor time | goal by the clock | met |",
        "|---|---|---|---|---|",
    ]
    for what, against, goal in GOALS:
        ratio = medians[what].per_s / medians[against].per_s
        by_cpu = medians[against].cpu_ms / max(medians[what].cpu_ms, 1e-3)
        met = "yes" if ratio >= goal else "NO"
        lines.append(f"| {what} / {against} | {ratio:.2f} | {by_cpu:.2f} | at least {goal:g} | {met} |")
    lines += [
        "",
        f"Reduced-size decoding differs from full decoding by {difference:.2f} of 255 on average "
        f"(goal: at most 1; met: {'yes' if difference <= 1 else 'NO'}); `reduced_decoding = false` in a plan, or "
        "`fast_decode=False`, switches it off.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*fork.*")  # torch's own workers
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        folder.mkdir()
        keys = make_folder(folder, asked.pictures)
        medians = measure(folder, keys, Path(place) / "cache", asked.rounds)
        text = table(medians, reduced_difference(folder, keys), asked.pictures, asked.rounds)
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text)


if __name__ == "__main__":
    main()
