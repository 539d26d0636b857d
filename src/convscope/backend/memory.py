"""Whether an error of a back end says that memory ran out; each says it in its own way."""

from __future__ import annotations

# class names and words, because only the running back end may be imported:
# TensorFlow ResourceExhaustedError "OOM when allocating", JAX JaxRuntimeError "RESOURCE_EXHAUSTED: Out of memory",
# PyTorch OutOfMemoryError or RuntimeError "CUDA out of memory", "can't allocate memory"
_KINDS = {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError", "_ArrayMemoryError"}
_WORDS = ("resource_exhausted", "out of memory", "oom when allocating", "can't allocate memory", "std::bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """True when the error, or one that it came from, says that memory ran out."""
    seen: BaseException | None = error
    while seen is not None:
        if any(kind.__name__ in _KINDS for kind in type(seen).__mro__):
            return True
        if isinstance(seen, RuntimeError | SystemError | ValueError) and _says_so(str(seen)):
            return True
        seen = seen.__cause__
    return False


def _says_so(words: str) -> bool:
    return any(part in words.lower() for part in _WORDS)
