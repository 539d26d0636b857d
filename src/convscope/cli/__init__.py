"""One command per action; a command is imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code (entry point of `convscope`)."""
    from convscope.cli.app import run

    raise SystemExit(run(argv))
