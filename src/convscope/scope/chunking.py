"""How many pictures at a time, so that memory stays within a budget."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from convscope.errors import PlanError

MOST_TOUCHED = 8  # a read may touch this many times the bytes that were asked for
_CHUNK_BYTES = 1 << 19
_MOST_ROWS = 256
_RUN_SHARE = 6  # the maps of one run, twice as float32, in a quarter to a third of the budget
_TWO_RUNS_SHARE = 5  # of both together; measured for ResNet50: 288 of 512 MiB in use
_BLOCK_SHARE = 12


@dataclass(frozen=True)
class Portions:
    """Pictures per run of the model, and per block that is written at once; runs at a time."""

    batch: int
    block: int
    runs: int = 1


def portions(*, computed_bytes: int, stored_bytes: int, budget_bytes: int, most: int, runs: int = 1) -> Portions:
    """Cut the work so that the maps of all runs at a time, three blocks and the encoding of two stay within the budget.

    Half of the budget is left to what the memory allocator keeps back (measured: up to twice what is in use).

    Args:
        computed_bytes: float32 bytes of the chosen maps of one picture.
        stored_bytes: bytes of them as they are kept.
        budget_bytes: memory that may be used for maps.
        most: the largest batch wanted.
        runs: runs at a time wanted, 1 or 2; one where the budget holds the maps of fewer pictures.

    Raises:
        PlanError: not even one picture fits.
    """
    fit = budget_bytes // (_TWO_RUNS_SHARE * max(1, computed_bytes))
    if runs == 1 or fit < runs:
        runs, fit = 1, budget_bytes // (_RUN_SHARE * max(1, computed_bytes))
    batch = min(most, fit // runs)
    block = min(_MOST_ROWS, budget_bytes // (_BLOCK_SHARE * max(1, stored_bytes)))
    if batch < 1 or block < 1:
        needed = max(_RUN_SHARE * computed_bytes, _BLOCK_SHARE * stored_bytes)
        raise PlanError(
            f"expected a memory budget of at least {needed >> 20} MiB for these layers, got {budget_bytes >> 20} MiB; "
            "raise it, choose fewer layers, or pool the maps"
        )
    block = block if block < MOST_TOUCHED else block - block % MOST_TOUCHED
    return Portions(min(batch, block), block, runs)


def chunk_shape(shape: tuple[int, int, int], item_bytes: int, block: int) -> tuple[int, int, int, int]:
    """(pictures, height, width, channels) of one compressed piece of a layer's array.

    All channels of one picture touch pictures-per-piece times their bytes, one channel over all pictures
    channels-per-piece times: both stay at MOST_TOUCHED or below; large maps get fewer channels.
    """
    height, width, channels = shape
    one = prod((height, width)) * item_bytes
    per_channel = max(1, min(MOST_TOUCHED, channels, _CHUNK_BYTES // max(1, one)))
    per_picture = max(1, min(MOST_TOUCHED, block, _CHUNK_BYTES // max(1, one * per_channel)))
    while block % per_picture or channels % per_channel:  # a shard is a whole number of pieces
        per_picture -= 1 if block % per_picture else 0
        per_channel -= 1 if channels % per_channel else 0
    return per_picture, height, width, per_channel
