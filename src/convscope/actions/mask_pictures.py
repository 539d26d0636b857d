"""What a segmenter is pointed at: picture files, or volumes cut and scaled as they were for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from convscope.actions.dataset import slicing_of
from convscope.arrays.orientation import Plane
from convscope.data.loose import is_medical_path, read_pictures
from convscope.data.medical_whole import read_volumes
from convscope.records.card import Card
from convscope.records.samples import Samples


def pictures_to_mark(files: Sequence[str | Path], card: Card, plane: Plane | None = None) -> Samples:
    """Pictures without truth; every slice of volumes in the plane, by default the one that the network was trained on.

    Raises:
        DataError: nothing that can be read, or a card with an unknown plane.
    """
    given = [Path(f) for f in files]
    if given and any(is_medical_path(p) for p in given):
        how = slicing_of(card)
        return read_volumes(given, how if plane is None else replace(how, plane=plane))
    return read_pictures(files)
