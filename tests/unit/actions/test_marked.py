"""Masks and boxes in the picture's own pixels, brought into the network's frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.actions.marked import marks
from convscope.data.fit import fit_picture
from convscope.errors import DataError, DataNotFoundError
from convscope.records.geometry import Letterbox, Preprocess
from convscope.records.samples import Picture


def frame(size_hw: tuple[int, int], fit: str = "letterbox", side: int = 16) -> Letterbox:
    return fit_picture(Picture(np.zeros((*size_hw, 1), np.uint8), size_hw), Preprocess(side, side, 1, fit))[1]


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def test_a_mask_lands_where_the_picture_lands(tmp_path: Path) -> None:
    """A wide picture of twice the frame: the right half is object; padding above and below is not."""
    mask = np.zeros((16, 32), bool)
    mask[:, 16:] = True
    save(tmp_path / "a.png", mask)
    found = marks(["somewhere/a.jpg"], [frame((16, 32))], masks=tmp_path, boxes=None)
    assert found is not None and found.shape == (1, 16, 16)
    expected = np.zeros((16, 16), bool)
    expected[4:12, 8:] = True
    np.testing.assert_array_equal(found[0], expected)


def test_boxes_equal_masks_of_the_same_places(tmp_path: Path) -> None:
    """Two rows of one picture are joined; enlarged and reduced frames."""
    mask = np.zeros((24, 20), bool)
    mask[3:9, 2:7] = mask[15:20, 10:18] = True
    save(tmp_path / "m" / "p.png", mask)
    table = tmp_path / "boxes.csv"
    table.write_text("picture,top,left,bottom,right\np.jpg,3,2,9,7\np.jpg,15,10,20,18\n")
    for side in (10, 24, 60):
        boxes = [frame((24, 20), side=side)]
        one = marks(["x/p.jpg"], boxes, masks=tmp_path / "m", boxes=None)
        other = marks(["x/p.jpg"], boxes, masks=None, boxes=table)
        assert one is not None and other is not None
        np.testing.assert_array_equal(one, other)
        share = one.mean() / (mask.mean() * 20 / 24)  # the letterbox pads the narrow side
        assert 0.8 < share < 1.2


def test_an_object_smaller_than_a_pixel_of_the_frame_is_kept(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), bool)
    mask[33, 21] = True
    save(tmp_path / "dot.png", mask)
    found = marks(["dot.jpg"], [frame((64, 64), side=8)], masks=tmp_path, boxes=None)
    assert found is not None and np.argwhere(found[0]).tolist() == [[4, 2]]


def test_a_mask_may_stand_in_its_class_folder(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "1.png", np.ones((8, 8)))
    save(tmp_path / "dog" / "1.png", np.eye(8))
    found = marks(["d/cat/1.jpg", "d/dog/1.jpg"], [frame((8, 8), side=8)] * 2, masks=tmp_path, boxes=None)
    assert found is not None and found[0].all() and found[1].sum() == 8


def test_bad_marks(tmp_path: Path) -> None:
    """One line each, and what to do."""
    one = [frame((8, 8))]
    assert marks(["a.jpg"], one, masks=None, boxes=None) is None
    with pytest.raises(DataNotFoundError, match="folder of masks"):
        marks(["a.jpg"], one, masks=tmp_path / "none", boxes=None)
    with pytest.raises(DataError, match=r"a mask a\.png for a\.jpg"):
        marks(["a.jpg"], one, masks=tmp_path, boxes=None)
    save(tmp_path / "a.png", np.ones((9, 8)))
    with pytest.raises(DataError, match="size 8 x 8, got 9 x 8"):
        marks(["a.jpg"], one, masks=tmp_path, boxes=None)
    save(tmp_path / "a.png", np.zeros((8, 8)))
    with pytest.raises(DataError, match="its mark is empty"):
        marks(["a.jpg"], one, masks=tmp_path, boxes=None)
    save(tmp_path / "a.bmp", np.ones((8, 8)))
    with pytest.raises(DataError, match="expected one mask"):
        marks(["a.jpg"], one, masks=tmp_path, boxes=None)
    table = tmp_path / "b.csv"
    with pytest.raises(DataNotFoundError, match="table of boxes"):
        marks(["a.jpg"], one, masks=None, boxes=table)
    for text, words in (
        ("picture,top\na.jpg,1\n", "expected the columns"),
        ("picture,top,left,bottom,right\na.jpg,1,2,3,x\n", "line 2: expected four numbers"),
        ("picture,top,left,bottom,right\na.jpg,5,2,3,4\n", "bottom below top"),
        ("picture,top,left,bottom,right\nb.jpg,1,2,3,4\n", "a box for a.jpg"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=words):
            marks(["a.jpg"], one, masks=None, boxes=table)
    with pytest.raises(DataError, match="got both"):
        marks(["a.jpg"], one, masks=tmp_path, boxes=table)
