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
        self._began: dict[str, tuple[float, int]] = {}
        self._last: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if done == total == 0:
            self._write(what)
            return
        now = time.monotonic()
        began, before = self._began.setdefault(what, (now, max(done - 1, 0)))
        finished = total > 0 and done >= total
        if not finished and now - self._last.setdefault(what, now) < PLAIN_EVERY_S:
            return
        if finished and self._last.get(what) == float("inf"):
            return
        self._last[what] = float("inf") if finished else now
        spent, of = now - began, f" of {total}" if total else ""
        then = (
            f"took {duration(spent)}"
            if finished or done <= before or not total
            else (f"{duration(spent / (done - before) * (total - done))} left")
        )
        self._write(f"{what}: {done}{of}, {then}")

    def _write(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class _BarProgress:
    """A bar for each step that is under way, with counts and the time left; a step that is done becomes a line."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}
        self._done: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        if done == total == 0:
            self._bars.console.print(Text(what))
            return
        if what in self._done:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total or None)
        self._bars.update(self._tasks[what], completed=done, total=total or None)
        if total > 0 and done >= total:
            self._end(what, f"{what}: {done} of {total}")

    def _end(self, what: str, line: str) -> None:
        number = self._tasks.pop(what)
        spent = next(task.elapsed for task in self._bars.tasks if task.id == number)
        self._bars.remove_task(number)
        self._done.add(what)
        self._bars.console.print(Text(f"{line}, took {duration(spent or 0.0)}", style="dim"))


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
