"""Make docs/images/boxes.webp: boxes on a photograph of coins, and the same coins as a detector is trained on them.

    python docs/make_detection_picture.py

The photograph is `coins` of scikit-image (Brooklyn Museum, no known copyright restrictions). Its boxes come from a
segmentation: a watershed of its Sobel edges from what is darker than 30 and brighter than 150, holes filled, regions of
100 pixels or more. Nobody marked them by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import data, filters, measure, segmentation

from convscope.arrays.boxes import box_areas
from convscope.data.arrays import ArraySource
from convscope.data.loader import Loader
from convscope.draw.box_marks import Shown
from convscope.draw.boxes import boxes_picture
from convscope.layers.augment import Augmenter
from convscope.records.augmentation import Augmentation
from convscope.records.boxes import Boxes
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples
from convscope.training.kind_boxes import NO_LABEL, BoxEncoder

TARGET = Path(__file__).parent / "images" / "boxes.webp"
FRAME = Preprocess(288, 288, fill=114.0)
CHANGES = Augmentation(mosaic=1.0, flip_horizontal=True, flip_vertical=True, brightness=0.15)
GAP, SEED = 8, 3


def coin_boxes(picture: np.ndarray) -> np.ndarray:
    """(k, 4) float32 left, top, right, bottom of each coin."""
    seeds = np.where(picture < 30, 1, np.where(picture > 150, 2, 0))
    coins = segmentation.watershed(filters.sobel(picture), seeds) == 2
    regions = measure.regionprops(measure.label(ndimage.binary_fill_holes(coins)))
    boxes = [region.bbox for region in regions if region.area >= 100]
    return np.array([(left, top, right, bottom) for top, left, bottom, right in boxes], np.float32)


def quarters(picture: np.ndarray, boxes: np.ndarray) -> Samples:
    """The photograph cut into four pictures; a coin belongs to each that holds a quarter of it or more."""
    high, wide = picture.shape
    windows = [(x, y, x + wide // 2, y + high // 2) for y in (0, high // 2) for x in (0, wide // 2)]
    truth = np.empty(4, object)
    for i, (left, top, right, bottom) in enumerate(windows):
        cut = np.clip(boxes, (left, top, left, top), (right, bottom, right, bottom))
        inside = box_areas(cut) >= 0.25 * box_areas(boxes)
        moved = cut[inside] - np.array([left, top, left, top], np.float32)
        truth[i] = Boxes(moved, np.zeros(len(moved), np.int64), (high // 2, wide // 2))
    parts = [picture[y:y2, x:x2] for x, y, x2, y2 in windows]
    return Samples(ArraySource(parts, tuple(f"quarter {i}" for i in range(4))), truth, "detect", ("coin",))


def trained_on(samples: Samples) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures and boxes of the first batch, as training takes them."""
    assert FRAME.height is not None and FRAME.width is not None
    change = Augmenter(CHANGES, frame_hw=(FRAME.height, FRAME.width), channels=3, fill=FRAME.fill)
    loader = Loader(samples, FRAME, batch_size=4, seed=SEED, augmentation=CHANGES, workers=1)
    pictures, truth = BoxEncoder(FRAME, 40, change.compiled())(loader.batch(0, 0))
    real = truth["labels"] != NO_LABEL
    return [(picture, boxes[kept]) for picture, boxes, kept in zip(pictures, truth["boxes"], real, strict=True)]


def painted(picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The picture with its boxes, (h, w, 3) uint8."""
    truth = Boxes(boxes, np.zeros(len(boxes), np.int64), (int(picture.shape[0]), int(picture.shape[1])))
    return boxes_picture(picture, Shown(None, truth), ("",))


def main() -> None:
    """The photograph and two mosaics side by side on white."""
    picture = np.asarray(data.coins())
    boxes = coin_boxes(picture)
    shown = [painted(picture, boxes), *(painted(p, b) for p, b in trained_on(quarters(picture, boxes))[:2])]
    high = min(p.shape[0] for p in shown)
    scaled = [Image.fromarray(p).resize((round(p.shape[1] * high / p.shape[0]), high)) for p in shown]
    page = Image.new("RGB", (sum(p.width for p in scaled) + GAP * (len(scaled) - 1), high), "white")
    left = 0
    for part in scaled:
        page.paste(part, (left, 0))
        left += part.width + GAP
    page.save(TARGET, quality=82, method=6)


if __name__ == "__main__":
    main()
