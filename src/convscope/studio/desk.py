"""What lies open: models with their compiled functions, data sets, uploaded pictures. All of it can be made again."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from starlette.responses import Response

from convscope.actions.opening import BUNDLE
from convscope.data.opening import read_data
from convscope.data.slices import SlicesSource
from convscope.errors import DataError, DataNotFoundError, PictureError, RunError
from convscope.files.journal import plain
from convscope.files.manifest import MANIFEST
from convscope.records.card import Opened
from convscope.records.samples import Picture, Samples
from convscope.studio.places import Place, Places
from convscope.studio.variant import Variant, parse_variant

if TYPE_CHECKING:
    from convscope.actions.look import Scope

T = TypeVar("T")
MODELS, BENCHES, DATA_SETS, UPLOADS, MOST_READ = 3, 2, 8, 64, 400
ANSWER_BYTES = 256 << 20


class Shelf(Generic[T]):
    """The latest few things by key; the one not asked for longest is put away first.

    Args:
        most: how many things, or how much of `size`, is kept.
        size: what one thing counts; 1 each when left out.
    """

    def __init__(self, most: int, size: Callable[[T], int] = lambda one: 1) -> None:
        """Nothing is kept yet."""
        self._most, self._size = most, size
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The kept thing, or a new one."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._most:
                self._kept.popitem(last=False)
        return made


class Bench:
    """A second copy of a model, whose numbers may be changed; its compiled functions are kept between changes."""

    def __init__(self, scope: Scope) -> None:
        """Remember the weights as they were saved."""
        self.scope = scope
        self._saved = scope.model.get_weights()
        self._now: Variant | None = None

    def show(self, variant: Variant) -> Scope:
        """The copy with exactly these changes.

        Raises:
            ModelError, UnknownLayerError, PlanError: a change that can't be made.
        """
        from convscope.actions.changed import change_kernels, draw_anew

        if variant != self._now:
            self._now = None
            self.scope.model.set_weights(self._saved)
            if variant.drawn:
                draw_anew(self.scope.model, variant.drawn)
            change_kernels(self.scope.model, variant.edits)
            self._now = variant
        return self.scope


class Desk:
    """Opens what the page asks for and keeps the latest; `busy` is held while a model runs, one question at a time.

    `asked` is set once a page stands: it has asked its first question, what there is to open.
    """

    def __init__(self, places: Places) -> None:
        """Nothing is opened yet; uploads get a folder of this user's own."""
        self.places = places
        self.busy = threading.RLock()
        self.asked = threading.Event()
        self.answers: Shelf[bytes] = Shelf(ANSWER_BYTES, len)
        self._scopes: Shelf[Scope] = Shelf(MODELS)
        self._benches: Shelf[Bench] = Shelf(BENCHES)
        self._samples: Shelf[Samples] = Shelf(DATA_SETS)
        self._readable: Shelf[np.ndarray] = Shelf(DATA_SETS)
        self._uploads = Path(tempfile.mkdtemp(prefix="convscope-studio-"))  # mode 0700
        self._names: OrderedDict[str, Path] = OrderedDict()

    def close(self) -> None:
        """Remove uploaded pictures."""
        shutil.rmtree(self._uploads, ignore_errors=True)

    def version(self, model: str) -> Hashable:
        """Equal as long as the saved model and what is changed of it are the same."""
        place = self.places.get(parse_variant(model).place, "run", "model")
        file = _model_file(place)
        facts = file.stat() if file.exists() else None
        return model, facts and (facts.st_mtime_ns, facts.st_size)

    @contextmanager
    def using(self, model: str) -> Iterator[Scope]:
        """The model that the page means, with its epoch and its changed numbers, for the time of one question.

        Raises:
            UnknownPlaceError, RunError, BundleError: nothing that can be opened there.
            DataError, ModelError, UnknownLayerError, PlanError: a change that can't be made.
        """
        variant = parse_variant(model)
        plain = f"{variant.place}@{variant.epoch}" if variant.epoch is not None else variant.place
        with self.busy:
            if variant.is_changed:
                bench = self._benches.get(self.version(plain), lambda: Bench(self._opened(variant)))
                yield bench.show(variant)
            else:
                yield self._scopes.get(self.version(plain), lambda: self._opened(variant))

    def card(self, model: str) -> Opened:
        """A model with its card, as it is saved: what it takes, which classes it knows."""
        with self.using(parse_variant(model).place) as scope:
            return Opened(scope.model, scope.card, model)

    def _opened(self, variant: Variant) -> Scope:
        from convscope.actions.look import Scope  # brings Keras: the page is there before it

        place = self.places.get(variant.place, "run", "model")
        if variant.epoch is None:
            return Scope(place.path)
        from convscope.actions.epochs import model_of_epoch

        if place.kind != "run":
            raise RunError(f"{place.name}: expected a run to open an epoch of, got a single model; open its run")
        return Scope(model_of_epoch(place.path, variant.epoch))

    def samples(self, data: str) -> Samples:
        """The pictures of a data place; none is decoded."""
        place = self.places.get(data, "data")
        return self._samples.get(data, lambda: read_data(place.path))

    def readable(self, data: str) -> np.ndarray:
        """Numbers of at most 400 pictures of a data place that can be read, evenly spread; bad files are left out."""
        samples = self.samples(data)
        spread = np.unique(np.linspace(0, len(samples) - 1, min(MOST_READ, len(samples))).round().astype(np.int64))

        def found() -> np.ndarray:
            return np.array([i for i in spread if _opens(samples, int(i))], np.int64)

        return self._readable.get(data, found)

    def decoded(self, data: str, index: int, channels: int, at_least_hw: tuple[int, int] | None) -> Picture:
        """One picture of a data place: a file, or a slice of a volume.

        Raises:
            DataError: no such picture, or one whose files lie outside the opened folder. PictureError: unreadable.
        """
        place, samples = self.places.get(data, "data"), self.samples(data)
        if not 0 <= index < len(samples):
            raise DataError(f"expected a picture from 0 to {len(samples) - 1}, got {index}")
        root = place.path if place.path.is_dir() else (samples.root or place.path.parent).resolve()
        for file in files_behind(samples.pictures, index):
            if not file.resolve().is_relative_to(root):
                raise DataError(f"picture {index} of {place.name} lies outside the opened folder; open that folder too")
        return samples.pictures.read(index, channels, at_least_hw)

    def put(self, data: bytes) -> str:
        """Keep an uploaded picture under a name made here; the oldest of more than 64 goes."""
        name = secrets.token_hex(8)
        (self._uploads / name).write_bytes(data)
        self._names[name] = self._uploads / name
        while len(self._names) > UPLOADS:
            self._names.popitem(last=False)[1].unlink(missing_ok=True)
        return name

    def uploaded(self, name: str) -> Path:
        """The file of an uploaded picture."""
        if name not in self._names:
            raise DataNotFoundError("this uploaded picture is gone: the studio was started anew; drop it in again")
        return self._names[name]


