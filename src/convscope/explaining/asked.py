"""What a method is asked: pictures, a score, layers, a seed; and the few verbs by which it finds out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convscope.backend.gradients import needs_fixed_shapes
from convscope.backend.selection import load_keras
from convscope.errors import TapUnreachableError
from convscope.records.progress import Progress, silent
from convscope.scope.calls import MODEL_INPUT, Call
from convscope.scope.looking import Seen
from convscope.scope.maps import channels_last
from convscope.scope.tap import Probe
from convscope.scope.target import Target
from convscope.scope.wiring import Place, Side

_KEPT: weakref.WeakKeyDictionary[Probe, dict[tuple, Any]] = weakref.WeakKeyDictionary()

Variants = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """Maps of one layer and the score's gradient there, each (n, height, width, channels) float32."""

    name: str
    values: np.ndarray
    gradients: np.ndarray


@dataclass(frozen=True, eq=False)
class Part:
    """One batch of a sweep: for each of m variants its owner, its number, its score and, if asked for, its gradient."""

    owners: np.ndarray
    variants: np.ndarray
    scores: np.ndarray
    gradients: np.ndarray | None

    def by_owner(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each owner in this batch and the rows of its variants."""
        for owner in np.unique(self.owners):
            yield int(owner), np.flatnonzero(self.owners == owner)


class Asked:
    """One question about n pictures; all arrays that methods see have channels last.

    Args:
        probe: the model.
        images: as the model takes them.
        target: the score; "the highest class" is held fixed from the first look on, so that variants of a picture
            are scored for the class of the picture itself.
        layers: names of the layers to read; empty for methods that need none.
        side: of those layers.
        part: which of the model's inputs is explained.
        seed: of everything drawn at random; the draws are the same for every picture, so that a picture's heat does
            not depend on its neighbours in a batch.
        progress: told how far it is.
    """

    def __init__(
        self,
        probe: Probe,
        images: Any,
        target: Target,
        *,
        layers: tuple[str, ...] = (),
        side: Side = "output",
        part: int = 0,
        seed: int = 0,
        progress: Progress = silent,
    ) -> None:
        """Keep the question; nothing is run yet."""
        keras = load_keras()
        self.probe, self.images, self.target = probe, images, target
        self.layers, self.side, self.part, self.seed, self.progress = layers, side, part, seed, progress
        self._flat = [np.asarray(x) for x in keras.tree.flatten(images)]
        self._first_axis = channels_come_first(probe, images, part)
        self._seen: Seen | None = None
        self.n = len(self._flat[part])

    @property
    def pictures(self) -> np.ndarray:
        """The explained input, (n, height, width, channels) float32."""
        return self.channels_last(np.asarray(self._flat[self.part], np.float32))

    @property
    def seen(self) -> Seen:
        """Score and class of each picture as it is."""
        if self._seen is None:
            self._seen = self.probe.see(self.images, (), self.target)
        return self._seen

    @property
    def scores(self) -> np.ndarray:
        """(n,) float32."""
        assert self.seen.scores is not None
        return self.seen.scores

    def rng(self) -> np.random.Generator:
        """The random numbers of this question."""
        return np.random.Generator(np.random.Philox(key=self.seed))

    def channels_last(self, values: np.ndarray) -> np.ndarray:
        """Something in the model's axis order with channels last."""
        return np.moveaxis(values, 1, -1) if self._first_axis else values

    @property
    def pixels(self) -> Place:
        """The explained input as a place."""
        return Place(MODEL_INPUT, "output", self.part)

    def look(self, places: Sequence[Place]) -> Seen:
        """Values and gradients of the score at these places, for the pictures as they are."""
        self._seen = seen = self.probe.see(self.images, tuple(places), self.target, differentiate=True)
        return seen

    def maps(self) -> tuple[LayerMaps, ...]:
        """Values and gradients at each of the layers."""
        places = tuple(self.probe.place(name, self.side) for name in self.layers)
        seen = self.look(places)
        return tuple(
            LayerMaps(
                name,
                channels_last(seen.values[place], self.call(name)),
                channels_last(seen.gradients[place], self.call(name)),
            )
            for name, place in zip(self.layers, places)
        )

    def values(self) -> tuple[tuple[str, np.ndarray], ...]:
        """Values alone at each of the layers."""
        places = tuple(self.probe.place(name, self.side) for name in self.layers)
        self._seen = seen = self.probe.see(self.images, places, self.target)
        return tuple((n, channels_last(seen.values[p], self.call(n))) for n, p in zip(self.layers, places))

    def call(self, name: str) -> Call:
        """The call of a selected layer name."""
        return self.probe.call(name, self.images)

    def gradients(self) -> np.ndarray:
        """Gradient of the score with respect to the pictures, (n, height, width, channels) float32."""
        self._seen, gradient = self._look(self.images, self.target, differentiate=True)
        assert gradient is not None
        return gradient

    def sweep(self, count: int, make: Variants, *, gradients: bool = False, what: str = "variants") -> Iterator[Part]:
        """Score `count` variants of each picture, batch by batch.

        Args:
            count: variants per picture.
            make: (owners, variant numbers), each (m,), -> (m, height, width, channels) pictures.
            gradients: whether to differentiate at the variants as well.
            what: name of this work for the progress.
        """
        total, size = self.n * count, self.probe.batch_size
        for start in range(0, total, size):
            flat = np.arange(start, min(start + size, total))
            owners, variants = flat // count, flat % count
            scores, found = self.scored(make(owners, variants), owners, gradients=gradients, padded=total > size)
            self.progress(what, int(flat[-1]) + 1, total)
            yield Part(owners, variants, scores, found)

    def scored(
        self, pictures: np.ndarray, owners: np.ndarray, *, gradients: bool = False, padded: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Scores (m,) of changed pictures (m, h, w, c) of these owners, and gradients there if asked for."""
        m = len(pictures)
        if padded and needs_fixed_shapes() and m < self.probe.batch_size:
            rows = np.minimum(np.arange(self.probe.batch_size), m - 1)
            pictures, owners = pictures[rows], owners[rows]
        seen, found = self._look(self._with(pictures, owners), self._pinned(owners), differentiate=gradients)
        assert seen.scores is not None
        return seen.scores[:m], None if found is None else found[:m]

    def as_input(self, pictures: np.ndarray) -> np.ndarray:
        """Channels-last pictures in the axis order of the model."""
        return np.ascontiguousarray(np.moveaxis(pictures, -1, 1)) if self._first_axis else pictures

    def kept(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What `make` gave for this key and probe the first time: compiled things that outlive one chunk."""
        shelf = _KEPT.setdefault(self.probe, {})
        if key not in shelf:
            shelf[key] = make()
        return shelf[key]

    def under(self, probe: Probe) -> Asked:
        """The same question to another probe (the same model under rules), of the same classes."""
        probe.batch_size = self.probe.batch_size
        other = Asked(
            probe,
            self.images,
            self._pinned(np.arange(self.n)),
            layers=self.layers,
            side=self.side,
            part=self.part,
            seed=self.seed,
            progress=self.progress,
        )
        other._seen = self._seen
        return other

    def with_batch(self, owners: np.ndarray) -> tuple[Any, Target]:
        """The unchanged inputs of these owners, and their target."""
        return self._with(self.pictures[owners], owners), self._pinned(owners)

    def _with(self, pictures: np.ndarray, owners: np.ndarray) -> Any:
        keras = load_keras()
        flat = [x[owners] if i != self.part else None for i, x in enumerate(self._flat)]
        flat[self.part] = self.as_input(np.asarray(pictures, np.float32))
        return keras.tree.pack_sequence_as(self.images, flat)

    def _pinned(self, owners: np.ndarray) -> Target:
        label = self.target.label
        if self.target.function is not None or isinstance(label, (int, str, np.integer)):
            return self.target
        if label is None:
            assert self.seen.chosen is not None
            label = self.seen.chosen
        return replace(self.target, label=[label[int(i)] for i in owners])

    def _look(self, images: Any, target: Target, *, differentiate: bool) -> tuple[Seen, np.ndarray | None]:
        if not differentiate:
            return self.probe.see(images, (), target), None
        try:
            seen = self.probe.see(images, (self.pixels,), target, differentiate=True)
        except TapUnreachableError as error:
            raise TapUnreachableError(
                "the target's score does not depend on the picture by a way with gradients (rounding, argmax or an "
                "integer input lies between); choose a perturbation method such as occlusion"
            ) from error
        return seen, self.channels_last(seen.gradients[self.pixels].astype(np.float32))


def channels_come_first(probe: Probe, images: Any, part: int = 0) -> bool:
    """Whether the pictures have their channels first: what the first layer with a data format says."""
    rank = len(np.shape(load_keras().tree.flatten(images)[part]))
    for call in probe.calls(images):
        own = getattr(call.layer, "data_format", None)
        if own in ("channels_first", "channels_last") and len(call.input_shapes[0]) == rank - 1:
            return bool(own == "channels_first")
    return bool(load_keras().config.image_data_format() == "channels_first")
