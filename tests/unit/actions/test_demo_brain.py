"""The second demo: blocks of slices with gaps, tissues by the larger map, and what is said without the package."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from convscope.actions.demo_brain import BLOCKS, FILES, brain
from convscope.errors import DataError, MissingExtraError

nibabel = pytest.importorskip("nibabel")
SHAPE = (6, 5, 189)


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, moved: float = 0.0) -> dict[str, np.ndarray]:
    """A stand-in for nilearn: three small maps of random bytes where the real ones lie."""
    rng = np.random.default_rng(1)
    data = tmp_path / "nilearn" / "datasets" / "data"
    data.mkdir(parents=True)
    maps = {}
    for name in ("t1", "gm", "wm"):
        maps[name] = rng.integers(0, 256, SHAPE).astype(np.uint8)
        affine = np.eye(4)
        affine[0, 3] = moved if name == "wm" else 0.0
        nibabel.save(nibabel.Nifti1Image(maps[name], affine), data / FILES.format(name))
    (tmp_path / "nilearn" / "__init__.py").write_text("")
    spec = importlib.machinery.ModuleSpec("nilearn", None, origin=str(tmp_path / "nilearn" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nilearn" else None)
    return maps


def test_no_slice_lies_within_ten_of_another_part() -> None:
    for one, first, last in BLOCKS:
        for other, start, end in BLOCKS:
            if one != other:
                assert start - last > 10 or first - end > 10


def test_tissues_are_the_larger_map_where_it_is_at_least_a_half(tmp_path, monkeypatch) -> None:
    maps = package(tmp_path, monkeypatch)
    demo = brain(every=1)
    samples = demo.samples
    assert set(samples.given_split) == {"train", "val", "test"} and samples.classes[1:] == (
        "grey matter",
        "white matter",
    )
    place = 70
    row = list(samples.pictures.keys).index(f"mni152-t1/axial-{place:04d}")
    grey, white = (maps[n][:, :, place].astype(int) for n in ("gm", "wm"))
    # the picture begins at the patient's right and front, where the file ends
    expected = np.where((grey >= 128) & (grey >= white), 1, np.where(white >= 128, 2, 0))[::-1, ::-1].T
    np.testing.assert_array_equal(samples.truth[row].read(), expected)
    assert samples.truth[row].picture_hw == samples.pictures.read(row, 1).source_hw


def test_maps_on_another_grid_are_refused(tmp_path, monkeypatch) -> None:
    package(tmp_path, monkeypatch, moved=3.0)
    with pytest.raises(DataError, match="on one grid"):
        brain()


def test_without_the_package_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="demo-brain"):
        brain()
