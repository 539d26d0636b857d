"""Steps per second of `convscope.train` against bare `model.fit` on arrays in memory: what the extras cost.

Same model, back end, batch size and, where there is augmentation, the same compiled augmentation applied to arrays that
are already decoded. Two cases: EfficientNet-Lite0 at 224 from files, all layers trained; the simple CNN at 64, from the
second epoch on (the first fills the cache). The rate of an epoch is pictures / seconds as the journal has them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import convscope
from benchmarks.timing import alternate, markdown, publish_section, rows_against
from convscope.actions.dataset import divide, open_samples
from convscope.actions.network import prepare
from convscope.data.loader import Loader
from convscope.layers.augment import Augmenter
from convscope.records.progress import silent
from convscope.training.compiling import compile_model
from convscope.training.fit import fit
from convscope.training.job import TrainingJob
from convscope.training.plan import Plan

ROUNDS = 2
AUGMENT = convscope.Augmentation(flip_horizontal=True, rotate_deg=10.0, brightness=0.1)


def folder_of_photographs(root: Path, *, pictures: int, side: int) -> None:
    """Two classes of crops of a real photograph, as JPEG files."""
    from skimage import data

    rng = np.random.default_rng(0)
    sources = [data.chelsea(), data.coffee()]
    for number in range(pictures):
        source = sources[number % 2]
        top, left = (int(rng.integers(0, d - 200)) for d in source.shape[:2])
        crop = Image.fromarray(source[top : top + 200, left : left + 200]).resize((side, side))
        place = root / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        crop.save(place / f"{number:05d}.jpg", quality=90)


def cases() -> dict[str, tuple[Plan, int, int]]:
    """Name -> plan, pictures, side of the files in pixels."""
    whole = {"val_share": 0.02, "test_share": 0.0, "patience": 0, "keep_best": False, "augment": AUGMENT}
    lite = Plan(model="efficientnet-lite0", weights="none", epochs=2, batch_size=16, **whole)
    small = Plan(model="simple-cnn", image_size=64, epochs=4, batch_size=32, **whole)
    return {"EfficientNet-Lite0 at 224": (lite, 96, 256), "simple CNN at 64": (small, 1200, 64)}


def convscope_rate(plan: Plan, data: Path, run: Path) -> float:
    """Pictures per second of the last epoch of `convscope`'s training, checkpoints and journal included."""
    samples = open_samples(data, plan)
    parts = divide(samples, plan, progress=silent)
    prepared = prepare(plan, samples)
    job = TrainingJob(parts.train, parts.val, prepared.preprocess, plan)
    history = fit(prepared.trained, job, folder=run)
    return statistics.median(len(parts.train) / s for s in history.column("seconds")[1:] if s)


def bare_rate(plan: Plan, data: Path) -> float:
    """Pictures per second of `model.fit` on float arrays in memory, augmented by the same compiled step."""
    import keras

    from convscope.tasks.outputs import read_head

    samples = open_samples(data, plan)
    parts = divide(samples, plan, progress=silent)
    prepared = prepare(plan, samples)
    loader = Loader(parts.train, prepared.preprocess, batch_size=plan.batch_size, shuffle=True, augmentation=AUGMENT)
    batches = list(loader.batches(0))
    frame = (prepared.preprocess.height or 0, prepared.preprocess.width or 0)
    augment = Augmenter(AUGMENT, frame_hw=frame, channels=3).compiled()
    head = read_head(prepared.model, samples.task, samples.classes, "categorical_crossentropy")
    compile_model(prepared.model, head, plan, plan.learning_rate)
    one_hot = np.eye(2, dtype=np.float32)

    class InMemory(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            batch = batches[index]
            return np.asarray(augment(batch.images, batch.draws, None)), one_hot[batch.truth]

    times: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            times.append(time.perf_counter())

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            times[-1] = time.perf_counter() - times[-1]

    held_back = next(iter(Loader(parts.val, prepared.preprocess, batch_size=plan.batch_size).batches(0)))
    val = (held_back.images.astype(np.float32), one_hot[held_back.truth])
    prepared.model.fit(
        InMemory(), epochs=plan.epochs, verbose=0, shuffle=False, callbacks=[Clock()], validation_data=val
    )
    return statistics.median(len(parts.train) / s for s in times[1:])


def main(wanted: list[str]) -> None:
    """A few rounds of each case, in turn; only those named on the command line, if any, to cut a long run in two."""
    unknown = set(wanted) - set(cases())
    if unknown:
        raise SystemExit(f"no such case: {', '.join(unknown)}; there are: {', '.join(cases())}")
    with tempfile.TemporaryDirectory() as temporary:
        for name in wanted or cases():
            plan, pictures, side = cases()[name]
            data = Path(temporary) / name.replace(" ", "-")
            folder_of_photographs(data, pictures=pictures, side=side)
            runs = iter(range(1000))
            contenders = {
                "bare model.fit, arrays in memory": lambda plan=plan, data=data: bare_rate(plan, data),
                "convscope, from files": lambda plan=plan, data=data, runs=runs: convscope_rate(
                    plan, data, Path(temporary) / f"{data.name}-run-{next(runs)}"
                ),
            }
            header, rows = rows_against(
                alternate(contenders, rounds=ROUNDS), "bare model.fit, arrays in memory", unit="pictures/s"
            )
            text = f"{markdown(header, rows)}\n\nGoal: at least 0.97 of bare `model.fit`. {ROUNDS} rounds in turn."
            publish_section("training", "Training speed", name, text)


if __name__ == "__main__":
    main(sys.argv[1:])
