"""Each change of a picture against an independent program: NumPy, scipy, Pillow, colorsys."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from convscope.backend.tensors import to_numpy
from convscope.data.chance import draw
from convscope.errors import PlanError
from convscope.layers.augment import Augmenter
from convscope.records.augmentation import RAND_AUGMENT_OPS, Augmentation

pytestmark = pytest.mark.backend

H, W = 24, 31
CLOSE = 255e-3


def smooth_pictures(n: int, channels: int = 3, h: int = H, w: int = W) -> np.ndarray:
    """Pictures with structure, like photographs: smoothed noise over the full range."""
    rng = np.random.default_rng(5)
    x = ndimage.gaussian_filter(rng.normal(size=(n, h, w, channels)), (0, 1.5, 1.5, 0))
    x = (x - x.min()) / (x.max() - x.min())
    return np.round(255 * x).astype(np.uint8)


def augmented(images: np.ndarray, options: Augmentation, draws: dict, partners: np.ndarray | None = None) -> np.ndarray:
    augmenter = Augmenter(options, frame_hw=images.shape[1:3], channels=images.shape[3])
    return to_numpy(augmenter.compiled()(images, {k: np.asarray(v, np.float32) for k, v in draws.items()}, partners))


def rounds_of(name: str, strength: float, n: int) -> np.ndarray:
    return np.tile(np.float32([[[RAND_AUGMENT_OPS.index(name), strength]]]), (n, 1, 1))


def test_off_means_untouched() -> None:
    x = smooth_pictures(2)
    out = augmented(x, Augmentation(), {})
    assert out.dtype == np.float32
    assert np.array_equal(out, x)


def test_flips_are_exact() -> None:
    x = smooth_pictures(4)
    draws = {"flip_horizontal": [0, 1, 0, 1], "flip_vertical": [0, 0, 1, 1]}
    out = augmented(x, Augmentation(flip_horizontal=True, flip_vertical=True), draws)
    wanted = np.stack([x[0], x[1][:, ::-1], x[2][::-1], x[3][::-1, ::-1]])
    assert np.array_equal(out, wanted)


def test_rotation_is_counter_clockwise_as_seen() -> None:
    x = smooth_pictures(2, h=20, w=20)
    out = augmented(x, Augmentation(rotate_deg=90), {"rotate_deg": [90, -90]})
    assert np.allclose(out[0], np.rot90(x[0]), atol=0.01)
    assert np.allclose(out[1], np.rot90(x[1], -1), atol=0.01)


def test_shift_goes_down_and_right() -> None:
    x = smooth_pictures(1, h=20, w=20)
    out = augmented(x, Augmentation(shift=0.5), {"shift": [[0.1, 0.25]]})
    assert np.allclose(out[0, 2:, 5:], x[0, :-2, :-5], atol=1e-3)
    assert np.allclose(out[0, 1, 5:], x[0, 0, :-5], atol=1e-3)  # reflected beyond the border


def moved_by_scipy(picture: np.ndarray, forward: list[np.ndarray]) -> np.ndarray:
    """scipy's spline resampling of the matrices' product (homogeneous, (y, x), from the middle of the frame)."""
    h, w = picture.shape[:2]
    middle = np.eye(3)
    middle[:2, 2] = (h - 1) / 2, (w - 1) / 2
    whole = np.eye(3)
    for matrix in forward:
        whole = matrix @ whole
    back = middle @ np.linalg.inv(whole) @ np.linalg.inv(middle)
    planes = [ndimage.affine_transform(picture[..., c].astype(float), back, order=1, mode="reflect") for c in range(3)]
    return np.stack(planes, axis=-1)


def turn(degrees: float) -> np.ndarray:
    a = np.deg2rad(degrees)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


def scaled(y: float, x: float) -> np.ndarray:
    return np.diag([y, x, 1.0])


def moved(y: float, x: float) -> np.ndarray:
    return np.array([[1, 0, y], [0, 1, x], [0, 0, 1.0]])


def test_all_moves_together_are_one_affine_map() -> None:
    x = smooth_pictures(3)
    draws = {
        "crop": [[0.1, 0.2, 0.8, 0.7], [0, 0, 1, 1], [0.3, 0.0, 0.6, 0.9]],
        "scale": [1.1, 0.8, 1.3],
        "rotate_deg": [12.0, -30.0, 77.0],
        "shift": [[0.1, -0.05], [0, 0.2], [-0.2, 0.1]],
        "flip_horizontal": [1, 0, 1],
        "flip_vertical": [0, 0, 1],
    }
    options = Augmentation(True, True, 90, 0.5, 0.3, 0.5)
    out = augmented(x, options, draws)
    for i in range(3):
        top, left, tall, wide = draws["crop"][i]
        forward = [
            moved(-(top + tall / 2 - 0.5) * H, -(left + wide / 2 - 0.5) * W),
            scaled(1 / tall, 1 / wide),
            scaled(draws["scale"][i], draws["scale"][i]),
            turn(draws["rotate_deg"][i]),  # (y, x) with y down: the other sign than in a textbook's (x, y)
            moved(draws["shift"][i][0] * H, draws["shift"][i][1] * W),
            scaled(1 - 2 * draws["flip_vertical"][i], 1 - 2 * draws["flip_horizontal"][i]),
        ]
        assert np.abs(out[i] - moved_by_scipy(x[i], forward)).max() < CLOSE


MOVES = {
    "rotate": turn(15),
    "shear_x": np.array([[1, 0, 0], [0.15, 1, 0], [0, 0, 1]]),
    "shear_y": np.array([[1, 0.15, 0], [0, 1, 0], [0, 0, 1]]),
    "translate_x": moved(0, 0.225 * W),
    "translate_y": moved(0.225 * H, 0),
}


def test_rand_augment_moves() -> None:
    x = smooth_pictures(5)
    rounds = np.concatenate([rounds_of(name, 0.5, 1) for name in MOVES])
    out = augmented(x, Augmentation(rand_augment=1), {"rand_augment": rounds})
    for i, (name, matrix) in enumerate(MOVES.items()):
        assert np.abs(out[i] - moved_by_scipy(x[i], [matrix])).max() < CLOSE, name


def test_rand_augment_moves_in_the_order_drawn() -> None:
    x = smooth_pictures(1)
    rounds = np.concatenate([rounds_of("translate_x", 0.5, 1), rounds_of("rotate", 1.0, 1)], axis=1)
    out = augmented(x, Augmentation(rand_augment=2), {"rand_augment": rounds})
    right = moved_by_scipy(x[0], [moved(0, 0.225 * W), turn(30)])
    wrong = moved_by_scipy(x[0], [turn(30), moved(0, 0.225 * W)])
    assert np.abs(out[0] - right).max() < CLOSE
    assert np.abs(out[0] - wrong).max() > 10 * CLOSE


def by_pillow(picture: np.ndarray, kind: type, factor: float) -> np.ndarray:
    return np.asarray(kind(Image.fromarray(picture)).enhance(factor)).astype(float)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_colours_as_pillow(name: str, kind: type) -> None:
    x = smooth_pictures(4)
    factors = [0.0, 0.6, 1.0, 1.7]
    out = augmented(x, Augmentation(**{name: 0.9}), {name: factors})
    for picture, factor, result in zip(x, factors, out):
        assert np.abs(result - by_pillow(picture, kind, factor)).max() <= 1.6  # Pillow rounds grey, then the result
    assert np.array_equal(out[2], x[2])


def test_hue_as_colorsys() -> None:
    x = smooth_pictures(4, h=9, w=11)
    x[:, 0, 0] = 77  # a grey pixel has no hue
    turns = [-0.4, 0.0, 0.1, 0.5]
    out = augmented(x, Augmentation(hue=0.5), {"hue": turns})
    for i, y, column in np.ndindex(4, 9, 11):
        hue, saturation, value = colorsys.rgb_to_hsv(*(x[i, y, column] / 255))
        wanted = 255 * np.array(colorsys.hsv_to_rgb((hue + turns[i]) % 1, saturation, value))
        assert np.abs(out[i, y, column] - wanted).max() < CLOSE


def test_blur_as_scipy() -> None:
    x = smooth_pictures(4)
    sigmas = [0.0, 0.7, 3.0, 9.0]
    out = augmented(x, Augmentation(blur=10), {"blur": sigmas})
    for picture, sigma, result in zip(x, sigmas, out):
        wanted = ndimage.gaussian_filter(picture.astype(float), (sigma, sigma, 0), mode="reflect", truncate=8)
        assert np.abs(result - wanted).max() < CLOSE


def test_noise_is_normal_white_and_the_samples_own() -> None:
    x = np.full((3, 64, 64, 3), 128, np.uint8)
    key = np.float32([[5, 9], [16_777_215, 0], [5, 9]])
    out = augmented(x, Augmentation(noise=0.1), {"noise": [0.05, 0.05, 0.1], "noise_key": key}) - 128
    z = out[0] / (255 * 0.05)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)
    assert abs((z**4).mean() - 3) < 0.3  # a normal distribution's fourth moment
    for axis in range(3):
        assert abs((z * np.roll(z, 1, axis)).mean()) < 4 / np.sqrt(z.size)
    assert abs((out[0] * out[1]).mean()) / (255 * 0.05) ** 2 < 4 / np.sqrt(z.size)
    inside = np.abs(out[2]) < 127
    assert np.allclose(2 * out[0][inside], out[2][inside], atol=1e-3)


def test_erase_greys_exactly_its_area() -> None:
    x = np.zeros((2, 10, 20, 1), np.uint8)
    out = augmented(x, Augmentation(erase=0.5), {"erase": [[0.1, 0.25, 0.45, 0.5], [0.3, 0.3, 0.3, 0.3]]})
    assert np.isclose(out[0].mean() / 127.5, 0.35 * 0.25)
    assert np.allclose(out[0, 1:4, 5:10], 127.5)
    assert np.allclose(out[0, 4, 5:10], 127.5 / 2)  # half of this row lies inside
    assert (out[1] == 0).all()


def test_rand_augment_colours_as_pillow() -> None:
    x = smooth_pictures(12) // 2 + 40
    blends = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "saturation": ImageEnhance.Color,
        "sharpness": ImageEnhance.Sharpness,
    }
    image = [Image.fromarray(p) for p in x]
    wanted = [
        ("identity", 0.5, image[0]),
        ("autocontrast", 0.5, ImageOps.autocontrast(image[1])),
        ("posterize", 0.5, ImageOps.posterize(image[2], 6)),
        ("solarize", 0.5, ImageOps.solarize(image[3], 128)),
    ]
    for strength in (0.5, -1.0):
        for name, kind in blends.items():
            wanted.append((name, strength, kind(image[len(wanted)]).enhance(1 + 0.9 * strength)))
    rounds = np.concatenate([rounds_of(name, strength, 1) for name, strength, _ in wanted])
    out = augmented(x, Augmentation(rand_augment=1), {"rand_augment": rounds})
    for result, (name, strength, right) in zip(out, wanted):
        assert np.abs(result - np.asarray(right).astype(float)).max() <= 1.6, (name, strength)  # Pillow rounds twice


def test_autocontrast_of_a_flat_picture_is_the_picture() -> None:
    x = np.full((1, 8, 8, 3), 90, np.uint8)
    out = augmented(x, Augmentation(rand_augment=1), {"rand_augment": rounds_of("autocontrast", 1.0, 1)})
    assert np.array_equal(out, x)


def test_saturation_of_rand_augment_leaves_grey_pictures_alone() -> None:
    x = smooth_pictures(1, channels=1)
    out = augmented(x, Augmentation(rand_augment=1), {"rand_augment": rounds_of("saturation", 1.0, 1)})
    assert np.array_equal(out, x)


def test_mixing_weighs_pixels_as_it_weighs_truth() -> None:
    options = Augmentation(mixup=0.4, cutmix=1.0)
    draws = draw(options, seed=3, epoch=1, indices=np.arange(40))
    own, other = np.full((40, 17, 23, 1), 200, np.uint8), np.zeros((40, 17, 23, 1), np.uint8)
    out = augmented(own, options, draws, other)
    assert np.allclose(out.mean(axis=(1, 2, 3)) / 200, draws["mix_keep"], atol=1e-5)
    is_cut = draws["mix_blend"] == 1
    assert 10 < is_cut.sum() < 30
    assert np.ptp(out[~is_cut], axis=(1, 2, 3)).max() < 1e-3  # MixUp is the same everywhere
    assert np.ptp(out[is_cut], axis=(1, 2, 3)).min() > 1  # CutMix is a rectangle


EVERYTHING = Augmentation(True, True, 20, 0.2, 0.1, 0.3, 0.2, 0.2, 0.2, 0.1, 1.0, 0.05, 0.3, 2, 0.5, 0.3, 1.0)


def test_a_sample_does_not_see_the_rest_of_its_batch() -> None:
    x, other = smooth_pictures(8), smooth_pictures(8)[::-1].copy()
    draws = draw(EVERYTHING, seed=1, epoch=2, indices=np.arange(50, 58))
    whole = augmented(x, EVERYTHING, draws, other)
    halves = [
        augmented(x[cut], EVERYTHING, {k: v[cut] for k, v in draws.items()}, other[cut])
        for cut in (slice(0, 4), slice(4, 8))
    ]
    assert np.abs(whole - np.concatenate(halves)).max() < 0.01  # of 255; the order of sums may differ


def test_another_value_range_gives_the_same_picture() -> None:
    x = smooth_pictures(2)
    options = Augmentation(brightness=0.3, noise=0.1, erase=0.3, rotate_deg=10)
    draws = draw(options, seed=1, epoch=0, indices=np.arange(2))
    unit = Augmenter(options, frame_hw=(H, W), channels=3, value_range=(-1.0, 1.0)).compiled()
    out = to_numpy(unit((x / 127.5 - 1).astype(np.float32), draws))
    assert np.allclose((out + 1) * 127.5, augmented(x, options, draws), atol=0.01)


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_colour_of_grey_pictures_is_refused_by_name(name: str) -> None:
    with pytest.raises(PlanError, match=rf"augment\.{name} = 0 for pictures of 1 channel"):
        Augmenter(Augmentation(**{name: 0.1}), frame_hw=(8, 8), channels=1)


def test_wrong_shape_and_missing_partner_are_refused() -> None:
    augmenter = Augmenter(Augmentation(mixup=0.2), frame_hw=(8, 8), channels=3)
    with pytest.raises(PlanError, match=r"expected pictures of shape \(8, 8, 3\)"):
        augmenter.apply(np.zeros((1, 8, 9, 3), np.uint8), {})
    with pytest.raises(PlanError, match="expected partners"):
        augmenter.apply(np.zeros((1, 8, 8, 3), np.uint8), {"mix_keep": np.ones(1, np.float32)})
    with pytest.raises(PlanError, match="value range"):
        Augmenter(Augmentation(), frame_hw=(8, 8), channels=3, value_range=(1.0, 1.0))


def test_masks_move_with_their_pictures() -> None:
    """A picture that shows its own labels, moved, still shows the moved labels (away from edges, where it blends)."""
    labels = (smooth_pictures(6, 1)[..., 0] > 128).astype(np.uint8)
    options = Augmentation(rotate_deg=30, scale=0.3, shift=0.2, flip_horizontal=True, crop=0.7)
    draws = draw(options, seed=4, epoch=0, indices=np.arange(6))
    augmenter = Augmenter(options, frame_hw=(H, W), channels=1)
    moved = to_numpy(augmenter.compiled_labels()(labels, draws))
    shown = augmented(255 * labels[..., None], options, draws)[..., 0]
    sure = (shown < 2) | (shown > 253)
    assert sure.mean() > 0.5 and 0.2 < moved.mean() < 0.8
    assert np.array_equal(moved[sure] * 255, np.round(shown[sure] / 255) * 255)


def test_flipped_masks_are_exact() -> None:
    labels = np.arange(2 * 4 * 5).reshape(2, 4, 5).astype(np.uint8)
    augmenter = Augmenter(Augmentation(flip_horizontal=True), frame_hw=(4, 5), channels=3)
    moved = to_numpy(augmenter.compiled_labels()(labels, {"flip_horizontal": np.float32([0, 1])}))
    assert np.array_equal(moved, [labels[0], labels[1][:, ::-1]])


def test_what_comes_from_beyond_the_border_is_filled() -> None:
    x = np.full((1, 8, 10, 3), 200, np.uint8)
    draws = {"shift": np.float32([[0.25, 0.0]])}
    augmenter = Augmenter(Augmentation(shift=0.5), frame_hw=(8, 10), channels=3, fill=114.0)
    out = to_numpy(augmenter.compiled()(x, draws))
    assert np.array_equal(out[0, :2], np.full((2, 10, 3), 114, np.float32))
    assert np.array_equal(out[0, 2:], np.full((6, 10, 3), 200, np.float32))
