"""`--show-paths`: which file a study id stands for, on the terminal's own error stream and nowhere else."""

from __future__ import annotations

import sys

from convscope.records.samples import Samples


def show_paths(samples: Samples) -> None:
    """Write "study-9f31... = path" to standard error, one line for each file; nothing for pictures with names."""
    file_of = getattr(samples.pictures, "file_of", None)
    if file_of is None:
        return
    seen: set[tuple[str, str]] = set()
    for index, key in enumerate(samples.pictures.keys):
        line = (key.partition("/")[0], str(file_of(index)))
        if line not in seen:
            seen.add(line)
            sys.stderr.write(f"{line[0]} = {line[1]!r}\n")
