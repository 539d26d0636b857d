"""`convscope predict RUN video.mp4`: what a network says of the frames of a video, a camera or a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.opening import open_any
from convscope.actions.predict import known_card
from convscope.actions.steps import steps_for
from convscope.data.arrays import ArraySource
from convscope.data.frames import Frame, is_video, read_frames
from convscope.errors import DataError
from convscope.records.card import Opened
from convscope.records.progress import Progress, silent
from convscope.records.samples import Samples

AT_ONCE = 8  # frames in one batch; a camera waits for so many


@dataclass(frozen=True, eq=False)
class FramesSaid:
    """What was said of a sequence.

    Attributes:
        rows: as of pictures, with the frame's "time_s" (empty for a folder).
        frames: how many.
        per_second: frames per second over decoding, network and writing, after the first batch; None for one batch.
        files: what was written, for people to open first.
    """

    rows: list[dict[str, Any]]
    frames: int
    per_second: float | None
    files: tuple[Path, ...]


def is_sequence(files: Sequence[str | Path]) -> bool:
    """Whether this is one video file or camera, not pictures."""
    return len(files) == 1 and (str(files[0]).startswith("camera:") or is_video(files[0]))


def say_of_frames(
    model: str | Path | Opened,
    source: str | Path,
    *,
    out: Path | None = None,
    every: int = 1,
    most: int | None = None,
    progress: Progress = silent,
) -> FramesSaid:
    """Say what a network sees in each frame; only a batch of frames is held at a time.

    Args:
        model: a run, a bundle, or an opened model.
        source: a video file, "camera:0", or a folder of pictures in their natural order.
        out: each batch is written to a folder of its own below it; None writes nothing.
        every: take each so-many-th frame.
        most: stop after so many frames; a camera goes on until then.
        progress: told how many frames are done; of how many, where `most` says it.

    Raises:
        DataNotFoundError, DataError, MissingExtraError: what can't be read. DataError: no frame at all.
    """
    opened = model if isinstance(model, Opened) else open_any(model)
    card = known_card(opened)
    steps = steps_for(card.task)
    rows: list[dict[str, Any]] = []
    files: list[Path] = []
    done, begun, first = 0, 0.0, 0
    for number, frames in enumerate(_batches(read_frames(source, every=every, most=most)), start=1):
        samples = Samples(
            ArraySource([f.picture for f in frames], tuple(f.name for f in frames)), None, card.task, card.classes
        )
        said = steps.say(opened, samples, native_size=False, progress=silent)
        times = {f.name: f.time_s for f in frames}
        for row in steps.rows(said):
            seconds = times[row["picture"]]
            rows.append({**row, "time_s": "" if seconds is None else round(seconds, 3)})
        if out is not None:
            files += [p for p in steps.write(out / f"{number:04d}", said, samples) if p.is_dir()]
        done += len(frames)
        if number == 1:
            begun, first = time.perf_counter(), done  # the first batch compiles
        progress("frames", done, max(done, most or 0))
    if not done:
        raise DataError(f"{source}: expected at least one frame, found none")
    spent = time.perf_counter() - begun
    return FramesSaid(rows, done, (done - first) / spent if done > first and spent > 0 else None, tuple(files))


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    held: list[Frame] = []
    for frame in frames:
        held.append(Frame(frame.name, np.asarray(frame.picture), frame.time_s))
        if len(held) == AT_ONCE:
            yield held
            held = []
    if held:
        yield held
