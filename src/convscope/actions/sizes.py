"""Height and width of each picture of some samples, without decoding where the truth or a file's header says it."""

from __future__ import annotations

from pathlib import Path

from convscope.data.header import read_header
from convscope.errors import PictureError
from convscope.records.samples import Samples

UNKNOWN = (1, 1)


def picture_sizes(samples: Samples) -> list[tuple[int, int]]:
    """(height, width) in pixels after EXIF orientation for each picture; UNKNOWN for one that can't be read."""
    if samples.truth is not None and samples.truth.dtype == object:
        return [one.picture_hw for one in samples.truth]
    path = getattr(samples.pictures, "path", None)
    found = []
    for index, key in enumerate(samples.pictures.keys):
        try:
            if path is not None:
                found.append(read_header(Path(path(index)), key=key).upright_hw)
            else:
                found.append(samples.pictures.read(index, 3).source_hw)
        except PictureError:
            found.append(UNKNOWN)  # the loader leaves it out by name
    return found
