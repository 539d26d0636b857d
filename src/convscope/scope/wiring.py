"""Read and tap chosen places while a model runs as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from convscope.backend.gradients import Tap, version
from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.registry import nearest
from convscope.scope.calls import MODEL_INPUT, Call, around_calls
from convscope.scope.override import overridden

Side = Literal["output", "input", "before activation"]
SIDES: tuple[str, ...] = get_args(Side)


@dataclass(frozen=True)
class Place:
    """One tensor inside a network.

    `call` is a call's name or "@input" for the model's own input; `side` its output, its input, or what goes into
    the layer's own activation (the output itself where it has none); `part` counts several tensors of that side.
    """

    call: str
    side: Side = "output"
    part: int = 0

    def key(self, step: int) -> str:
        """One word for the tap of one repeat."""
        return f"{self.call}|{self.side}|{self.part}|{step}"

    def __post_init__(self) -> None:
        """Check the side."""
        if self.side not in SIDES:
            raise PlanError(f"unknown side {self.side!r}; {nearest(self.side, SIDES)}")


def has_activation(layer: Any) -> bool:
    """Whether the layer ends in an activation of its own that does something."""
    activation = getattr(layer, "activation", None)
    return callable(activation) and activation is not load_keras().activations.linear


class Wiring:
    """Collects the tensors at `places` during one run, each handed through `tap`.

    Args:
        places: what to collect.
        calls: call name -> Call, as found by the trace.
        tapped: which of the places to differentiate at.
        copies: keep copies, because the model writes into its own tensors (in-place layers of PyTorch).
    """

    def __init__(
        self, places: Sequence[Place], calls: dict[str, Call], tapped: Sequence[Place], *, copies: bool = False
    ) -> None:
        """Sort the places by layer."""
        self._tapped = set(tapped)
        self._copies = copies
        self._wanted: dict[int, list[tuple[Place, Call]]] = {}
        self._layers: dict[str, Any] = {}
        for place in places:
            if place.call != MODEL_INPUT:
                call = calls[place.call]
                self._wanted.setdefault(id(call.layer), []).append((place, call))
                self._layers[call.path] = call.layer
        self.values: dict[Place, list[Any]] = {place: [] for place in places}
        self.versions: list[tuple[Any, int]] = []
        self._counts: dict[int, int] = {}
        self._tap: Tap = lambda key, tensor: tensor
        self._current: list[list[tuple[Place, Call]]] = []

    @contextmanager
    def attached(self, tap: Tap) -> Iterator[None]:
        """In the block, calls of the chosen layers are collected; `values` then holds one tensor per repeat."""
        self._tap = tap
        with ExitStack() as stack:
            stack.enter_context(around_calls(self._layers, self._around))
            stack.enter_context(overridden(self._activations()))
            yield

    def model_input(self, part: int, tensor: Any) -> Any:
        """Collect one of the model's own inputs."""
        place = Place(MODEL_INPUT, "output", part)
        return self._collect(place, tensor) if place in self.values else tensor

    def _activations(self) -> list[tuple[Any, str, Any]]:
        return [
            (layer, "activation", self._stand_in(layer, layer.activation))
            for layer in self._layers.values()
            if has_activation(layer) and any(p.side == "before activation" for p, _ in self._wanted[id(layer)])
        ]

    def _stand_in(self, layer: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def activation(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            for place, _ in self._current[-1] if self._current else ():
                if place.side == "before activation":
                    tensor = self._collect(place, tensor)
            return original(tensor, *args, **kwargs)

        return activation

    def _around(self, path: str, layer: Any, original: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        raw = self._counts.get(id(layer), 0)
        self._counts[id(layer)] = raw + 1
        mine = [(p, c) for p, c in self._wanted[id(layer)] if c.first_raw <= raw < c.first_raw + c.steps]
        args, kwargs = self._side("input", mine, (args, kwargs))
        self._current.append(mine)
        try:
            result = original(*args, **kwargs)
        finally:
            self._current.pop()
        plain = [] if has_activation(layer) else [(p, c) for p, c in mine if p.side == "before activation"]
        return self._side("before activation", plain, self._side("output", mine, result))

    def _side(self, side: str, mine: list[tuple[Place, Call]], structure: Any) -> Any:
        places = {p.part: p for p, _ in mine if p.side == side}
        if not places:
            return structure
        keras, flat, part = load_keras(), [], 0
        for leaf in keras.tree.flatten(structure):
            is_tensor = keras.ops.is_tensor(leaf)
            flat.append(self._collect(places[part], leaf) if is_tensor and part in places else leaf)
            part += is_tensor
        return keras.tree.pack_sequence_as(structure, flat)

    def _collect(self, place: Place, tensor: Any) -> Any:
        kept = load_keras().ops.copy(tensor) if self._copies else tensor
        self.values[place].append(kept)
        self.versions.append((kept, version(kept)))
        if place not in self._tapped:
            return tensor
        onward = self._tap(place.key(len(self.values[place]) - 1), tensor)
        mask = getattr(tensor, "_keras_mask", None)
        if mask is not None and onward is not tensor:
            onward._keras_mask = mask
        return onward
