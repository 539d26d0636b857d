"""The docs page names every method and option."""

from __future__ import annotations

from pathlib import Path

from convscope.explaining.method import METHODS, method

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explain.md"


def test_every_method_and_option_is_on_the_page() -> None:
    """With its source."""
    text = PAGE.read_text(encoding="utf-8")
    for name in METHODS.names():
        how = method(name)
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert how.source in row and how.words in row and all(f"`{o}={d}`" in row for o, d in how.options.items())
