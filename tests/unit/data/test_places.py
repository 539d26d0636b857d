"""Places without reading equal places with; masks travel to the frame and back."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.data.fit import fit_picture
from convscope.data.places import mask_in_frame, mask_in_picture, place_of
from convscope.errors import DataError
from convscope.records.geometry import Preprocess
from convscope.records.masks import VOID
from convscope.records.samples import Picture


@pytest.mark.parametrize("fit", ["letterbox", "crop", "stretch", "native"])
def test_place_is_that_of_the_fitted_picture(fit: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        hw = tuple(int(v) for v in rng.integers(1, 90, 2))
        frame = Preprocess(*(int(v) for v in rng.integers(8, 64, 2)), fit=fit)
        _, wanted = fit_picture(Picture(np.zeros((*hw, 3), np.uint8), hw), frame)
        assert place_of(hw, frame) == wanted


def test_a_mask_follows_its_picture() -> None:
    """A white rectangle of the picture and its mask cover the same pixels of the frame, but for its blurred edge."""
    picture = np.zeros((60, 100, 1), np.uint8)
    picture[10:40, 30:80] = 255
    frame = Preprocess(48, 48, 1)
    fitted, place = fit_picture(Picture(picture, (60, 100)), frame)
    mask = mask_in_frame((picture[:, :, 0] > 0).astype(np.uint8), place)
    assert (mask == VOID).sum() == 48 * (48 - 29), "what is not picture is void"
    sure = (fitted[:, :, 0] > 250) | (fitted[:, :, 0] < 5)
    inside = mask != VOID
    assert np.array_equal((fitted[:, :, 0] > 250)[sure & inside], (mask == 1)[sure & inside])


def test_there_and_back_when_the_frame_is_finer() -> None:
    mask = np.random.default_rng(0).integers(0, 5, (20, 31)).astype(np.uint8)
    for fit in ("letterbox", "stretch"):
        place = place_of((20, 31), Preprocess(93, 124, fit=fit))
        assert np.array_equal(mask_in_picture(mask_in_frame(mask, place), place), mask)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match="expected a mask of"):
        mask_in_frame(np.zeros((5, 5), np.uint8), place_of((6, 5), Preprocess(8, 8)))
