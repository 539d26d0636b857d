"""Out of memory during training: find the largest batch that fits, and say it in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convscope.backend.memory import is_out_of_memory
from convscope.backend.selection import load_keras
from convscope.errors import ConvscopeError

keras = load_keras()

_PROBES = 3  # after halving, so many more tries between what fits and what does not


class OutOfMemoryError(ConvscopeError, MemoryError):
    """One step needs more memory than there is; `fits` is the largest batch size that was tried and worked, or 0."""

    def __init__(self, words: str, fits: int) -> None:
        """Keep the number beside the words."""
        super().__init__(words)
        self.fits = fits


def largest_fitting(limit: int, fits: Callable[[int], bool], *, probes: int = _PROBES) -> int:
    """The largest batch size found below `limit` that fits: halved until one does, then a few bisections.

    Args:
        limit: a size that does not fit.
        fits: tries one size.
        probes: bisections after the halving.

    Returns:
        A size for which `fits` was true; 0 when even 1 does not fit.
    """
    low, high = limit // 2, limit
    while low and not fits(low):
        low, high = low // 2, low
    for _ in range(probes if low else 0):
        middle = (low + high) // 2
        if middle == low:
            break
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


class MemoryAdvice:
    """A context that turns a back end's out-of-memory error into one line with the batch size that fits.

    Each size is tried by one step of a copy of the model, while the first one still holds its memory; so what is said
    to fit may be a little small, never too large.
    """

    def __init__(self, model: Any, batch_size: int, example: Callable[[], Sequence[np.ndarray]]) -> None:
        """`model` is compiled; `example` gives one batch as `fit` takes it."""
        self._model, self._batch_size, self._example = model, batch_size, example

    def __enter__(self) -> None:
        """Nothing is tried unless memory runs out."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Look at what ended the block.

        Raises:
            OutOfMemoryError: in place of the back end's own error; others pass as they are.
        """
        if error is None or not isinstance(error, Exception) or not is_out_of_memory(error):
            return
        size = self._batch_size
        try:
            fits = largest_fitting(size, self._one_step)
            advice = f"a batch of {fits} fits: --batch-size {fits}" if fits else "not even a batch of 1 fits"
        except (ValueError, TypeError, NotImplementedError):  # a model of one's own that can't be copied
            fits, advice = 0, f"try --batch-size {max(1, size // 2)}"
        raise OutOfMemoryError(
            f"out of memory in a step of {size} pictures (batch_size {size}); {advice}, or a smaller image_size; "
            "checkpoints are whole, but another batch size is a new run (--continue-from takes its weights)",
            fits,
        ) from error

    def _one_step(self, size: int) -> bool:
        """Whether a copy of the model takes one step on `size` pictures."""
        try:
            copy = keras.models.clone_model(self._model)
            copy.compile_from_config(self._model.get_compile_config())
            copy.train_on_batch(*(np.resize(part, (size, *part.shape[1:])) for part in self._example()))
        except Exception as error:
            if is_out_of_memory(error):
                return False
            raise
        return True
