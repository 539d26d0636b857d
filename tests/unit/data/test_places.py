"""Places without reading equal places with; masks travel to the frame and back."""

from __future__ import annotations

import numpy as np
import pytest

from convscope.data.fit import fit_picture
from convscope.data.places import maps_in_picture, mask_in_frame, mask_in_picture, place_of
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


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("hw", [(60, 100), (31, 20), (24, 24)])
def test_maps_come_back_to_where_they_were(fit: str, hw: tuple[int, int]) -> None:
    """A ramp over the picture's own rows, brought to the frame and back, is that ramp where the frame saw it."""
    frame = Preprocess(48, 48, 3, fit=fit)
    rows = np.broadcast_to(np.linspace(0, 200, hw[0], dtype=np.float32)[:, None, None], (*hw, 3))
    fitted, place = fit_picture(Picture(np.ascontiguousarray(rows), hw), frame)
    back = maps_in_picture(np.asarray(fitted, np.float32), place)
    assert back.shape == (*hw, 3)
    seen = slice(4, -4) if fit != "crop" or hw[0] <= hw[1] else slice(hw[0] // 2 - 6, hw[0] // 2 + 6)
    step = 200 / (hw[0] - 1)
    assert np.abs(back - rows)[seen].max() < step


def test_they_agree_with_the_mask_brought_back() -> None:
    rng = np.random.default_rng(2)
    mask = np.kron(rng.integers(0, 3, (6, 9)), np.ones((10, 10), np.int64))
    place = place_of((60, 90), Preprocess(64, 64))
    framed = mask_in_frame(mask.astype(np.uint8), place)
    maps = np.eye(3, dtype=np.float32)[np.where(framed == VOID, 0, framed)]
    agree = maps_in_picture(maps, place).argmax(-1) == mask_in_picture(framed, place)
    assert agree.mean() > 0.97
