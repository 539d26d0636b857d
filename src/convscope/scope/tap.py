"""The tap: values and gradients at any layer of any Keras 3 model, on every back end, the model left as it was.

The model runs as it is; for the time of the run (JAX, TensorFlow: of the trace) `call` of the chosen layer instances
is replaced by one that notes its tensors and adds zeros to them, with respect to which the score is differentiated.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from math import prod
from time import perf_counter
from typing import Any, Literal

import numpy as np

from convscope.backend import gradients as engine
from convscope.backend.devices import is_tensorflow_on_cpu
from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.records.card import Opened
from convscope.scope.abreast import in_order
from convscope.scope.batches import Inputs, blank_inputs, checked_inputs, cuts, fixed_batch
from convscope.scope.calls import MODEL_INPUT, Call, Head
from convscope.scope.fingerprint import model_fingerprint
from convscope.scope.freed_memory import freed_memory_kept
from convscope.scope.looking import Compiled, Look, Seen, first_run, hand_over
from convscope.scope.paths import Names, as_names, operations_by_path, select
from convscope.scope.target import Resolved, TargetLike, resolve
from convscope.scope.tracing import Subject, Trace, as_tensors, built_subject, discover
from convscope.scope.wiring import Place, Side

__all__ = ["MODEL_INPUT", "Call", "Head", "Place", "Probe", "Seen"]

LARGE_BYTES = 32 << 20  # a batch's maps from which on their memory is kept for the next batch
LARGEST_ABREAST = 1 << 30  # bytes of a batch's maps, and of its largest one, up to which two batches may run at a time
LARGEST_FIXED = 512 << 20  # bytes of weights up to which they may be compiled as constants
LONG_S = 60.0  # seconds of a stream from which on compiling the weights as constants pays

_LOCKS: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class _Piece:
    """Samples start..stop of some inputs, padded to `size`."""

    given: Inputs
    start: int
    stop: int
    size: int


class Probe:
    """Looks into one model. Make a new one after layers were added or removed; new weights are seen at once.

    Args:
        model: a keras.Model or any Keras layer, or an Opened.
        classes: class names in index order; taken from an Opened's card when not given.
        precision: "float32" lets 16-bit layers compute in float32 while they are looked at; "as-trained" does not.
        batch_size: pictures per run; a longer input is cut, the last batch padded.

    Raises:
        ModelError: not a Keras model.
    """

    def __init__(
        self,
        model: Any,
        *,
        classes: Sequence[str] = (),
        precision: Literal["float32", "as-trained"] = "float32",
        batch_size: int = 32,
    ) -> None:
        """Remember the model; nothing is run yet."""
        if isinstance(model, Opened):
            classes = classes or (model.card.classes if model.card else ())
            model = model.model
        if not isinstance(model, load_keras().Layer):
            raise ModelError(f"expected a Keras model, got {type(model).__name__}; open files with convscope.open")
        if precision not in ("float32", "as-trained"):
            raise ModelError(f"expected precision 'float32' or 'as-trained', got {precision!r}")
        self.model = model
        self.classes = tuple(classes)
        self.precision = precision
        self.batch_size = max(1, int(batch_size))
        self._subject: Subject | None = None
        self._traces: dict[tuple, Trace] = {}
        self._runs: dict[tuple, Compiled] = {}
        self._latest: Trace | None = None
        with _LOCKS_LOCK:
            self._lock = _LOCKS.setdefault(model, threading.RLock())

    @property
    def by_path(self) -> dict[str, Any]:
        """Every sublayer and functional operation by path, called or not."""
        return self._subject.by_path if self._subject else operations_by_path(self.model)

    def calls(self, images: Any = None) -> tuple[Call, ...]:
        """Every call in the order of the run; `images` only where the model does not say its input shape.

        Raises:
            ModelError: pictures are needed, or don't fit.
        """
        return tuple(self._trace(images).calls.values())

    def heads(self, images: Any = None) -> tuple[Head, ...]:
        """What makes each output of the model."""
        return self._trace(images).heads

    def select(self, layers: Names, images: Any = None) -> list[str]:
        """The names that `layers` (names, patterns, "@input") stand for.

        Raises:
            UnknownLayerError: naming the nearest names.
        """
        names = as_names(layers)
        inputs = [name for name in names if name.split(":")[0] == MODEL_INPUT]
        others = [name for name in names if name not in inputs]
        return inputs + select(others, self._trace(images).names(), self.by_path)

    def place(self, name: str, side: Side = "output") -> Place:
        """A selected name ("conv1#1", "split:1", "@input") as a Place."""
        base, mark, part = name.rpartition(":")
        several = bool(mark) and part.isdigit() and name not in self.by_path
        return Place(base, side, int(part)) if several else Place(name, side)

    def call(self, name: str, images: Any = None) -> Call:
        """The one call that `name` stands for.

        Raises:
            UnknownLayerError: naming the nearest names.
        """
        trace = self._trace(images)
        plain = name if name in trace.calls else self.place(select(name, trace.names(), self.by_path)[0]).call
        return trace.calls[plain]

    def outputs(self, images: Any) -> tuple[np.ndarray, ...]:
        """The model's outputs, flat, each (n, ...)."""
        return self.see(images, ()).outputs

    def activations(self, images: Any, layers: Names, side: Side = "output") -> dict[str, np.ndarray]:
        """Values at the chosen calls by name, each (n, ...) in the layer's own axis order.

        Raises:
            UnknownLayerError: no such layer or call. TapUnreachableError: it runs where no tap reaches.
        """
        places = {name: self.place(name, side) for name in self.select(layers, images)}
        seen = self.see(images, tuple(places.values()))
        return {name: seen.values[place] for name, place in places.items()}

    def gradients(self, images: Any, target: TargetLike, layers: Names, side: Side = "output") -> Seen:
        """Values and gradients of the target's score at the chosen calls.

        Raises:
            TapUnreachableError: the score does not depend on a layer, or no tap reaches it; never zeros instead.
        """
        places = tuple(self.place(name, side) for name in self.select(layers, images))
        return self.see(images, places, target, differentiate=True)

    def see(
        self, images: Any, places: Sequence[Place], target: TargetLike = None, *, differentiate: bool = False
    ) -> Seen:
        """Everything asked for in one pass; the target is scored when given or when `differentiate` is set."""
        return _joined(list(self.stream(images, places, target, differentiate=differentiate)))

    def stream(
        self, images: Any, places: Sequence[Place], target: TargetLike = None, *, differentiate: bool = False
    ) -> Iterator[Seen]:
        """As `see`, batch by batch, so that no more than two batches are held beside what the caller keeps.

        Without gradients two batches run at a time where that is faster. A long stream sees the weights as they are
        when it begins.
        """
        given = checked_inputs(self.model, images)
        trace = self._traced(given)
        self._check_places(places, trace)
        wants_score = differentiate or target is not None
        whole = self._resolved(target, trace, given.n) if wants_score else None
        look = Look(tuple(dict.fromkeys(places)), whole, differentiate)
        yield from self._cut(given, trace, look)

    def each(
        self,
        batches: Iterable[Any],
        places: Sequence[Place],
        *,
        count: int,
        half: bool = False,
        abreast: bool = True,
    ) -> Iterator[Seen]:
        """What each of about `count` batches gives, as `stream` for one after another; they are read as needed.

        A batch smaller than one before it is padded to its size. With `half` the values at the places come as
        float16, where what is too large for it is infinite. `abreast` allows two runs at a time; leave it out where
        shapes differ from batch to batch, for each new one is traced in the thread that runs it.
        """
        batches = iter(batches)
        for first in batches:
            given = checked_inputs(self.model, first)
            trace = self._traced(given)
            self._check_places(places, trace)
            look = Look(tuple(dict.fromkeys(places)), None, False, half)
            every = chain((first,), batches)
            if _folds(look, trace) or fixed_batch(self.model):
                yield from (_joined(list(self._cut(checked_inputs(self.model, x), trace, look))) for x in every)
            else:
                yield from self._go(self._padded(every), count, trace, look, abreast=abreast)

    def _cut(self, given: Inputs, trace: Trace, look: Look) -> Iterator[Seen]:
        pieces = list(cuts(given.n, self.batch_size, fixed_batch(self.model), pad=not _folds(look, trace)))
        yield from self._go((_Piece(given, *cut) for cut in pieces), len(pieces), trace, look)

    def _padded(self, batches: Iterable[Any]) -> Iterator[_Piece]:
        largest = 0
        for images in batches:
            given = checked_inputs(self.model, images)
            largest = max(given.n, largest if engine.needs_fixed_shapes() else 0)
            yield _Piece(given, 0, given.n, largest)

    def _go(
        self, pieces: Iterator[_Piece], count: int, trace: Trace, look: Look, *, abreast: bool = True
    ) -> Iterator[Seen]:
        """Batches in the caller's thread until all is compiled, for a trace changes the model for its time."""
        first = next(pieces)
        seen = self._batch(look, "", first)
        nbytes, took = seen.nbytes, 0.0
        yield seen
        del seen  # before the next batch is made
        for piece in islice(pieces, 1):
            began = perf_counter()
            seen = self._batch(look, "", piece)
            took = perf_counter() - began
            yield seen
            del seen
        weights = self._weights_now() if took * (count - 2) > LONG_S and not look.differentiate else ""
        run = partial(self._batch, look, weights)
        abreast = abreast and engine.runs_abreast() and not look.differentiate
        abreast = abreast and max(nbytes, trace.largest_output * first.size) <= LARGEST_ABREAST
        with freed_memory_kept() if count > 1 and nbytes >= LARGE_BYTES else nullcontext():
            yield from map(run, islice(pieces, 1 if weights else 0))
            yield from in_order(run, pieces, abreast=abreast)

    def _weights_now(self) -> str:
        """What tells these weights from others where it pays to compile them as constants, else nothing.

        It pays on CPUs with TensorFlow, whose oneDNN then lays kernels out once instead of in each run.
        """
        small = 4 * sum(prod(weight.shape) for weight in self.model.weights) <= LARGEST_FIXED
        return model_fingerprint(self.model) if small and is_tensorflow_on_cpu() else ""

    def _batch(self, look: Look, weights: str, piece: _Piece) -> Seen:
        trace = self._traced(piece.given)  # of this one's shape
        start, stop, size = piece.start, piece.stop, piece.size
        rows = np.minimum(np.arange(start, start + size), stop - 1)
        aim = look.resolved.aim(rows) if look.resolved else ()
        arguments = as_tensors((piece.given.take(start, stop, size), aim), channels_first=trace.is_channels_first)
        seen, found = self._run((piece.given.signature(), size, look.key(), weights), trace, look, arguments)
        return hand_over(seen, found, stop - start, size, look, trace)

    def _run(self, key: tuple, trace: Trace, look: Look, arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Run the look; other threads wait only while it is traced, or where the model's own code runs each time."""
        weights = key[-1]
        with self._lock, engine.random_state_kept():
            if key not in self._runs:
                assert self._subject is not None
                self._runs = {k: run for k, run in self._runs.items() if k[-1] in ("", weights)}
                self._runs[key], result = first_run(self._subject, trace, look, arguments, fixed=bool(weights))
                return result
            compiled = self._runs[key]
            if not compiled.is_traced:
                return compiled.run(arguments)
        return compiled.run(arguments)

    def _trace(self, images: Any) -> Trace:
        if images is not None:
            key = ((images.shape[1:], str(images.dtype)),) if type(images) is np.ndarray else ()
            if key in self._traces:  # asked many times per explanation
                self._latest = self._traces[key]
                return self._latest
            return self._traced(checked_inputs(self.model, images))
        if self._latest is not None:
            return self._latest
        if not self.model.built:
            raise ModelError("this model has no weights yet; pass pictures or call model.build(input_shape) first")
        return self._traced(blank_inputs(self.model))

    def _traced(self, given: Inputs) -> Trace:
        key = given.signature()
        with self._lock:
            if self._subject is None:
                self._subject = built_subject(self.model, given, in_float32=self.precision == "float32")
            if key not in self._traces:
                self._traces[key] = discover(self._subject, given)
            self._latest = self._traces[key]
        return self._traces[key]

    def _check_places(self, places: Sequence[Place], trace: Trace) -> None:
        for place in places:
            if place.call not in trace.calls and place.call != MODEL_INPUT:
                select(place.call, trace.calls, self.by_path)

    def _resolved(self, target: TargetLike, trace: Trace, n: int) -> Resolved:
        names = list(getattr(self.model, "output_names", ()) or ())
        if len(names) != len(trace.heads):
            names = [f"output_{i}" for i in range(len(trace.heads))]
        return resolve(target, trace.heads, output_names=names, classes=self.classes, n=n)


def _folds(look: Look, trace: Trace) -> bool:
    return any(trace.calls[p.call].folds_batch for p in look.places if p.call != MODEL_INPUT)


def _joined(parts: list[Seen]) -> Seen:
    first = parts[0]
    if len(parts) == 1:
        return first

    def rows(pieces: list[Any]) -> Any:
        return None if pieces[0] is None else np.concatenate(pieces)

    return Seen(
        tuple(rows([p.outputs[i] for p in parts]) for i in range(len(first.outputs))),
        {k: rows([p.values[k] for p in parts]) for k in first.values},
        {k: rows([p.gradients[k] for p in parts]) for k in first.gradients},
        rows([p.scores for p in parts]),
        rows([p.chosen for p in parts]),
        first.target,
    )
