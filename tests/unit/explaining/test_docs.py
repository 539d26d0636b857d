"""The docs page has a section for every method: its words, options, source, and a real picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from convscope.explaining.method import METHODS, method

DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = (DOCS / "explain.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_has_its_section(name: str) -> None:
    """A heading, what the heat means, each option with its default, the source, a picture that is one."""
    how = method(name)
    section = " ".join(TEXT.split(f"#### {name}\n")[1].split("\n#")[0].split())
    assert how.words in section and f"Source: {how.source}." in section
    assert all(f"`{option}={default}`" in section for option, default in how.options.items())
    with Image.open(DOCS / "explain" / f"{name}.webp") as picture:
        assert f"(explain/{name}.webp)" in section and picture.width >= 150
        assert len(set(picture.convert("L").resize((16, 16)).tobytes())) > 20  # not one flat colour


def test_pictures_are_small_and_all_are_shown() -> None:
    """Together below 1.5 MB; none lies about unused."""
    files = list((DOCS / "explain").iterdir())
    assert sum(f.stat().st_size for f in files) < 1_500_000
    assert {f.name for f in files} == set(re.findall(r"\(explain/([a-z0-9+.-]+)\)", TEXT))
