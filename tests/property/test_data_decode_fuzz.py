"""Mutated picture files: decoded to the declared range or refused with a PictureError, nothing else."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from convscope.data.decode import decode_picture
from convscope.data.stored import Limits
from convscope.errors import PictureError

SMALL = Limits(pixels=2_000_000, decoded_bytes=16 << 20)


def seeds(format: str) -> list[bytes]:
    values = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    images = [Image.fromarray(values[..., :3]), Image.fromarray(values[..., 0])]
    if format in ("PNG", "TIFF", "WEBP"):
        images.append(Image.fromarray(values))
    if format in ("PNG", "TIFF"):
        images.append(Image.fromarray(values[..., 0].astype(np.uint16) * 257))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, format, **({"exif": exif} if format in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
        out.append(buffer.getvalue())
    return out


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks' checksums fit their content again, so that mutations get past them."""
    out, place = bytearray(data), 8
    while place + 12 <= len(out):
        length = int.from_bytes(out[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(out)


# A mutated EXIF or TIFF tag may make Pillow warn before it refuses; the refusal is what counts.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_only_picture_errors_escape(format: str) -> None:
    rng = np.random.default_rng(11)
    outcomes = {"decoded": 0, "refused": 0}
    for seed in seeds(format):
        for _ in range(150):
            data = bytearray(seed)
            for _ in range(int(rng.integers(1, 5))):
                place = int(rng.integers(0, min(len(data), 400) if rng.random() < 0.7 else len(data)))
                data[place] = int(rng.choice([0, 255, 127, 128, rng.integers(0, 256)]))
            if rng.random() < 0.2:
                data = data[: int(rng.integers(1, len(data)))]
            if format == "PNG":
                data = with_right_checksums(bytes(data))
            try:
                picture = decode_picture(bytes(data), "k", int(rng.choice([1, 3])), (8, 8), limits=SMALL)
            except PictureError as error:
                assert "\n" not in str(error)
                outcomes["refused"] += 1
                continue
            outcomes["decoded"] += 1
            assert picture.values.dtype in (np.uint8, np.float32)
            assert picture.values.min() >= 0 and picture.values.max() <= 255.01
    assert min(outcomes.values()) >= 5, outcomes
