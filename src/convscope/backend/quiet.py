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
def without_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2 in the block, then pass on all lines that are not CHATTER.

    The lines come from C++, so replacing sys.stderr would not catch them.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # no standard error at all: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            caught.seek(0)
            news = [line for line in caught if not any(words in line for words in CHATTER)]
            if news:
                os.write(2, b"".join(news))
