"""manifest.json: the SHA-256 and size of every file of a folder, written last, checked first."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from convscope.errors import BundleError
from convscope.files.atomic import write_json

MANIFEST = "manifest.json"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path, kind: str) -> None:
    """List every file of `folder` with its size and SHA-256; `kind` says what the folder is."""
    files = {
        p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256_file(p)}
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != MANIFEST
    }
    write_json(folder / MANIFEST, {"kind": kind, "format": 1, "files": files})


def check_manifest(folder: Path, kind: str) -> None:
    """Compare every file of `folder` with its manifest.

    Raises:
        BundleError: naming the first file that is missing, of another size or of another hash.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        found_kind = manifest["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{folder}: expected a {kind} with a manifest.json, found none that can be read") from error
    if found_kind != kind:
        raise BundleError(f"{folder}: expected a {kind}, found a {found_kind}")
    for name, facts in files.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BundleError(f"{folder}: its manifest names a file outside it: {name!r}")
        if not path.is_file() or path.is_symlink():
            raise BundleError(f"{path}: expected by the manifest, not there; copy the folder again")
        if path.stat().st_size != facts["bytes"] or sha256_file(path) != facts["sha256"]:
            raise BundleError(f"{path}: its SHA-256 differs from the manifest; the file is damaged, copy it again")
