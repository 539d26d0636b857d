"""Search every byte of a folder of outputs for planted words, after unpacking whatever could hide them.

`search_outputs(folder, markers)` is meant for any folder: a run, a report, a store. Unpacked before the search, one
inside the other: zip members (.npz, .keras, .cvs), gzip, zlib and zstd streams (Zarr chunks, NIfTI), PNG chunks with
their compressed text, base64 and data URIs, URL escapes, JSON and HTML escapes, UTF-16. Names of files and folders are
searched as well. HDF5 stores its names and short strings as they are, safetensors its header too.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import html
import io
import re
import struct
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_DEPTH = 6
MOST_BYTES = 1 << 28
_BASE64 = re.compile(rb"[A-Za-z0-9+/_\-]{16,}={0,2}")
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Hit:
    """A marker found: in which file, and through which wrappings."""

    file: str
    marker: str
    way: str


def search_outputs(folder: Path, markers: Iterable[str]) -> list[Hit]:
    """All markers found in the names and contents below a folder."""
    words = list(markers)
    hits = []
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        hits += [Hit(name, m, "file name") for m in found_in(name.encode("utf-8", "surrogateescape"), words)]
        if path.is_file() and not path.is_symlink():
            hits += search_bytes(path.read_bytes(), words, file=name)
    return hits


def search_bytes(data: bytes, markers: Iterable[str], *, file: str = "") -> list[Hit]:
    """All markers found in some bytes, unpacked as far as they can be."""
    words = list(markers)
    hits = {}
    for way, piece in unpacked(data):
        for marker in found_in(piece, words):
            hits.setdefault(marker, Hit(file, marker, way or "plain"))
    return list(hits.values())


def found_in(data: bytes, markers: list[str]) -> list[str]:
    """Markers in some bytes, as UTF-8, UTF-16 and UTF-32, whatever their case."""
    plain = data.lower()
    thin = plain.replace(b"\0", b"")  # UTF-16 and UTF-32 of ASCII are this with zeros between
    return [m for m in markers if (low := m.lower().encode()) in plain or low in thin]


def unpacked(data: bytes, way: str = "", depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The bytes themselves, then whatever they hold packed."""
    yield way, data
    if depth >= MOST_DEPTH or not data:
        return
    for name, piece in _layers(data):
        if piece and piece != data:
            yield from unpacked(piece, f"{way}/{name}", depth + 1)


def _layers(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield from _zip(data)
    yield from _streams(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        yield from _png(data)
    yield from _text(data)


def _zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    if b"PK\x03\x04" not in data[:4096] and b"PK\x05\x06" not in data[-65600:]:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield "zip comment", archive.comment
            for info in archive.infolist():
                yield f"zip:{info.filename}:extra", info.extra + info.comment + info.filename.encode()
                yield f"zip:{info.filename}", archive.read(info)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError, ValueError):
        return


def _streams(data: bytes) -> Iterator[tuple[str, bytes]]:
    if data[:2] == b"\x1f\x8b":
        with contextlib.suppress(OSError, EOFError, zlib.error), gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            yield "gzip", file.read(MOST_BYTES)
    if data[:2] in _ZLIB:
        with contextlib.suppress(zlib.error):
            yield "zlib", zlib.decompressobj().decompress(data, MOST_BYTES)
    for match in re.finditer(re.escape(_ZSTD), data):
        yield from _zstd(data[match.start() :])


def _zstd(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        from numcodecs import Zstd

        yield "zstd", bytes(Zstd().decode(data))
    except (ImportError, RuntimeError, ValueError):
        return


def _png(data: bytes) -> Iterator[tuple[str, bytes]]:
    place, pixels = 8, b""
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IDAT":
            pixels += body
            continue
        yield f"png:{kind.decode('latin-1')}", body
        for start in range(len(body)):
            if body[start : start + 2] in _ZLIB:
                try:
                    yield (
                        f"png:{kind.decode('latin-1')}:text",
                        zlib.decompressobj().decompress(body[start:], MOST_BYTES),
                    )
                except zlib.error:
                    continue
    try:
        yield "png:pixels", zlib.decompressobj().decompress(pixels, MOST_BYTES)
    except zlib.error:
        return
    if place < len(data):
        yield "png:after its end", data[place:]


def _text(data: bytes) -> Iterator[tuple[str, bytes]]:
    for match in _BASE64.finditer(data):
        run = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        run = run[: len(run) - (len(run) % 4 == 1)]
        try:
            yield "base64", base64.b64decode(run + b"=" * (-len(run) % 4))
        except (binascii.Error, ValueError):
            continue
    head = data[:4096]
    if b"\0" in head:
        return
    if b"%" in data:
        yield "url", urllib.parse.unquote_to_bytes(data)
    text = data.decode("utf-8", "replace")
    if "&" in text:
        yield "html", html.unescape(text).encode("utf-8", "replace")
    if "\\u" in text or "\\x" in text:
        yield (
            "escapes",
            re.sub(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1] or m[2], 16)), text).encode(
                "utf-8", "replace"
            ),
        )
