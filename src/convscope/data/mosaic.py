"""Mosaic: four pictures share one frame, meeting at a random point; boxes are cut and moved along.

It happens to a batch before all other changes: a mosaic is a picture of the frame's size with boxes of its own.

Source: Bochkovskiy et al. 2020, "YOLOv4", section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convscope.arrays.box_moves import MIN_SIDE_PX, VISIBLE
from convscope.arrays.boxes import box_areas
from convscope.data.chance import MOSAIC, numbers_for
from convscope.data.fit import resized
from convscope.data.places import boxes_in_frame
from convscope.records.boxes import Boxes
from convscope.records.geometry import Preprocess

TILES = 4


@dataclass(frozen=True, eq=False)
class MosaicDraw:
    """Chance of one sample.

    Attributes:
        partners: (3,) int64 indices of the other pictures; the sample itself is the first tile's.
        centre_yx: where the four meet, in shares of the frame, 0.3 to 0.7.
        scales: (4,) size of each picture compared with the frame, 0.5 to 1.
        order: (4,) which picture goes top left, top right, bottom left, bottom right.
        luck: 0..1; the sample becomes a mosaic when this is below the planned chance.
    """

    partners: np.ndarray
    centre_yx: tuple[float, float]
    scales: np.ndarray
    order: np.ndarray
    luck: float = 0.0


def draw_mosaic(*, seed: int, epoch: int, index: int, n: int) -> MosaicDraw:
    """What happens to sample `index` of n: a function of (seed, epoch, index) alone, never of the batch."""
    u = numbers_for(MOSAIC, seed=seed, epoch=epoch, index=index, count=14)
    steps = 1 + np.floor(u[:3] * (n - 1)).astype(np.int64) if n > 1 else np.zeros(3, np.int64)
    return MosaicDraw(
        partners=(index + steps) % n,
        centre_yx=(0.3 + 0.4 * float(u[3]), 0.3 + 0.4 * float(u[4])),
        scales=0.5 + 0.5 * u[5:9],
        order=np.argsort(u[9:13], kind="stable"),
        luck=float(u[13]),
    )


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A frame made of four pictures: values (h, w, c) of their dtype, boxes (k, 4) float32 in its pixels, labels."""

    values: np.ndarray
    xyxy: np.ndarray
    labels: np.ndarray


def make_mosaic(
    pictures: Sequence[np.ndarray],
    boxes: Sequence[tuple[np.ndarray, np.ndarray]],
    draw: MosaicDraw,
    *,
    fill: float = 114.0,
    visible: float = VISIBLE,
) -> Mosaic:
    """Put four pictures into one frame.

    Each is scaled and laid with its inner corner to the meeting point; what reaches beyond its quarter is cut.

    Args:
        pictures: four of shape (h, w, c): the sample's own frame and its three partners', in this order.
        boxes: for each its (k, 4) boxes in pixels of its frame and (k,) labels.
        draw: see `draw_mosaic`.
        fill: value of what no picture covers, 0..255.
        visible: least share of a box that must be left.
    """
    high, wide, channels = pictures[0].shape
    values = np.full((high, wide, channels), fill, pictures[0].dtype)
    middle = (round(draw.centre_yx[0] * high), round(draw.centre_yx[1] * wide))
    rows, labels = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for place, which in enumerate(draw.order.tolist()):
        window = _window(place, middle, (high, wide))
        tile_hw = tuple(max(1, round(s * float(draw.scales[which]))) for s in (high, wide))
        small = resized(pictures[which], (tile_hw[0], tile_hw[1]))
        top = middle[0] - tile_hw[0] if place < 2 else middle[0]
        left = middle[1] - tile_hw[1] if place % 2 == 0 else middle[1]
        _lay(values, small, (top, left), window)
        factor = np.tile([tile_hw[1] / wide, tile_hw[0] / high], 2)
        moved = np.asarray(boxes[which][0], np.float64).reshape(-1, 4) * factor + np.tile([left, top], 2)
        cut = np.concatenate([np.maximum(moved[:, :2], window[:2]), np.minimum(moved[:, 2:], window[2:])], axis=1)
        kept = (box_areas(cut) >= visible * box_areas(moved)) & (cut[:, 2:] - cut[:, :2] >= MIN_SIDE_PX).all(axis=1)
        rows.append(cut[kept])
        labels.append(np.asarray(boxes[which][1], np.int64)[kept])
    return Mosaic(values, np.concatenate(rows).astype(np.float32), np.concatenate(labels))


