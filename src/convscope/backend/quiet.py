"""TensorFlow's C++ start-up lines kept off the terminal: no setting of TensorFlow 2.21 silences them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = (
    b"absl::InitializeLog()",
    b"oneDNN custom operations are on",
    b"This TensorFlow binary is optimized",
    b"To enable the following instructions",
    b"Could not find cuda drivers",
    b"Unable to register cu",
)


@contextmanager
def diverted(descriptor: int, to: int) -> Iterator[None]:
    """What is written to a file descriptor (1: standard output, 2: standard error) goes to another one in the block.

    For lines that come from C++: replacing sys.stdout or sys.stderr would not catch them.

    Raises:
        OSError: one of the two is closed.
    """
    stream = sys.stdout if descriptor == 1 else sys.stderr
    kept = os.dup(descriptor)
    try:
        stream.flush()
        os.dup2(to, descriptor)
        yield
    finally:
        stream.flush()
        os.dup2(kept, descriptor)
        os.close(kept)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2 in the block, then pass on all lines that are not CHATTER."""
    try:
        os.fstat(2)
    except OSError:  # no standard error at all: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as caught:
        try:
            with diverted(2, caught.fileno()):
                yield
        finally:
            caught.seek(0)
            news = [line for line in caught if not any(words in line for words in CHATTER)]
            if news:
                os.write(2, b"".join(news))
