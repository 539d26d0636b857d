"""The film strip of a watched training: the same pictures epoch by epoch, with the heat over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convscope.draw.overlay import overlay
from convscope.errors import PlanError
from convscope.explaining.shown import for_the_eye
from convscope.explaining.watching import read_glances
from convscope.records.report import Section
from convscope.reporting.looking import Film, Frame, film_section

FRAMES = 12


def film_of(
    run: str | Path, truth: Sequence[int], classes: Sequence[str], *, how: str = "", most: int = FRAMES
) -> Section:
    """A chapter with one strip per watched picture.

    Args:
        run: folder in which `Watch(images, folder=run, look=heat_look(...))` wrote.
        truth: class index of each picture.
        classes: names in index order.
        how: small words: method, layer.
        most: frames per strip, evenly spaced, first and last among them.

    Raises:
        DataError: nothing was watched. PlanError: not one truth per picture.
    """
    images, glances = read_glances(run)
    if len(truth) != len(images):
        raise PlanError(f"expected the truth of each of {len(images)} watched pictures, got {len(truth)}")
    chosen = sorted({round(i) for i in np.linspace(0, len(glances) - 1, min(most, len(glances)))})
    pictures = for_the_eye(images)
    films = []
    for i, picture in enumerate(pictures):
        frames = []
        for place in chosen:
            glance = glances[place]
            says, shares = _answer(glance.outputs[i])
            right = says == truth[i]
            name = classes[says] if says < len(classes) else f"class {says}"
            over = overlay(picture, glance.heat[i])
            frames.append(Frame(glance.epoch, over, name, right, float(shares[truth[i]])))
        films.append(Film(classes[truth[i]], picture, tuple(frames)))
    return film_section(films, how=how)


def _answer(outputs: np.ndarray) -> tuple[int, np.ndarray]:
    """Class and shares of one output row: softmax rows as they are, one sigmoid unit as two classes."""
    row = np.asarray(outputs, np.float64).ravel()
    if row.size == 1:
        row = np.array([1 - row[0], row[0]])
    elif row.min() < 0 or abs(row.sum() - 1) > 1e-3:
        row = np.exp(row - row.max())
        row = row / row.sum()
    return int(row.argmax()), row
