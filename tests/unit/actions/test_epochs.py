"""Film strips of the filters that a run kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convscope.actions.epochs import filter_film_sections, filter_films
from convscope.errors import DataError
from convscope.records.report import Report
from convscope.reporting.render import render_report


def test_those_that_moved_most_come_first(tmp_path: Path) -> None:
    assert filter_films(tmp_path) == () and filter_film_sections(tmp_path) == []
    (tmp_path / "filters").mkdir()
    start = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype("float32")
    for epoch in (0, 1, 2, 10):
        np.savez(tmp_path / "filters" / f"epoch-{epoch:04d}.npz", conv=start + epoch * np.array([0, 3, 1, 2]) * 0.1)
    films = filter_films(tmp_path, most=3)
    assert [f.channel for f in films] == [1, 3, 2]
    assert films[0].epochs == (0, 1, 2, 10)
    np.testing.assert_allclose(films[0].kernels[-1], start[..., 1] + 3, rtol=1e-6)
    html = render_report(Report("run", sections=tuple(filter_film_sections(tmp_path))))
    assert "Filters while they learn" in html and "epoch 10" in html
    (tmp_path / "filters" / "epoch-0002.npz").write_bytes(b"PK cut")
    with pytest.raises(DataError, match="can't be read"):
        filter_films(tmp_path)
