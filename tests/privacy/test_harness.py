"""The search itself: whatever hides a word, it is found."""

import base64
import gzip
import io
import json
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from privacy.harness import search_bytes, search_outputs

WORD = "ZQsecretKW"


def _zip(data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.bin", data)
    return stream.getvalue()


def _png(**text):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text["plain"], zip=text["packed"])
    stream = io.BytesIO()
    Image.new("L", (3, 3)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def _zstd(data):
    from numcodecs import Zstd

    return bytes(Zstd().encode(data))


WAYS = {
    "plain": lambda: b"x" + WORD.encode() + b"y",
    "lower case": lambda: WORD.lower().encode(),
    "utf-16": lambda: WORD.encode("utf-16"),
    "zip": lambda: _zip(WORD.encode() * 3),
    "zip in zip": lambda: _zip(_zip(WORD.encode() * 3)),
    "gzip": lambda: gzip.compress(WORD.encode() * 9),
    "zlib": lambda: zlib.compress(WORD.encode() * 9),
    "zstd": lambda: _zstd(WORD.encode() * 9),
    "png text": lambda: _png(plain=WORD, packed=False),
    "png packed text": lambda: _png(plain=WORD * 50, packed=True),
    "png in a page": lambda: b"<img src='data:;base64," + base64.b64encode(_png(plain=WORD * 9, packed=True)) + b"'>",
    "base64": lambda: b'{"a": "' + base64.b64encode(b"abc" + WORD.encode() * 2) + b'"}',
    "url-safe base64": lambda: base64.urlsafe_b64encode(b"\xff\xfe\xfb" + WORD.encode() * 2),
    "url": lambda: "".join(f"%{b:02x}" for b in WORD.encode()).encode(),
    "html": lambda: "".join(f"&#{ord(c)};" for c in WORD).encode(),
    "json": lambda: ('"' + "".join(f"\\u{ord(c):04x}" for c in WORD) + '"').encode(),
    "npz": lambda: _npz(np.array([WORD])),
}  # fmt: skip


def _npz(array):
    stream = io.BytesIO()
    np.savez_compressed(stream, names=array)
    return stream.getvalue()


@pytest.mark.parametrize("way", WAYS)
def test_found(way):
    assert [h.marker for h in search_bytes(WAYS[way](), [WORD, "another"])] == [WORD]


def test_safetensors_and_zarr_and_names(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors", {"note": WORD})
    import zarr

    array = zarr.create_array(str(tmp_path / "s.zarr"), shape=(64,), chunks=(64,), dtype="u1")
    array[:] = np.frombuffer((WORD * 9).encode()[:64], np.uint8)
    (tmp_path / f"x-{WORD}").mkdir()
    files = {h.file for h in search_outputs(tmp_path, [WORD])}
    assert "a.safetensors" in files and f"x-{WORD}" in files
    assert any(f.startswith("s.zarr/") for f in files)


def test_nothing_where_nothing_is(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a": list(range(1000))}))
    (tmp_path / "b.png").write_bytes(_png(plain="harmless" * 50, packed=True))
    assert search_outputs(tmp_path, [WORD]) == []
