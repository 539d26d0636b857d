"""The boxes of `convscope COMMAND --help`: a docstring's lines flow as one paragraph, wrapped to the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts.help import DefaultFormatter
from rich.text import Text

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class FlowingHelp:
    """The parser's own way to print help, but for the line breaks of the source, which it would print as they are."""

    def __init__(self) -> None:
        """Nothing is printed yet."""
        self._usual = DefaultFormatter()

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a box of parameters."""
        for entry in panel.entries:
            words = getattr(entry.description, "primary_renderable", None)
            if isinstance(words, Text):
                words.plain = " ".join(words.plain.split())
        self._usual(console, options, panel)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line that shows how a command is called."""
        self._usual.render_usage(console, options, usage)
