"""Every odd and broken picture of the list: a declared range, or one line that says why not."""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, PngImagePlugin

from convscope.data.decode import decode_file, decode_picture, decode_stored
from convscope.data.regular import read_regular
from convscope.data.stored import Limits
from convscope.errors import PictureError

RNG = np.random.default_rng(3)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)
)


def encoded(values: np.ndarray | Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, height: int, color: int = 2, bits: int = 8, body: bytes | None = None) -> bytes:
    """A PNG whose header claims any size; the body stays tiny unless given."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    body = zlib.compress(b"\0" * 10) if body is None else zlib.compress(body)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, **tags: int) -> bytes:
    """A one-strip little-endian TIFF of (h, w) or (h, w, c) values; tags by name replace its own."""
    high, wide = values.shape[:2]
    count = 1 if values.ndim == 2 else values.shape[2]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    photo = 1 if count == 1 else 2
    own = (
        dict(photo=photo, bits=values.dtype.itemsize * 8, samples=count, format=kind, width=wide, height=high, turn=1)
        | tags
    )
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    extra = struct.pack(f"<{count}H", *[own["bits"]] * count)
    entries = [
        (256, 4, 1, own["width"]), (257, 4, 1, own["height"]),
        (258, 3, count, own["bits"] if count == 1 else 8 + len(data)), (259, 3, 1, 1), (262, 3, 1, own["photo"]),
        (273, 4, 1, 8), (274, 3, 1, own["turn"]), (277, 3, 1, own["samples"]), (278, 4, 1, high),
        (279, 4, 1, len(data)), (339, 3, 1, own["format"]),
    ]  # fmt: skip
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<I", 8 + len(data) + len(extra)) + data + extra + table


def refused(data: bytes, name: str = "a.png") -> str:
    with pytest.raises(PictureError) as error:
        decode_picture(data, name, 3)
    message = str(error.value)
    assert message.startswith(f"{name}: ") and "\n" not in message
    return error.value.reason


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_equal_pillow(format: str, channels: int) -> None:
    ours = decode_picture(encoded(SMOOTH, format), "k", channels)
    expected = SMOOTH if channels == 3 else np.asarray(Image.fromarray(SMOOTH).convert("L"))[:, :, None]
    np.testing.assert_array_equal(ours.values, expected)
    assert ours.values.dtype == np.uint8 and ours.source_hw == (120, 160)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 40}])
def test_jpeg_equals_pillow(options: dict[str, object]) -> None:
    data = encoded(SMOOTH, "JPEG", **options)
    theirs = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(decode_picture(data, "k", 3).values.astype(int) - theirs).max() <= 1
    opened = Image.open(io.BytesIO(data))
    opened.draft("L", opened.size)  # the luma plane as it is stored
    grey = np.asarray(opened).astype(int)
    assert np.abs(decode_picture(data, "k", 1).values[:, :, 0].astype(int) - grey).max() <= 1


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_other_formats_equal_pillow(format: str) -> None:
    data = encoded(SMOOTH, format)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_picture(data, "k", 3).values, theirs)


@pytest.mark.parametrize("floor", [(1, 1), (15, 20), (16, 20), (40, 20), (60, 80), (61, 80), (120, 160), (500, 10)])
def test_reduced_jpeg_keeps_both_sides(floor: tuple[int, int]) -> None:
    data = encoded(SMOOTH, "JPEG")
    picture = decode_picture(data, "k", 3, floor)
    high, wide = picture.values.shape[:2]
    assert high >= min(floor[0], 120) and wide >= min(floor[1], 160)
    assert picture.source_hw == (120, 160)
    assert decode_picture(data, "k", 3, floor, fast=False).values.shape == (120, 160, 3)


def test_reduced_jpeg_is_smaller_and_looks_the_same() -> None:
    data = encoded(SMOOTH, "JPEG", quality=95)
    small = decode_picture(data, "k", 3, (30, 40)).values
    assert small.shape == (30, 40, 3)
    box = SMOOTH.reshape(30, 4, 40, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - box).mean() < 2


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_equals_pillow(number: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = number
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    data = encoded(SMOOTH, format, exif=exif, **lossless)
    theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    stored = decode_stored(data, "k", channels=3)
    assert np.abs(stored.picture.values - theirs).max() <= 1
    assert stored.orientation == number and stored.picture.source_hw == theirs.shape[:2]
    if format == "JPEG" and number >= 5:
        turned = decode_picture(data, "k", 3, (80, 30))  # of 160 x 120 upright
        assert turned.values.shape[0] >= 80 and turned.values.shape[1] < 120


@pytest.mark.parametrize("number", [0, 9, 255])
def test_invalid_orientation_is_ignored_and_said(number: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = number
    picture = decode_picture(encoded(SMOOTH, "JPEG", exif=exif), "k", 3)
    assert picture.values.shape == (120, 160, 3) and any("orientation" in n for n in picture.notes)


@pytest.mark.parametrize("name", ["half", "last two bytes", "last twenty bytes"])
@pytest.mark.parametrize("floor", [None, (30, 30)])
def test_truncated_jpeg_is_refused(name: str, floor: tuple[int, int] | None) -> None:
    data = encoded(RNG.integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    cut = {"half": len(data) // 2, "last two bytes": len(data) - 2, "last twenty bytes": len(data) - 20}[name]
    with pytest.raises(PictureError, match="truncated"):
        decode_picture(data[:cut], "k", 3, floor)


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_half_a_file_is_refused(format: str) -> None:
    data = encoded(RNG.integers(0, 256, (64, 64, 3), np.uint8), format)
    refused(data[: len(data) // 2])


def test_flipped_bits_and_trailing_bytes_do_not_stop() -> None:
    data = bytearray(encoded(RNG.integers(0, 256, (64, 64, 3), np.uint8), "JPEG"))
    good = decode_picture(bytes(data) + b"x" * 1_000_000, "k", 3).values
    np.testing.assert_array_equal(good, decode_picture(bytes(data), "k", 3).values)
    data[900] ^= 0x55
    try:
        assert decode_picture(bytes(data), "k", 3).values.shape == (64, 64, 3)
    except PictureError as error:
        assert "JPEG" in error.reason or "truncated" in error.reason


def test_cmyk_jpeg_within_two_levels() -> None:
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[..., 0], inks[..., 1], inks[..., 3] = 200, 40, 30
    picture = decode_picture(encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=100), "k", 3)
    expected = [(255 - c) * (255 - 30) / 255 for c in (200, 40, 0)]
    assert np.abs(picture.values - expected).max() <= 2
    assert any("CMYK" in n for n in picture.notes)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_every_level(format: str) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    picture = decode_picture(encoded(Image.fromarray(ramp), format), "k", 1)
    assert picture.values.dtype == np.float32 and len(np.unique(picture.values)) == 65536
    np.testing.assert_allclose(picture.values[:, :, 0], ramp / 65535 * 255, atol=1e-4)


def test_white_is_zero_tiff_is_inverted() -> None:
    values = np.array([[0, 65535], [1000, 2000]], np.uint16)
    picture = decode_picture(tiff(values, photo=0), "k", 1)
    np.testing.assert_allclose(picture.values[:, :, 0], 255 - values / 65535 * 255, atol=1e-3)


@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_colour_png(alpha: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imagecodecs")
    values = RNG.integers(0, 65536, (5, 7, 4 if alpha else 3)).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in values)
    data = png(7, 5, 6 if alpha else 2, 16, body)
    stored = decode_stored(data, "k", channels=3)
    expected = values[..., :3] / 65535 * 255 * (values[..., 3:] / 65535 if alpha else 1)
    np.testing.assert_allclose(stored.picture.values, expected, atol=1e-3)
    assert stored.mode.startswith("16-bit colour")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert "convscope[images]" in refused(data)


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_16_bit_colour_tiff(turn: int) -> None:
    pytest.importorskip("imagecodecs")
    values = RNG.integers(0, 65536, (6, 5, 3)).astype(np.uint16)
    expected = {1: values, 3: values[::-1, ::-1], 6: np.rot90(values, -1)}[turn]
    picture = decode_picture(tiff(values, turn=turn), "k", 3)
    np.testing.assert_allclose(picture.values, expected / 65535 * 255, atol=1e-3)


def test_float_tiff_keeps_its_declared_range_or_is_refused() -> None:
    values = RNG.random((4, 6)).astype(np.float32)
    np.testing.assert_allclose(decode_picture(tiff(values), "k", 1).values[..., 0], values * 255, rtol=1e-5)
    bad = values.copy()
    bad[0, 0], bad[1, 2] = np.nan, np.inf
    assert "2 pixels of 24" in refused(tiff(bad))
    assert "range" in refused(tiff(values * 300))


def test_alpha_is_composited_on_black() -> None:
    clear_red = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    picture = decode_picture(encoded(clear_red, "PNG"), "k", 3)
    assert picture.values.max() == 0 and picture.notes == ("alpha composited on black",)
    half = decode_picture(encoded(Image.new("RGBA", (8, 8), (200, 100, 50, 128)), "PNG"), "k", 3)
    black = Image.alpha_composite(Image.new("RGBA", (8, 8), "black"), Image.new("RGBA", (8, 8), (200, 100, 50, 128)))
    assert np.abs(half.values.astype(int) - np.asarray(black.convert("RGB"))).max() <= 1
    opaque = decode_picture(encoded(Image.new("RGBA", (8, 8), (200, 100, 50, 255)), "PNG"), "k", 3)
    assert opaque.values[0, 0].tolist() == [200, 100, 50] and opaque.notes == ()


@pytest.mark.parametrize("mode", ["LA", "P", "1", "P with transparency", "L with transparency"])
def test_odd_modes_equal_the_rgba_path(mode: str) -> None:
    base = Image.fromarray(SMOOTH)
    options: dict[str, object] = {}
    if mode == "LA":
        image = Image.merge("LA", (base.convert("L"), base.getchannel("R")))
    elif mode.startswith("P"):
        image = base.quantize(16)
        options = {"transparency": 3} if "transparency" in mode else {}
    elif mode == "1":
        image = base.convert("1")
    else:
        image, options = base.convert("L"), {"transparency": 100}
    data = encoded(image, "PNG", **options)
    rgba = Image.open(io.BytesIO(data)).convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("RGB")
    ours = decode_picture(data, "k", 3).values
    assert np.abs(ours.astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_first_of_several_frames(format: str) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    picture = decode_picture(data, "k", 3)
    assert any("first of 3 frames" in note for note in picture.notes)
    assert picture.values[5, 5, 0] > 240 and picture.values[5, 5, 1] < 15


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "EPS"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + b"\0" * 40, "Photoshop"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"", "empty"),
        (b"x", "not a picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
    ],
)
def test_foreign_content_is_refused_by_name(head: bytes, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", never)
    assert word in refused(head)


@pytest.mark.parametrize("side", [100_000, 10_001])
def test_bomb_by_header_is_refused_before_it_is_decoded(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("its pixels were asked for")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    assert "limit 100 MP" in refused(png(side, side))


def test_no_warning_between_pillows_limit_and_ours() -> None:
    """Pillow warns above 89 MP by a process-wide number; warnings are errors here, so one would show."""
    assert "limit" not in refused(png(9800, 9800))
    small = encoded(SMOOTH, "PNG")
    with pytest.raises(PictureError, match="MiB"):
        decode_picture(small, "k", 3, limits=Limits(decoded_bytes=1000))
    with pytest.raises(PictureError, match="MP"):
        decode_picture(encoded(SMOOTH, "JPEG"), "k", 3, limits=Limits(pixels=1000))


@pytest.mark.timeout(120)
def test_text_bomb_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "A" * (80 << 20), zip=True)
    refused(encoded(SMOOTH, "PNG", pnginfo=info))


@pytest.mark.parametrize("tags", [{"samples": 65535}, {"width": 2**31}, {"bits": 4096}, {"height": 0}])
def test_absurd_tiff_headers_are_refused(tags: dict[str, int]) -> None:
    refused(tiff(np.zeros((4, 4), np.uint8), **tags))


def test_endless_tiff_directory_ends() -> None:
    data = bytearray(tiff(np.zeros((4, 4), np.uint8)))
    (place,) = struct.unpack_from("<I", data, 4)
    data[-4:] = struct.pack("<I", place)  # the next directory is this one
    assert decode_picture(bytes(data), "k", 1).values.shape == (4, 4, 1)


@pytest.mark.parametrize("shape", [(1, 1), (60000, 1), (1, 60000)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    assert decode_picture(encoded(np.full(shape, 7, np.uint8), "PNG"), "k", 3).values.shape == (*shape, 3)


def test_icc_profile_changes_nothing() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode_picture(encoded(SMOOTH, "PNG", icc_profile=profile), "k", 3).values, SMOOTH)


@pytest.mark.parametrize("name", ["a.JPG", "a.Jpeg", "a", "a.jpg.png", "a.png"])
def test_content_decides_not_the_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encoded(SMOOTH, "JPEG"))
    assert decode_file(tmp_path / name, 3).values.shape == (120, 160, 3)


def test_a_file_is_read_whole_whatever_size_it_states(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000  # more than one read
    (tmp_path / "a").write_bytes(data)
    assert read_regular(tmp_path / "a") == data
    assert read_regular(tmp_path / "a", max_bytes=len(data)) == data
    with pytest.raises(PictureError, match="more than the limit of 10"):
        read_regular(tmp_path / "a", max_bytes=10)
    (tmp_path / "empty").touch()
    assert read_regular(tmp_path / "empty") == b""
    if Path("/proc/self/cmdline").exists():  # says that it has 0 bytes
        assert b"python" in read_regular("/proc/self/cmdline")


@pytest.mark.timeout(60)
def test_odd_file_kinds_never_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "folder.jpg").mkdir()
    plug = socket.socket(socket.AF_UNIX)
    plug.bind(str(tmp_path / "s.png"))
    for path in ("pipe.png", "loop.png", "folder.jpg", "s.png", "gone.png"):
        with pytest.raises(PictureError) as error:
            decode_file(tmp_path / path, 3)
        assert "no such file" in str(error.value) if path == "gone.png" else "not a regular file" in str(error.value)
    with pytest.raises(PictureError, match="not a regular file"):
        decode_file("/dev/zero", 3)
    plug.close()


def test_error_names_are_one_line() -> None:
    with pytest.raises(PictureError) as error:
        decode_picture(b"", "evil\n\x1b[31m\u202ename.png", 3)
    assert str(error.value) == "evil\\n\\x1b[31m\\u202ename.png: empty file"
