"""Frames one after the other: a video file, a folder of pictures, or a camera; and how fast they were worked through.

Video files and cameras are decoded by PyAV (`pip install 'convscope[video]'`); folders need nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.data.decode import decode_file
from convscope.data.naming import shown
from convscope.data.walking import walk
from convscope.errors import DataError, DataNotFoundError, MissingExtraError, PictureError

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ogv")
MAX_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a sequence.

    Attributes:
        name: "video.mp4#000012", or the file's name.
        picture: (h, w, channels) uint8 or float32 in 0..255, upright.
        time_s: seconds since the first frame as the source says; None for a folder, which does not say.
    """

    name: str
    picture: np.ndarray
    time_s: float | None


def is_video(path: str | Path) -> bool:
    """Whether the name ends like a video file."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def read_frames(source: str | Path, *, channels: int = 3, every: int = 1, most: int | None = None) -> Iterator[Frame]:
    """Frames of a folder, a video file or a camera, one at a time.

    Args:
        source: a folder of pictures (natural order), a video file, or "camera:NAME" ("camera:0" is /dev/video0).
        channels: 3 for RGB, 1 for grey.
        every: take each so-many-th frame.
        most: stop after so many; None goes on to the end (a camera has none).

    Raises:
        DataNotFoundError: nothing there.
        DataError: not a video, or numbers that make no sense.
        MissingExtraError: PyAV is absent.
    """
    if every < 1 or (most is not None and most < 1) or channels not in (1, 3):
        raise DataError(f"expected every and most of at least 1 and 1 or 3 channels, got {every}, {most}, {channels}")
    words = str(source)
    if words.startswith("camera:"):
        return _counted(_camera(words.removeprefix("camera:"), channels), every, most)
    path = Path(source)
    if path.is_dir():
        return _counted(_folder(path, channels), every, most)
    if not path.exists():
        raise DataNotFoundError(f"{shown(words)}: expected a video file or a folder of pictures, found nothing there")
    return _counted(_video(path, channels), every, most)


def _counted(frames: Iterator[Frame], every: int, most: int | None) -> Iterator[Frame]:
    taken = 0
    for number, frame in enumerate(frames):
        if number % every == 0:
            yield frame
            taken += 1
            if taken == most:
                return


def _folder(path: Path, channels: int) -> Iterator[Frame]:
    keys = walk(path).keys
    if not keys:
        raise DataError(f"{shown(str(path))}: expected pictures, found none")
    for key in keys:
        yield Frame(key, decode_file(path / key, channels, key=key).values, None)


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            "expected the package av to read videos, found none; pip install 'convscope[video]'"
        ) from error
    return av


def _video(path: Path, channels: int) -> Iterator[Frame]:
    if not path.is_file():
        raise DataError(f"{shown(str(path))}: expected an ordinary video file")
    # file: keeps FFmpeg from taking a name for an address or a playlist of other files
    options = {"protocol_whitelist": "file"}
    yield from _decoded("file:" + str(path), path.name, channels, {"options": options})


def _camera(name: str, channels: int) -> Iterator[Frame]:
    device = f"/dev/video{name}" if name.isdecimal() else name
    if not Path(device).exists():
        raise DataNotFoundError(f"camera {shown(name)}: expected a camera at {shown(device)}, found none")
    yield from _decoded(device, f"camera{name}", channels, {"format": "v4l2"})


def _decoded(address: str, name: str, channels: int, how: dict[str, Any]) -> Iterator[Frame]:
    av = _av()
    try:
        with av.open(address, **how) as container:
            if not container.streams.video:
                raise DataError(f"{shown(name)}: expected a video, found no moving picture in it")
            stream = container.streams.video[0]
            context = stream.codec_context
            if context.width * context.height > MAX_PIXELS:
                raise DataError(
                    f"{shown(name)}: expected at most {MAX_PIXELS:,} pixels a frame, "
                    f"got {context.width} x {context.height}"
                )
            stream.thread_type = "AUTO"
            first: float | None = None
            for number, frame in enumerate(container.decode(stream)):
                at = None if frame.time is None else float(frame.time)
                first = at if first is None else first
                values = _upright(frame.to_ndarray(format="rgb24" if channels == 3 else "gray"), frame)
                values = values if values.ndim == 3 else values[:, :, None]
                yield Frame(f"{name}#{number:06d}", values, None if at is None or first is None else at - first)
    except av.FFmpegError as error:
        raise PictureError(shown(name), f"not a video that can be read ({error})") from error


def _upright(values: np.ndarray, frame: Any) -> np.ndarray:
    """Turned as the video says it is to be shown; telephones store upright films lying down."""
    quarter_turns = round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(values, quarter_turns)) if quarter_turns else values


class Pace:
    """Frames per second of what is done between one `tick` and the next, all together since the first one."""

    def __init__(self) -> None:
        """The clock starts with the first tick."""
        self._first: float | None = None
        self._last = 0.0
        self.frames = 0

    def tick(self) -> None:
        """One more frame is done."""
        self._last = time.perf_counter()
        if self._first is None:
            self._first = self._last
        else:
            self.frames += 1

    @property
    def per_second(self) -> float | None:
        """Measured frames per second; None before the second tick."""
        if self._first is None or self.frames == 0 or self._last <= self._first:
            return None
        return self.frames / (self._last - self._first)
