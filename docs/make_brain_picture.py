"""Make docs/images/brain.webp: slices of the ICBM 152 template, what a network marks in them, and where it is wrong.

    convscope demo brain
    python docs/make_brain_picture.py runs/demo-brain

The template is (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, McGill University, free to use and pass on
with this notice.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.actions.demo_brain import brain
from convscope.actions.mask_files import read_masks
from convscope.draw.contours import mask_overlay

TARGET = Path(__file__).parent / "images" / "brain.webp"
SHOWN, GAP = 3, 8
WRONG = (215, 48, 39)


def main() -> None:
    """Three kept-back slices from below upward: the picture, the tissues found, red where the truth is another."""
    found = read_masks(Path(sys.argv[1]))
    samples = brain().samples
    rows = []
    for at in np.linspace(0, len(found.keys) - 1, SHOWN).round().astype(int).tolist():
        values = samples.pictures.read(samples.pictures.keys.index(found.keys[at]), 1).values[..., 0]
        picture = np.repeat(values.round().astype(np.uint8)[..., None], 3, axis=-1)
        marked = mask_overlay(picture, found.masks[at], classes=len(found.classes), longest_px=1)
        assert found.truth is not None
        wrong = picture.copy()
        wrong[found.masks[at] != found.truth[at].read()] = WRONG
        rows.append([picture, marked, wrong])
    columns = [np.concatenate([row[k] for row in rows], axis=0) for k in range(3)]
    space = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    sheet = np.concatenate([columns[0], space, columns[1], space, columns[2]], axis=1)
    Image.fromarray(sheet).save(TARGET, quality=80)


if __name__ == "__main__":
    main()
