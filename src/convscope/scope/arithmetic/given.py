"""What a rule is given and what it returns; the registry of rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.records.arithmetic import Step
from convscope.scope.axes import normalised_axes, spatial_axes
from convscope.scope.field.taps import Taps
from convscope.scope.graph import Call, Source

keras = load_keras()

Index = tuple[int, ...]
SIXTEEN_BIT = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@dataclass(frozen=True, eq=False)
class Given:
    """One call with its values for one picture.

    Attributes:
        call: the call; shapes in it are in the model's own axis order.
        inputs: float64 arrays without batch, channels last.
        dtype: the type in which the back end computed.
        index: the value to work out, channel last.
        firsts: per input, whether the model itself holds it channels first.
    """

    call: Call
    inputs: tuple[np.ndarray, ...]
    dtype: str
    index: Index
    firsts: tuple[bool, ...] = (False,)

    @property
    def layer(self) -> Any:
        """The layer or operation."""
        return self.call.operation

    @property
    def at(self) -> Index:
        """The place without the channel."""
        return self.index[:-1]

    @property
    def channel(self) -> int:
        """The channel."""
        return self.index[-1]

    def weights(self, variable: Any) -> np.ndarray:
        """A weight as the back end uses it: rounded to the compute type first where that has 16 bits."""
        value = variable.value if hasattr(variable, "value") else variable
        array = to_numpy(value) if keras.ops.is_tensor(value) else np.asarray(value)
        return array.astype(SIXTEEN_BIT.get(self.dtype, array.dtype)).astype(np.float64)

    def taps(self, taps: dict[int, Taps]) -> list[list[int]]:
        """Per spatial axis the input positions that this value reads, those in the padding included."""
        return [list(taps[axis].at(place)) for axis, place in zip(spatial_axes(self.call), self.at, strict=True)]

    def operands(self) -> list[tuple[int, np.ndarray]]:
        """The call's tensors and plain numbers in order, as (which input or -1, array)."""
        found: list[tuple[int, np.ndarray]] = []
        seen = 0
        for value in _leaves((self.call.arguments, tuple(self.call.keywords.values()))):
            if isinstance(value, Source):
                found.append((seen, self.inputs[seen]))
                seen += 1
            elif value is not None and not isinstance(value, (str, bool)):
                found.append((-1, self.weights(value)))
        return found


def _leaves(nest: Any) -> list[Any]:
    if isinstance(nest, (tuple, list)):
        return [leaf for part in nest for leaf in _leaves(part)]
    return [nest]


@dataclass(frozen=True, eq=False)
class Factors:
    """Input values and where they are: arrays of one shape, `positions` with one more axis."""

    patch: np.ndarray
    is_padding: np.ndarray
    source: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True, eq=False)
class Worked:
    """What a rule returns: the factors, what joins them, and what it comes to.

    Attributes:
        magnitude: sum of |products| and |bias|.
        places: which number of its filter each factor meets, in the order of `Arithmetic.places`.
        steps: the layer's own further steps.
    """

    operation: str
    axes: tuple[str, ...]
    factors: Factors
    total: float
    magnitude: float
    kernel: np.ndarray | None = None
    places: np.ndarray | None = None
    partial_sums: tuple[tuple[str, float], ...] = ()
    bias: float | None = None
    steps: tuple[Step, ...] = ()
    facts: dict[str, float] = field(default_factory=dict)


Rule = Callable[[Given], Worked]
# a thing done to a single number: (number, magnitude) -> step
Single = Callable[[float, float], Step]
# None where the values of a place need each other (softmax)
SingleRule = Callable[[Given], Single | None]

RULES: dict[str, Rule] = {}
SINGLES: dict[str, SingleRule] = {}


def rule(*families: str) -> Callable[[Rule], Rule]:
    """Register the rule of some kinds ("layers.Conv2D")."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(families, function))
        return function

    return register


def single(*families: str) -> Callable[[SingleRule], SingleRule]:
    """Register kinds that treat every number alone; they are also shown as steps after another layer."""

    def register(function: SingleRule) -> SingleRule:
        SINGLES.update(dict.fromkeys(families, function))
        for family in families:
            RULES.setdefault(family, _alone(function))
        return function

    return register


def _alone(function: SingleRule) -> Rule:
    def worked(given: Given) -> Worked:
        step = function(given)
        if step is None:
            raise ModelError(f"expected a layer that treats every number alone, got {given.call.path}")
        return one_number(given, step)

    return worked


def one_number(given: Given, step: Single) -> Worked:
    """A layer that does one thing to the number at its own place."""
    factors = picked(given, [given.index])
    value = float(factors.patch[0])
    return Worked("one number", ("factor",), factors, value, abs(value), steps=(step(value, abs(value)),))


def picked(given: Given, places: Sequence[Index], which: Sequence[int] | None = None) -> Factors:
    """Single values as factors: `places[i]` of input `which[i]`."""
    inputs = [0] * len(places) if which is None else list(which)
    patch = np.array([given.inputs[i][p] for i, p in zip(inputs, places)], np.float64)
    rank = max((len(p) for p in places), default=1)
    positions = np.array([(*(0,) * (rank - len(p)), *p) for p in places], np.int64).reshape(len(places), rank)
    return Factors(patch, np.zeros(len(places), bool), np.array(inputs, np.int64), positions)


def gathered(given: Given, reads: Sequence[Sequence[int]], channels: Sequence[int], outside: float = 0.0) -> Factors:
    """A window of the first input: the product of positions per spatial axis, and channels.

    Args:
        given: the call.
        reads: per spatial axis the positions, which may lie outside.
        channels: the input channels.
        outside: what a place outside the input counts as.
    """
    array = given.inputs[0]
    grid = np.stack(np.meshgrid(*(np.asarray(r, np.int64) for r in (*reads, channels)), indexing="ij"), axis=-1)
    sizes = np.asarray(array.shape)
    inside = np.asarray(((grid >= 0) & (grid < sizes)).all(axis=-1))
    safe = np.clip(grid, 0, sizes - 1)
    patch = np.where(inside, array[tuple(np.moveaxis(safe, -1, 0))], outside)
    return Factors(patch, ~inside, np.zeros(patch.shape, np.int64), grid)


def axis_names(spatial: int) -> tuple[str, ...]:
    """Names of a window's axes."""
    return {1: ("place",), 2: ("row", "column"), 3: ("plane", "row", "column")}[spatial]


def last_axes(given: Given, setting: int | Sequence[int]) -> tuple[int, ...]:
    """An `axis` setting, which counts the batch axis and the model's own order, as axes of a channels-last array."""
    rank = len(given.index)
    own = normalised_axes(setting, rank)
    if given.call.channel_axis == 0 and rank > 1:
        own = tuple(sorted(rank - 1 if a == 0 else a - 1 for a in own))
    return own
