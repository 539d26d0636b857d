"""The page 'How Conv2D works' runs: each block prints what stands below it, and the pictures show what was computed."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.backend

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "how_conv2d_works.md"
BLOCK = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", flags=re.S)


def test_every_block_prints_what_the_page_says() -> None:
    names: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 7
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        assert printed.getvalue().strip() == expected.strip()


def test_pictures_are_drawn_from_what_was_computed() -> None:
    """The reference here is the literal sum, written out."""
    drawn = runpy.run_path(str(ROOT / "examples" / "how_conv2d_works.py"))
    picture, kernel = drawn["page_arrays"]()

    def literal(padded: np.ndarray, stride: int) -> np.ndarray:
        size = (padded.shape[0] - 3) // stride + 1
        return np.array(
            [[(padded[y * stride :, x * stride :][:3, :3] * kernel).sum() for x in range(size)] for y in range(size)]
        )

    maps = {"valid": literal(picture, 1), "stride": literal(picture, 2), "same": literal(np.pad(picture, 1), 1)}
    for name, text in drawn["drawings"](maps, picture, kernel).items():
        assert (ROOT / "docs" / "images" / name).read_text(encoding="utf-8") == text
