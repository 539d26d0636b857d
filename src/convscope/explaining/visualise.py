"""Pictures that fire a unit, a channel, a layer or a class most, by gradient ascent on the picture; and deep dream.

The picture is held as Fourier coefficients or as pixels, with decorrelated colours for three channels. The steps are
NumPy (Adam) on gradients of the tap, so that it runs alike on each back end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.errors import DataError, ModelError, PlanError
from convscope.explaining.asked import channels_come_first
from convscope.explaining.growing import Ascent, Held, Shake
from convscope.records.progress import Progress, silent
from convscope.scope.batches import model_input_shapes
from convscope.scope.calls import MODEL_INPUT
from convscope.scope.tap import Probe
from convscope.scope.target import Target
from convscope.scope.wiring import Place

__all__ = ["Ascent", "Grown", "channel_pictures", "class_pictures", "deep_dream"]


@dataclass(frozen=True, eq=False)
class Grown:
    """Grown pictures (n, height, width, channels) in the model's own values, their objective at each step (steps, n),
    and what they are for, in words."""

    pictures: np.ndarray
    history: np.ndarray
    words: tuple[str, ...]


def class_pictures(
    model: Any, classes: list[int], *, ascent: Ascent | None = None, progress: Progress = silent
) -> Grown:
    """For each class index the picture with the highest logit."""
    probe = model if isinstance(model, Probe) else Probe(model)
    words = tuple(probe.classes[i] if i < len(probe.classes) else f"class {i}" for i in classes)
    return _grow(probe, Target(label=list(classes)), len(classes), words, ascent or Ascent(), progress)


def channel_pictures(
    model: Any,
    layer: str,
    channels: list[int] | None = None,
    *,
    unit: tuple[int, int] | None = None,
    copies: int = 1,
    ascent: Ascent | None = None,
    progress: Progress = silent,
) -> Grown:
    """For channels of a layer the pictures that fire them most; None for all of them: a sheet for a whole layer.

    Args:
        model: a Probe, an Opened or a Keras model.
        layer: path.
        channels: their numbers; None for all.
        unit: (row, column) of one place of the maps; None for their mean.
        copies: pictures per channel, held apart by `ascent.diversity`.
        ascent: how pictures are grown.
        progress: told how far it is.

    Raises:
        UnknownLayerError: no such layer. PlanError: no such channel or unit.
    """
    probe = model if isinstance(model, Probe) else Probe(model)
    name = probe.select(layer)[0]
    call = probe.call(name)
    axis = call.channel_axis
    if axis is None:
        raise ModelError(f"expected a layer with channels, got {name!r}")
    count = call.output_shapes[0][axis]
    chosen = list(range(count)) if channels is None else list(channels)
    if not chosen or not all(0 <= c < count for c in chosen):
        raise PlanError(f"expected channels from 0 to {count - 1} of {name!r}, got {chosen[:5]}")
    wanted = np.repeat(chosen, copies)
    words = tuple(f"{name} channel {c}" for c in wanted)
    seed = _seed_of(call.output_shapes[0], axis, wanted, unit)
    place = probe.place(name, "before activation")  # a rectifier that is off at the beginning would give no gradient
    return _grow(probe, (place, seed), len(wanted), words, ascent or Ascent(), progress)


def deep_dream(
    model: Any, pictures: np.ndarray, layer: str, *, ascent: Ascent | None = None, progress: Progress = silent
) -> Grown:
    """Pictures changed so that a whole layer answers more strongly: the mean square of its values rises.

    Source: Mordvintsev et al. 2015, Inceptionism.
    """
    probe = model if isinstance(model, Probe) else Probe(model)
    if not np.isfinite(pictures).all():
        raise DataError("expected finite pixel values to dream on, got NaN or infinity")
    name, how = probe.select(layer, pictures)[0], ascent or Ascent(steps=32, rate=0.02, holding="pixels")
    words = tuple(f"dream of {name}" for _ in pictures)
    return _grow(probe, (probe.place(name), None), len(pictures), words, how, progress, start=pictures)


def _seed_of(shape: tuple[int, ...], axis: int, wanted: np.ndarray, unit: tuple[int, int] | None) -> np.ndarray:
    """(n, ...) what the gradient of the objective with respect to the layer's values is."""
    seed = np.zeros((len(wanted), *shape), np.float32)
    moved = np.moveaxis(seed, 1 + axis, -1)
    for i, channel in enumerate(wanted):
        if unit is None:
            moved[i, ..., channel] = 1 / max(1, int(np.prod(moved.shape[1:-1])))
        else:
            if moved.ndim != 4 or not (0 <= unit[0] < moved.shape[1] and 0 <= unit[1] < moved.shape[2]):
                raise PlanError(f"expected a unit (row, column) inside maps {moved.shape[1:-1]}, got {unit}")
            moved[i, unit[0], unit[1], channel] = 1
    return seed


