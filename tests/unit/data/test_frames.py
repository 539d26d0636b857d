"""Frames of folders and videos, in order, with their times; what is no video is one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.frames import Pace, is_video, read_frames
from convscope.errors import DataError, DataNotFoundError, PictureError


def video(path: Path, n: int = 12) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(n):
            values = np.full((48, 64, 3), 20 * i, np.uint8)
            values[:, 32:] = 255 - 20 * i
            for packet in stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_video_gives_every_third_frame_with_its_time(tmp_path: Path) -> None:
    frames = list(read_frames(video(tmp_path / "a.mp4"), every=3))
    assert [f.name for f in frames] == [f"a.mp4#{i:06d}" for i in (0, 3, 6, 9)]
    assert [f.time_s for f in frames] == pytest.approx([0, 0.3, 0.6, 0.9])
    for i, frame in zip((0, 3, 6, 9), frames):
        assert frame.picture.shape == (48, 64, 3) and frame.picture.dtype == np.uint8
        assert abs(frame.picture[:, :24].mean() - 20 * i) < 8 and abs(frame.picture[:, 40:].mean() - (255 - 20 * i)) < 8
    grey = next(read_frames(tmp_path / "a.mp4", channels=1))
    assert grey.picture.shape == (48, 64, 1)
    assert len(list(read_frames(tmp_path / "a.mp4", most=2))) == 2


def test_a_camera_is_read_like_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No camera here: its driver's place is taken by a file, all else is what a camera goes through."""
    av, asked = pytest.importorskip("av"), []
    device, opened = video(tmp_path / "device"), av.open

    def driver(address: str, **how: str) -> object:
        asked.append((address, how))
        return opened(address)

    monkeypatch.setattr(av, "open", driver)
    frames = list(read_frames(f"camera:{device}", every=2, most=3))
    assert asked == [(str(device), {"format": "v4l2"})] and [f.time_s for f in frames] == pytest.approx([0, 0.2, 0.4])
    assert [f.name.rpartition("#")[2] for f in frames] == ["000000", "000002", "000004"]


def test_folder_gives_pictures_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 9, 1):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / f"f{i}.png")
    frames = list(read_frames(tmp_path))
    assert [f.name for f in frames] == ["f1.png", "f9.png", "f10.png"] and frames[0].time_s is None
    assert [int(f.picture.mean()) for f in frames] == [1, 9, 10]


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"no video" * 50)
    with pytest.raises(PictureError, match="not a video"):
        list(read_frames(tmp_path / "a.mp4"))
    listing = tmp_path / "list.mp4"
    listing.write_text("ffconcat version 1.0\nfile /etc/hostname\n")
    with pytest.raises(PictureError):
        list(read_frames(listing))
    with pytest.raises(DataNotFoundError):
        read_frames(tmp_path / "gone.mp4")
    with pytest.raises(DataNotFoundError, match="camera"):
        list(read_frames("camera:77"))
    with pytest.raises(DataError):
        read_frames(tmp_path, every=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected pictures"):
        list(read_frames(tmp_path / "empty"))


def test_absent_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"convscope\[video\]"):
        list(read_frames(tmp_path / "a.mp4"))


def test_pace_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 11.0, 11.5])
    monkeypatch.setattr("convscope.data.frames.time.perf_counter", lambda: next(clock))
    pace = Pace()
    assert pace.per_second is None
    for _ in range(4):
        pace.tick()
    assert pace.per_second == pytest.approx(2.0)
    assert is_video("a.MP4") and not is_video("a.png")
