"""Names under which medical files are shown: keyed hashes, so that no path, patient or study number leaves the machine.

Whoever has the key can find the file that belongs to a name; nobody else can, and nobody can tell by trying names. The
key lies in one file that only its owner may read, outside every run folder.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from convscope.data.naming import shown
from convscope.errors import DataError, StorageError

KEY_VARIABLE = "CONVSCOPE_KEY_FILE"
_KEY_BYTES = 32
_SHOWN_DIGITS = 16  # 64 bits: two of a million names meet with a chance of 1 in 37 million


@dataclass(frozen=True)
class StudyNames:
    """Turns what must stay unseen into names; the key itself is never shown, pickled or written elsewhere."""

    key: bytes = field(repr=False)

    def of(self, kind: str, secret: str) -> str:
        """HMAC-SHA-256 of kind and secret, the first 64 bits, as in "study-9f31c2ab47d0e815"."""
        text = f"{kind}\n{secret}".encode("utf-8", "surrogateescape")
        return f"{kind}-{hmac.new(self.key, text, hashlib.sha256).hexdigest()[:_SHOWN_DIGITS]}"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled."""
        raise TypeError("the key of study names is not pickled; read it again with study_names()")


def key_file() -> Path:
    """$CONVSCOPE_KEY_FILE, else study-names.key in the user's configuration folder."""
    given = os.environ.get(KEY_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "convscope" / "study-names.key"


def study_names() -> StudyNames:
    """Names by the key of this machine and user; the key file is made at the first call, readable by its owner only.

    Raises:
        StorageError: the key can't be written.
        DataError: the key file may be read by others, or holds no key.
    """
    path = key_file()
    if not path.exists():
        _make(path)
    return StudyNames(_read(path))


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process was quicker
        return
    except OSError as error:
        raise StorageError(
            f"expected to write the key of study names to {shown(str(path))}: {error.strerror or error}; "
            f"set {KEY_VARIABLE} to a file that can be written"
        ) from error
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(_KEY_BYTES) + "\n")


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii", "replace").strip()
    except OSError as error:
        raise DataError(
            f"{shown(str(path))}: the key of study names can't be read: {error.strerror or error}"
        ) from error
    if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        raise DataError(f"{shown(str(path))}: others may read the key of study names; run chmod 600 on it")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise DataError(
            f"{shown(str(path))}: expected {2 * _KEY_BYTES} hexadecimal digits, found something else; delete it"
        )
    return key
