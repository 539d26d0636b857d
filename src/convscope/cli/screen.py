"""What the terminal shows: tables, progress with time left, plain lines where there is no terminal."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from convscope.files.journal import plain
from convscope.records.progress import Progress

PLAIN_EVERY_S = 5.0


def console() -> Console:
    """Standard output; colours only on a terminal and without NO_COLOR."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(text: str = "", *, bold: bool = False) -> None:
    """Print one line of words."""
    console().print(Text(text, style="bold" if bold else ""))


def prose(text: str, *, indent: int = 0) -> None:
    """Print sentences, wrapped to the screen (at most 100 columns)."""
    width = min(console().width, 100)
    margin = " " * indent
    for line in textwrap.wrap(text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False):
        say(line)


def say_json(value: Any) -> None:
    """Print a result as JSON, for other programs."""
    sys.stdout.write(json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print a table; `right` lists the columns of numbers."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        grid.add_column(name, justify="right" if place in right else "left", overflow="fold", header_style="dim")
    for row in rows:
        grid.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False, emoji=False).print(grid)


class _PlainProgress:
    """One line every few seconds, for logs."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began = self._began.setdefault(what, now)
        finished = total > 0 and done >= total
        if not finished and now - self._last.setdefault(what, now) < PLAIN_EVERY_S:
            return
        if finished and self._last.get(what) == float("inf"):
            return
        self._last[what] = float("inf") if finished else now
        spent = now - began
        left = "" if finished or not done else f", {duration(spent / done * (total - done))} left"
        sys.stderr.write(f"{what}: {done} of {total}{left or f', took {duration(spent)}'}\n")
        sys.stderr.flush()


class _BarProgress:
    """One bar per step with counts and the time left."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress on standard error while the block runs: bars on a terminal, plain lines else."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield _PlainProgress()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=screen) as bars:
        yield _BarProgress(bars)


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 3 min 5 s, 2 h 10 min.

    Example:
        >>> duration(185)
        '3 min 5 s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def percent(value: float | None) -> str:
    """A share as a percentage with three significant digits."""
    return "–" if value is None else f"{100 * value:.3g} %"


def number(value: float | None) -> str:
    """Three significant digits with a true minus sign."""
    return "–" if value is None else f"{value:.3g}".replace("-", "−")
