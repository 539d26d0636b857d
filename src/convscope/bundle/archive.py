"""Read the members of a .keras archive under limits; whatever is odd about the container is refused."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from convscope.errors import BundleError

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
MAX_MEMBERS = 16
MAX_RATIO = 20
SLACK = 64 << 20
ENCRYPTED = 0x1
SYMLINK, KIND_MASK = 0o120000, 0o170000


def read_archive(path: Path) -> dict[str, bytes]:
    """The three members of a .keras file.

    Raises:
        BundleError: not a regular zip file, other or duplicate members, bombs, damage; names the rule.
    """
    if path.is_symlink() or not path.is_file():
        kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "none"
        raise BundleError(f"{path}: expected a .keras file, found {kind} (rule R1)")
    data = path.read_bytes()
    if data[:4] != b"PK\x03\x04" or data[-22:-18] != b"PK\x05\x06":
        kind = "an HDF5 file; open it in Keras and save it as .keras" if data[:4] == b"\x89HDF" else "something else"
        raise BundleError(f"{path}: expected a .keras file, that is a whole zip archive, found {kind} (rules R1, R6)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), len(data), path)
            return {name: _read(archive, name, path) for name in MEMBERS}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, KeyError) as error:
        raise BundleError(f"{path}: a damaged archive: {error} (rule R7); copy the file again") from error


def _check_members(members: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    names = [m.filename for m in members]
    if len(members) > MAX_MEMBERS:
        raise BundleError(f"{path}: expected 3 members, found {len(members)} (rule R5)")
    for name in names:
        if name not in MEMBERS:
            raise BundleError(f"{path}: member {name!r:.80} is none of {', '.join(MEMBERS)} (rules R2, R4)")
        if names.count(name) > 1:
            raise BundleError(f"{path}: member {name} stands twice (rule R3)")
    for name in MEMBERS:
        if name not in names:
            raise BundleError(f"{path}: expected a member {name}, found none; save the model again (rules R2, R17)")
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end or (end == 0 and member.header_offset != 0):
            raise BundleError(f"{path}: its members overlap or do not begin the file (rule R6)")
        end = member.header_offset + member.compress_size
        if member.flag_bits & ENCRYPTED or (member.external_attr >> 16) & KIND_MASK == SYMLINK:
            raise BundleError(f"{path}: member {member.filename} is encrypted or a link (rule R4)")
        if member.file_size > MAX_RATIO * max(member.compress_size, 4096):
            raise BundleError(f"{path}: member {member.filename} unpacks to {member.file_size:,} bytes (rule R5)")
    if sum(m.file_size for m in members) > 2 * size + SLACK:
        raise BundleError(f"{path}: unpacks to far more than its {size:,} bytes (rule R5)")


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    stated = archive.getinfo(name).file_size
    with archive.open(name) as member:
        data = member.read(stated + 1)
    if len(data) != stated:
        raise BundleError(f"{path}: member {name} is not of the size it states (rule R5)")
    return data
