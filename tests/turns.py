"""Slow tests take turns: a commit says where in their fixed order to begin, a clock when to begin no more of them.

The order goes by a hash of the file's name, so that neighbours differ in kind, and inside a file as written, so that
what a module builds once is built once. Whatever a test lasts, some commit begins with it, so that all run within days.
"""

from __future__ import annotations

import time
import zlib

import pytest

KEY = pytest.StashKey["Turn"]()


class Turn:
    """Which tests wait, when it ends and what began so far."""

    def __init__(self, items: list[pytest.Item], minutes: float) -> None:
        self.waiting, self.minutes, self.ends = len(items), minutes, time.monotonic() + 60 * minutes
        self.begun: list[str] = []


def from_commit(items: list[pytest.Item], commit: str) -> list[pytest.Item]:
    """All the tests in the fixed order, beginning at the place that the commit's hash names."""
    ordered = sorted(items, key=lambda item: (zlib.crc32(file_of(item).encode()), file_of(item)))
    start = int(commit, 16) % max(1, len(ordered))
    return ordered[start:] + ordered[:start]


def file_of(item: pytest.Item) -> str:
    """The test's file, as its id names it."""
    return item.nodeid.partition("::")[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    """--from-commit and --minutes."""
    parser.addoption("--from-commit", metavar="HASH", help="take the tests in their fixed order from HASH on")
    parser.addoption("--minutes", type=float, default=15.0, help="with --from-commit: begin no test after this long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in the order of this commit; the clock starts."""
    if commit := config.getoption("from_commit"):
        items[:] = from_commit(items, commit)
        config.stash[KEY] = Turn(items, config.getoption("minutes"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Begin no test after the end of the turn; the first one always runs."""
    turn = item.config.stash.get(KEY, None)
    if turn is None:
        return None
    if turn.begun and time.monotonic() > turn.ends:
        return True
    turn.begun.append(item.nodeid)
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which tests had their turn."""
    turn = config.stash.get(KEY, None)
    if turn and turn.begun:
        span = f"from {turn.begun[0]} to {turn.begun[-1]}"
        terminalreporter.write_line(f"{len(turn.begun)} of {turn.waiting} tests had their turn: {span}")
