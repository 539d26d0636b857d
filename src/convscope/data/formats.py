"""Which picture format a file has, told from its first bytes and never from its name."""

from __future__ import annotations

from pathlib import PurePosixPath

# The allow-list. Everything else is refused by name, so that no converter (Ghostscript for EPS) is ever started.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
PICTURE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
SNIFF_BYTES = 64

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "EPS/PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS/PostScript"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop PSD"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"PK\x03\x04", "zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"version https://git-lfs", "Git LFS pointer (run `git lfs pull`)"),
    (b"\x93NUMPY", "NumPy array"),
    (b"\x89HDF", "HDF5"),
    (b"GIF8", "damaged GIF"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"<!doctype", "HTML"),
    (b"<html", "HTML"),
)


def sniff(data: bytes) -> str:
    """The allowed format whose signature `data` begins with: a key of `SUFFIXES`, or "" for anything else.

    Example:
        >>> sniff(b"GIF89a...")
        'GIF'
    """
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:2] == b"BM":
        return "BMP"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    return ""


def why_not_a_picture(data: bytes) -> str:
    """The reason to give for bytes that `sniff` does not know."""
    allowed = "expected " + ", ".join(SUFFIXES)
    if not data:
        return "empty file"
    head = data[:SNIFF_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, name in _FOREIGN:
        if data.startswith(signature) or head.startswith(signature.lower()):
            return f"{name}, {allowed}"
    if data[4:8] == b"ftyp":
        return f"HEIF/AVIF or video, {allowed}"
    if data[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"):
        return f"PPM/PGM, {allowed}"
    if data[128:132] == b"DICM":
        return f"DICOM, {allowed}"
    return f"not a picture format that is known here, {allowed}"


def has_picture_suffix(name: str) -> bool:
    """Whether the name ends like a picture of an allowed format, whatever its case."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def suffix_fits(name: str, kind: str) -> bool:
    """Whether the name's ending promises the format `kind` that the content has."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES[kind]
