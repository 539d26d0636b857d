"""Counts in `convscope layers --json` are numbers, shapes stay words."""

from __future__ import annotations

import pytest

from convscope.cli.scope import _number
from convscope.draw.numbers import count


@pytest.mark.parametrize(
    ("heading", "cell", "expected"),
    [("MACs", count(18_874_368), 18_874_368), ("bytes", "40", 40), ("parameters", "", ""), ("output", "10", "10")],
)
def test_counts_are_numbers(heading: str, cell: str, expected: int | str) -> None:
    assert _number(heading, cell) == expected