def _window(place: int, middle: tuple[int, int], hw: tuple[int, int]) -> np.ndarray:
    """Left, top, right, bottom of a quarter: 0 top left, 1 top right, 2 bottom left, 3 bottom right."""
    top, bottom = (0, middle[0]) if place < 2 else (middle[0], hw[0])
    left, right = (0, middle[1]) if place % 2 == 0 else (middle[1], hw[1])
    return np.array([left, top, right, bottom], np.float64)


def _lay(values: np.ndarray, small: np.ndarray, corner: tuple[int, int], window: np.ndarray) -> None:
    """Write the part of `small`, laid at `corner` (top, left), that lies in the window."""
    left, top, right, bottom = (int(v) for v in window)
    first_y, first_x = max(top, corner[0]), max(left, corner[1])
    last_y, last_x = min(bottom, corner[0] + small.shape[0]), min(right, corner[1] + small.shape[1])
    if last_y > first_y and last_x > first_x:
        values[first_y:last_y, first_x:last_x] = small[
            first_y - corner[0] : last_y - corner[0], first_x - corner[1] : last_x - corner[1]
        ]


@dataclass(frozen=True, eq=False)
class Tiles:
    """Which samples of a batch become mosaics, and of which other samples.

    Attributes:
        rows: (m,) int64 places in the batch.
        draws: one for each of them.
        partners: (3 m,) int64 indices of the other pictures, three for each row.
    """

    rows: np.ndarray
    draws: tuple[MosaicDraw, ...]
    partners: np.ndarray


def draw_tiles(chance: float, *, seed: int, epoch: int, indices: np.ndarray, n: int) -> Tiles:
    """Choose among the samples of a batch; each by its own chance, never by the batch.

    Args:
        chance: share of the samples that become mosaics.
        seed: a whole number of at least 0.
        epoch: likewise.
        indices: (b,) int64 sample indices of the batch.
        n: how many samples there are.
    """
    every = [draw_mosaic(seed=seed, epoch=epoch, index=index, n=n) for index in np.asarray(indices).tolist()]
    rows = [row for row, one in enumerate(every) if one.luck < chance]
    chosen = tuple(every[row] for row in rows)
    partners = np.concatenate([np.zeros(0, np.int64), *(one.partners for one in chosen)])
    return Tiles(np.array(rows, np.int64), chosen, partners)


def with_mosaics(
    own: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray], tiles: Tiles, frame: Preprocess
) -> tuple[np.ndarray, np.ndarray]:
    """Put the mosaics of a batch in the places of its pictures.

    Args:
        own: (b, h, w, c) pictures in the network's frame and (b,) Boxes of the whole pictures.
        others: likewise the partners', as `tiles.partners` asks for them.
        tiles: from `draw_tiles`.
        frame: how whole pictures came into the frame.

    Returns:
        Pictures and (b,) Boxes; those of a mosaic are in pixels of the frame, which is then the whole picture. Crowds
        are left out of it.
    """
    images, truth = own[0].copy(), own[1].copy()
    high, wide = int(images.shape[1]), int(images.shape[2])
    for number, (row, one) in enumerate(zip(tiles.rows.tolist(), tiles.draws, strict=True)):
        three = slice(3 * number, 3 * number + 3)
        pictures = [own[0][row], *others[0][three]]
        boxes = [boxes_in_frame(marked, frame) for marked in (own[1][row], *others[1][three])]
        made = make_mosaic(pictures, boxes, one, fill=frame.fill)
        images[row] = made.values
        truth[row] = Boxes(made.xyxy, made.labels, (high, wide))
    return images, truth
