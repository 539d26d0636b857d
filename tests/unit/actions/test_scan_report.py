"""A scan kept beside a run, and as a page."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.actions.scan import scan
from convscope.actions.scan_report import THUMBNAIL_PX, read_audit, write_audit
from convscope.data.opening import read_data


def messy(root: Path) -> Path:
    """Two classes; two identical files, one cut short, one with a name that HTML must not take for markup."""
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for i in range(6):
            values = rng.integers(0, 256, (30, 40, 3), np.uint8)
            Image.fromarray(values).resize((400, 300)).save(root / label / f"{i}.jpg")
    (root / "dog" / "copy.jpg").write_bytes((root / "dog" / "0.jpg").read_bytes())
    (root / "cat" / "<b>cut.jpg").write_bytes((root / "cat" / "1.jpg").read_bytes()[:-300])
    return root


def test_a_kept_scan_comes_back_equal_with_small_pictures(tmp_path: Path) -> None:
    samples = read_data(messy(tmp_path / "pictures"))
    audit = scan(samples)
    run = tmp_path / "run"
    run.mkdir()
    assert read_audit(run) is None
    write_audit(run, samples, audit)
    found = read_audit(run)
    assert found is not None
    back, small = found
    assert back == audit
    assert {"dog/0.jpg", "dog/copy.jpg"} <= set(small)
    assert "cat/<b>cut.jpg" not in small  # it can't be decoded
    for data in small.values():
        assert max(Image.open(io.BytesIO(data)).size) == THUMBNAIL_PX
    assert {p.name for p in run.iterdir()} == {"audit.json", "thumbnails.npz"}


def test_the_page_stands_alone_and_names_what_it_found(tmp_path: Path) -> None:
    page = tmp_path / "scan.html"
    scan(messy(tmp_path / "pictures"), report=page)
    text = page.read_text(encoding="utf-8")
    assert "copy.jpg" in text and "truncated" in text
    assert "<b>cut.jpg" not in text and "&lt;b&gt;cut.jpg" in text
    assert "data:image/jpeg;base64," in text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)