def files_behind(source: Any, index: int) -> list[Path]:
    """The files that one picture is read from: its own, or those of its volume."""
    if isinstance(source, SlicesSource):
        return list(source.files[source.places[index][0]].paths)
    place = getattr(source, "file_of", None) or getattr(source, "path", None)
    if place is None:
        raise DataError("expected pictures in files, got arrays; open their folder")
    return [Path(place(index))]


def _opens(samples: Samples, index: int) -> bool:
    try:
        samples.pictures.read(index, 1, (32, 32))
    except PictureError:
        return False
    return True


def _model_file(place: Place) -> Path:
    bundle = place.path / BUNDLE if place.kind == "run" else place.path
    return bundle / MANIFEST if bundle.is_dir() else bundle


def once(desk: Desk, key: Hashable, make: Callable[[], Any]) -> bytes:
    """An answer that is made once for equal questions; questions to a model wait for each other."""

    def made() -> bytes:
        with desk.busy:
            found: bytes = make()
            return found

    return desk.answers.get(key, made)


def once_told(desk: Desk, key: Hashable, make: Callable[[], Any]) -> Response:
    """The same for facts, as JSON: a view that is opened again costs the model nothing."""

    def made() -> bytes:
        return json.dumps(plain(make()), ensure_ascii=False, allow_nan=False).encode()

    return Response(once(desk, key, made), media_type="application/json")
