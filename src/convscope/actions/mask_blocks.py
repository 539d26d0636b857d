"""Masks from networks that see blocks of neighbouring slices: a block slides along each volume, answers are blended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from convscope.actions.mask_looks import Looks
from convscope.actions.network import as_model_input
from convscope.arrays.window import Sliding, blended_rows
from convscope.data.blocks import neighbours
from convscope.data.fit import fit_picture
from convscope.data.places import maps_in_picture, place_of
from convscope.errors import PictureError, PlanError
from convscope.records.card import Card
from convscope.records.samples import Samples


def block_depth(model: Any) -> int:
    """How many slices make one input of a segmenter that answers (n, h, w, slices, k); 0 where it sees pictures."""
    shape = model.output_shape
    return int(shape[3]) if isinstance(shape, tuple) and len(shape) == 5 else 0


def blocked_maps(model: Any, card: Card, samples: Samples, looks: Looks) -> Iterator[tuple[int, np.ndarray]]:
    """(index, (h, w, k) float32 probabilities in the slice's own pixels) for each slice of volumes that can be read.

    The block spans the network's frame, to which slices are brought as for training; with `looks.slide` it slides
    within the slices as well, in their own pixels. Neighbouring blocks share `looks.overlap` of their slices.

    Raises:
        PlanError: pictures that are no slices of volumes, or a memory budget that holds not even one block.
    """
    frame = card.preprocess
    if frame.height is None or frame.width is None:
        raise PlanError("expected a network with a frame in pixels to slide, this one takes pictures as they are")
    sliding = Sliding(
        (block_depth(model), frame.height, frame.width),
        overlap=looks.overlap,
        flips=tuple(tuple(a + 1 for a in turn) for turn in looks.turns),
        budget_bytes=looks.memory_mb << 20,
    )

    def answer(windows: np.ndarray) -> np.ndarray:
        blocks = as_model_input(np.moveaxis(windows[..., 0], 1, 3), frame)
        said = [np.asarray(model.predict_on_batch(blocks[i : i + 1]), np.float32) for i in range(len(blocks))]
        return np.moveaxis(np.concatenate(said), 3, 1)

    for run in neighbours(samples):
        try:
            read = [samples.pictures.read(i, 1) for i in run]
        except PictureError:  # the whole volume can't be read; whoever asked says what is missing
            continue
        grey = replace(frame, channels=1)
        values = [one.values if looks.slide else fit_picture(one, grey)[0] for one in read]
        for first, rows in blended_rows(answer, np.stack(values), sliding, outputs=len(card.classes)):
            for row, maps in enumerate(rows, start=first):
                place = place_of(read[row].source_hw, frame)
                yield run[row], maps if looks.slide else maps_in_picture(maps, place)
