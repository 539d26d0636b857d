"""A box after the changes is where the drawn rectangle is found in the changed picture, on every back end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.arrays.box_moves import ROTATE_DEG, SHEAR, TRANSLATE, mix_boxes, move_boxes, sample_draws
from convscope.arrays.boxes import boxes_to_network, boxes_to_picture
from convscope.backend.tensors import to_numpy
from convscope.data.chance import draw
from convscope.data.fit import fit_picture
from convscope.data.mosaic import draw_mosaic, make_mosaic
from convscope.layers import augment_geometry
from convscope.layers.augment import Augmenter
from convscope.records.augmentation import RAND_AUGMENT_OPS, Augmentation
from convscope.records.geometry import Preprocess
from convscope.records.samples import Picture

pytestmark = pytest.mark.backend
HW = (64, 96)
BOX = np.array([[24, 20, 56, 44]], np.float32)
MOVES = {
    "flip": Augmentation(flip_horizontal=True, flip_vertical=True),
    "rotate": Augmentation(rotate_deg=40),
    "scale": Augmentation(scale=0.4),
    "shift": Augmentation(shift=0.3),
    "crop": Augmentation(crop=0.6),
    "all": Augmentation(flip_horizontal=True, rotate_deg=25, scale=0.3, shift=0.2, crop=0.3),
    "colour": Augmentation(brightness=0.2, contrast=0.2, hue=0.1, saturation=0.2),
}


def drawn(box: np.ndarray, hw: tuple[int, int] = HW) -> np.ndarray:
    """White on black."""
    picture = np.zeros((*hw, 3), np.uint8)
    left, top, right, bottom = box.astype(int)
    picture[top:bottom, left:right] = 255
    return picture


def seen(picture: np.ndarray, above: float = 100) -> np.ndarray | None:
    rows, columns = np.nonzero(picture.max(axis=2) > above)
    return None if not len(rows) else np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def augmented(augmentation: Augmentation, draws: dict[str, np.ndarray], n: int) -> np.ndarray:
    images = np.stack([drawn(BOX[0])] * n)
    augmenter = Augmenter(augmentation, frame_hw=HW, channels=3, fill=0.0)
    return np.asarray(to_numpy(augmenter.compiled()(images, draws)))


@pytest.mark.parametrize("name", MOVES)
def test_box_is_where_the_rectangle_is(name: str) -> None:
    n = 24
    draws = draw(MOVES[name], seed=5, epoch=1, indices=np.arange(n))
    pictures = augmented(MOVES[name], draws, n)
    kept = 0
    for i in range(n):
        moved = move_boxes(BOX, sample_draws(draws, i), HW)
        found = seen(pictures[i])
        if moved.kept[0]:
            kept += 1
            assert found is not None
            # the sharp corner of a turned rectangle covers less than half of its last pixel
            np.testing.assert_allclose(moved.xyxy[0], found, atol=1.5 if name in ("rotate", "all") else 1.0)
        if name == "colour":
            np.testing.assert_array_equal(moved.xyxy, BOX)
    assert kept > n / 2


def test_box_follows_rand_augment() -> None:
    moving = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
    rounds = [[[number, way * 0.8]] for number in range(len(RAND_AUGMENT_OPS)) for way in (-1, 1)]
    draws = {"rand_augment": np.array(rounds, np.float32)}
    pictures = augmented(Augmentation(rand_augment=1), draws, len(rounds))
    for i, ((number, _),) in enumerate(rounds):
        name = RAND_AUGMENT_OPS[number]
        moved = move_boxes(BOX, sample_draws(draws, i), HW)
        if name in moving:
            assert moved.kept[0] and not np.array_equal(moved.xyxy, BOX), name
            np.testing.assert_allclose(moved.xyxy[0], seen(pictures[i]), atol=1.5, err_msg=name)
        else:
            np.testing.assert_array_equal(moved.xyxy, BOX)


def test_numbers_of_rand_augment_are_the_layer_s() -> None:
    assert tuple(getattr(augment_geometry, n) for n in ("ROTATE_DEG", "SHEAR", "TRANSLATE")) == (
        ROTATE_DEG,
        SHEAR,
        TRANSLATE,
    )


def test_a_box_that_mostly_left_is_dropped_and_an_erased_one_too() -> None:
    gone = {"shift": np.array([0.0, 0.7], np.float32)}
    assert not move_boxes(BOX, gone, HW).kept[0]
    partly = {"shift": np.array([0.0, 0.5], np.float32)}
    moved = move_boxes(BOX, partly, HW)
    assert moved.kept[0] and moved.xyxy[0].tolist() == [72, 20, 96, 44]  # 24 of 32 pixels are left
    erased = {"erase": np.array([0.2, 0.2, 0.8, 0.8], np.float32)}
    assert not move_boxes(BOX, erased, HW).kept[0]
    none = move_boxes(np.zeros((0, 4), np.float32), partly, HW)
    assert none.xyxy.shape == (0, 4) and none.kept.shape == (0,)


@pytest.mark.parametrize("option", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_mixed_boxes_are_where_the_mixed_rectangles_are(option: dict[str, float]) -> None:
    n, other = 16, np.array([[60, 4, 90, 30]], np.float32)
    augmentation = Augmentation(**option)
    draws = draw(augmentation, seed=1, epoch=0, indices=np.arange(n))
    own_pictures = np.stack([drawn(BOX[0]) * np.array([1, 0, 0], np.uint8)] * n)
    partners = np.stack([drawn(other[0]) * np.array([0, 1, 0], np.uint8)] * n)
    mixed = np.asarray(
        to_numpy(Augmenter(augmentation, frame_hw=HW, channels=3).compiled()(own_pictures, draws, partners))
    )
    kinds = set()
    for i in range(n):
        one = sample_draws(draws, i)
        found = mix_boxes((BOX, np.array([0])), (other, np.array([1])), one, HW)
        for box, label, weight in zip(found.xyxy, found.labels.tolist(), found.weights.tolist()):
            kinds.add(label)
            if weight > 0.05 and (label == 1 or option.get("mixup")):
                place = seen(mixed[i][:, :, label : label + 1], above=0.4 * 255 * weight)
                np.testing.assert_allclose(box, place, atol=1.0)
            if option.get("mixup"):
                top = mixed[i][:, :, label].max()
                np.testing.assert_allclose(weight, top / 255, atol=2 / 255)
    assert kinds == {0, 1}


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_mosaic_keeps_boxes_on_their_rectangles(seed: int) -> None:
    r = np.random.default_rng(seed)
    boxes = []
    for _ in range(4):
        left, top = int(r.integers(2, 40)), int(r.integers(2, 24))
        boxes.append(np.array([[left, top, left + r.integers(12, 50), top + r.integers(12, 36)]], np.float32))
    pictures = [drawn(b[0])[:, :, :1] * np.eye(4, dtype=np.uint8)[i] for i, b in enumerate(boxes)]  # a channel each
    marked = [(b, np.array([i])) for i, b in enumerate(boxes)]
    made = make_mosaic(pictures, marked, draw_mosaic(seed=seed, epoch=0, index=3, n=10), fill=0)
    assert made.values.shape == (*HW, 4) and made.values.dtype == np.uint8
    for box, label in zip(made.xyxy, made.labels.tolist()):
        np.testing.assert_allclose(box, seen(made.values[:, :, label : label + 1]), atol=1.01)
    shown = {i for i in range(4) if (made.values[:, :, i] > 128).sum() > 400}
    assert set(made.labels.tolist()) >= {
        i for i in shown if (made.values[:, :, i] > 128).sum() > 0.6 * box_size(boxes[i])
    }


def box_size(box: np.ndarray) -> float:
    return float((box[0, 2] - box[0, 0]) * (box[0, 3] - box[0, 1]))


def test_mosaic_chance_belongs_to_the_sample() -> None:
    one, again = (draw_mosaic(seed=1, epoch=2, index=7, n=50) for _ in range(2))
    np.testing.assert_array_equal(one.partners, again.partners)
    assert one.centre_yx == again.centre_yx and 7 not in one.partners
    assert draw_mosaic(seed=1, epoch=3, index=7, n=50).centre_yx != one.centre_yx
    assert draw_mosaic(seed=1, epoch=2, index=0, n=1).partners.tolist() == [0, 0, 0]
    partners = np.concatenate([draw_mosaic(seed=1, epoch=0, index=i, n=9).partners for i in range(300)])
    assert set(partners.tolist()) == set(range(9))


@settings(deadline=None, max_examples=40)
@given(high=st.integers(20, 300), wide=st.integers(20, 300), fit=st.sampled_from(["letterbox", "crop", "stretch"]))
def test_boxes_go_to_the_frame_and_back(high: int, wide: int, fit: str) -> None:
    box = np.array([[wide * 0.4, high * 0.4, wide * 0.6, high * 0.6]]).round().astype(np.float32)
    picture = Picture(drawn(box[0], (high, wide)), (high, wide))
    values, place = fit_picture(picture, Preprocess(64, 96, fit=fit))
    framed = boxes_to_network(box, place)
    found = seen(values)
    if (framed[0, 2:] - framed[0, :2] >= 3).all() and (box[0, 2:] - box[0, :2] >= 3).all():
        np.testing.assert_allclose(framed[0], found, atol=1.0)
    if fit != "crop":
        np.testing.assert_allclose(boxes_to_picture(framed, place), box, atol=1e-3 * max(high, wide))


def test_box_over_the_border_is_cut_to_the_picture_not_to_the_padding() -> None:
    _, place = fit_picture(Picture(np.zeros((50, 100, 3), np.uint8), (50, 100)), Preprocess(100, 100))
    framed = boxes_to_network(np.array([[-10.0, -10, 120, 70]]), place)
    np.testing.assert_allclose(framed, [[0, 25, 100, 75]])
