"""Pictures without truth: the files and folders that somebody wants predicted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from convscope.data.files_source import FilesSource
from convscope.data.medical import medical_pictures
from convscope.data.medical_files import has_medical, medical_kind
from convscope.data.naming import shown
from convscope.data.walking import walk
from convscope.errors import DataError, DataNotFoundError
from convscope.records.samples import Samples, SetAside


def read_pictures(paths: str | Path | Iterable[str | Path]) -> Samples:
    """Picture files, and all pictures below folders, in the order given; no picture is opened.

    Returns:
        Samples without truth; each key is the path as it was given. DICOM, NIfTI and NRRD: see `medical`.

    Raises:
        DataNotFoundError: a path that does not exist.
        DataError: no picture among them.
    """
    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]
    if any(is_medical_path(p) for p in given):
        return medical_pictures(given)
    keys: list[str] = []
    set_aside: list[SetAside] = []
    for path in given:
        if path.is_dir():
            found = walk(path)
            keys += [(path / key).as_posix() for key in found.keys]
            set_aside += [SetAside(shown((path / s.key).as_posix()), s.reason) for s in found.set_aside]
        elif path.exists() or path.is_symlink():
            keys.append(path.as_posix())
        else:
            raise DataNotFoundError(f"{shown(str(path))}: expected a picture or a folder, found nothing there")
    if not keys:
        names = ", ".join(shown(str(p)) for p in given[:3]) or "an empty list"
        raise DataError(f"expected pictures (JPEG, PNG, BMP, GIF, WebP, TIFF), found none in {names}")
    return Samples(
        pictures=FilesSource(Path(), tuple(keys)),
        truth=None,
        task="classify",
        classes=(),
        set_aside=tuple(set_aside),
        source="pictures without truth",
    )


def is_medical_path(path: Path) -> bool:
    """Whether a file is DICOM, NIfTI or NRRD, or a folder holds mostly such files."""
    return has_medical(path) if path.is_dir() else path.is_file() and medical_kind(path) is not None
