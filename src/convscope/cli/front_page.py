"""What `convscope` and `convscope --help` print: made here, because loading the parser takes longer than reading it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping

_MOST_COLUMNS = 100


def asks_for_front_page(tokens: list[str]) -> bool:
    """Whether a command line without the shared options names no command but wants the list of them."""
    return tokens in ([], ["--help"], ["-h"], ["help"])


def front_page(words: str, commands: Mapping[str, tuple[str, str]], headings: Mapping[str, str]) -> str:
    """The words, then every command with what it is for, wrapped to the screen.

    Args:
        words: what convscope is, and where to start.
        commands: name -> (where it is, what it is for), in the order to show.
        headings: name of a command -> the heading that stands above it.
    """
    columns = min(shutil.get_terminal_size((80, 24)).columns, _MOST_COLUMNS)
    margin = max(len(name) for name in commands) + 4
    lines = ["Usage: convscope COMMAND ...", "", words]
    for name, (_, purpose) in commands.items():
        if name in headings:
            lines += ["", headings[name]]
        room = max(columns - margin, 20)
        first, *rest = textwrap.wrap(purpose, room, break_on_hyphens=False)
        lines += [f"  {name}".ljust(margin) + first, *(" " * margin + line for line in rest)]
    lines += ["", "convscope COMMAND --help says what a command takes; also: convscope --version"]
    return "\n".join(lines) + "\n"
