"""Names of layers: exact, patterns, calls, and what is said when one is wrong."""

from __future__ import annotations

import pytest

from convscope.errors import UnknownLayerError
from convscope.scope.paths import select

CALLED = ["conv1", "conv1#1", "block1/conv", "block1/a/conv", "block2/conv", "a.b", "split:0", "split:1", "odd*name"]
KNOWN = ["conv1", "block1", "block1/conv", "block1/a/conv", "block2/conv", "a.b", "split", "unused", "odd*name"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("conv1", ["conv1"]),
        ("conv1#0", ["conv1"]),
        ("conv1#1", ["conv1#1"]),
        ("conv*", ["conv1", "conv1#1"]),
        ("conv*#1", ["conv1#1"]),
        ("block*/conv", ["block1/conv", "block2/conv"]),
        ("*/conv", ["block1/conv", "block2/conv"]),
        ("**/conv", ["block1/conv", "block1/a/conv", "block2/conv"]),
        ("block1/**", ["block1/conv", "block1/a/conv"]),
        ("a.*", ["a.b"]),
        ("split:1", ["split:1"]),
        ("odd*name", ["odd*name"]),
        (["block2/conv", "conv1", "block*/conv"], ["block2/conv", "conv1", "block1/conv"]),
    ],
)
def test_select(wanted: str | list[str], found: list[str]) -> None:
    assert select(wanted, CALLED, KNOWN) == found


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("conv2", "did you mean conv1"),
        ("a/conv", "unknown layer"),
        ("conv", "did you mean block1/conv or block1/a/conv or block2/conv"),
        ("unused", "never called"),
        ("un*", "none of them was called"),
        ("x*", "no layer matches"),
        ("conv1#2", "has 2 calls"),
        ("block2/conv#7", "has 1 call "),
        ("split", "several outputs; name one of split:0, split:1"),
    ],
)
def test_what_is_wrong_is_said(wanted: str, words: str) -> None:
    with pytest.raises(UnknownLayerError, match=words):
        select(wanted, CALLED, KNOWN)