def _grow(
    probe: Probe,
    aim: Any,
    n: int,
    words: tuple[str, ...],
    how: Ascent,
    progress: Progress,
    *,
    start: np.ndarray | None = None,
) -> Grown:
    shapes = model_input_shapes(probe.model)
    blank = start if start is not None else _blank(shapes, n)
    first = channels_come_first(probe, blank)
    size = np.moveaxis(blank, 1, -1).shape[1:] if first else blank.shape[1:]
    begin = None if start is None else (np.moveaxis(start, 1, -1) if first else start)
    held = Held(n, (size[0], size[1], size[2]), how, begin)
    rng = np.random.Generator(np.random.Philox(key=how.seed + 1))
    look = _objective(probe, aim, first)
    mean, square = np.zeros_like(held.numbers), np.zeros_like(held.numbers)
    history = np.zeros((how.steps, n))
    for step in range(how.steps):
        pictures = held.pictures()
        shake = Shake((size[0], size[1]), how, rng)
        scores, gradient = look(shake(pictures))
        gradient = shake.back(gradient) - _held_back(pictures, words, how)
        history[step] = scores
        ascent = held.back(gradient)
        length = np.sqrt((ascent**2).mean(axis=tuple(range(1, ascent.ndim)), keepdims=True))
        ascent = np.divide(ascent, length, out=np.zeros_like(ascent), where=length > 0)
        mean, square = 0.9 * mean + 0.1 * ascent, 0.999 * square + 0.001 * ascent**2
        held.numbers = held.numbers + how.rate * (mean / (1 - 0.9 ** (step + 1))) / (
            np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8
        )
        progress("steps of growing pictures", step + 1, how.steps)
    return Grown(held.pictures(), history, words)


def _blank(shapes: Any, n: int) -> np.ndarray:
    if shapes is None or len(shapes) != 1 or len(shapes[0]) != 4 or any(d is None for d in shapes[0][1:]):
        raise ModelError("expected a model with one picture input of known size to grow pictures for; give it one")
    return np.zeros((n, *shapes[0][1:]), np.float32)


def _objective(probe: Probe, aim: Any, first: bool) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Channels-last pictures -> (scores (n,), gradient with respect to them)."""
    pixels = Place(MODEL_INPUT)

    def turned(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if first else x

    def back(x: np.ndarray) -> np.ndarray:
        return np.moveaxis(x, 1, -1) if first else x

    if isinstance(aim, Target):

        def of_class(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            seen = probe.see(turned(pictures), (pixels,), aim, differentiate=True)
            assert seen.scores is not None
            return seen.scores, back(seen.gradients[pixels])

        return of_class
    place, seed = aim
    from convscope.scope.inner_score import InnerScore

    inner = InnerScore(place)

    def of_layer(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, gradient = inner.look(probe, turned(pictures), seed)
        return scores, back(gradient)

    return of_layer


def _held_back(pictures: np.ndarray, words: tuple[str, ...], how: Ascent) -> np.ndarray:
    """Gradient of what is taken away: total variation, and likeness between pictures of one objective."""
    taken = np.zeros_like(pictures)
    if how.smoothness:
        for axis in (1, 2):
            step = np.sign(np.diff(pictures, axis=axis))
            pad = [(0, 0)] * 4
            pad[axis] = (1, 1)
            taken -= how.smoothness * np.diff(np.pad(step, pad), axis=axis)
    if how.diversity:
        flat = pictures - pictures.mean(axis=(1, 2, 3), keepdims=True)
        for i, word in enumerate(words):
            others = [j for j, other in enumerate(words) if other == word and j != i]
            for j in others:
                taken[i] += how.diversity * flat[j] / (np.linalg.norm(flat[j]) + 1e-6)
    return taken
