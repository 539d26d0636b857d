"""What a segmenter is pointed at: picture files, or volumes cut and scaled as they were for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convscope.arrays.orientation import Plane
from convscope.data.loose import is_medical_path, read_pictures
from convscope.data.medical import Slicing
from convscope.data.medical_whole import read_volumes
from convscope.records.samples import Samples


def pictures_to_mark(files: Sequence[str | Path], plane: Plane = "axial") -> Samples:
    """Pictures without truth; every slice of volumes in the plane."""
    given = [Path(f) for f in files]
    if given and any(is_medical_path(p) for p in given):
        return read_volumes(given, Slicing(plane=plane))
    return read_pictures(files)
