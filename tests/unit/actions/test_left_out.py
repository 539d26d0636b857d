"""Pictures that can't be read are in no part, are named, and end a strict training before it begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.actions.dataset import SPLIT, divide, open_samples, read_split, write_split
from convscope.actions.evaluate import parts_of
from convscope.actions.provenance import MOST_NAMED
from convscope.actions.run_folder import PLAN, RunFolder
from convscope.cli.train import _say_left_out
from convscope.errors import PictureError
from convscope.files.atomic import write_text
from convscope.files.journal import JournalFile
from convscope.training.plan import Plan


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures of two classes and two that are none."""
    root = tmp_path / "data"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for i in range(6):
            noise = np.random.default_rng([i, ord(name)]).integers(0, 255, (24, 24, 3), np.uint8)
            Image.fromarray(noise).save(root / name / f"{i}.png")
    (root / "a" / "broken.jpg").write_text("no picture")
    (root / "b" / "empty.png").touch()
    return root


def test_no_part_holds_them_and_a_resume_finds_the_same_parts(pictures: Path, tmp_path: Path) -> None:
    plan = Plan(val_share=0.25, test_share=0.25)
    samples = open_samples(pictures, plan)
    parts = divide(samples, plan)
    keys = samples.pictures.keys
    bad = {i for i, key in enumerate(keys) if "broken" in key or "empty" in key}
    assert (
        len(bad) == 2 and sorted({*parts.used.tolist(), *bad}) == list(range(14)) and not bad & {*parts.used.tolist()}
    )
    assert [s.key for s in parts.samples.set_aside] == ["a/broken.jpg", "b/empty.png"]
    assert all(s.reason for s in parts.samples.set_aside) and parts.words.endswith("12 pictures")
    write_split(tmp_path, parts)
    again = read_split(tmp_path, open_samples(pictures, plan))
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(again.split, name), getattr(parts.split, name))


def test_a_strict_plan_stops_at_the_first(pictures: Path) -> None:
    plan = Plan(strict=True)
    with pytest.raises(PictureError, match=r"a/broken\.jpg"):
        divide(open_samples(pictures, plan), plan)


def test_a_run_that_left_pictures_out_by_name_finds_its_parts_again(pictures: Path, tmp_path: Path) -> None:
    plan = Plan(leave_out=("a/0.png",), val_share=0.25, test_share=0.25)
    parts = divide(open_samples(pictures, plan), plan)
    run = tmp_path / "run"
    run.mkdir()
    write_text(run / PLAN, plan.to_toml())
    write_split(run, parts)
    JournalFile(run).write("start", data_path=str(pictures), task="classify")
    found = parts_of(RunFolder(run))
    assert len(found.used) == 11 and (run / SPLIT).is_file()
    np.testing.assert_array_equal(found.split.test, parts.split.test)


def test_the_terminal_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    named = [f"{i}.png: no picture" for i in range(MOST_NAMED)]
    _say_left_out([{"event": "start", "left_out": named, "set_aside": MOST_NAMED + 2}])
    said = capsys.readouterr().out
    assert "Left out 7 files" in said and "0.png: no picture" in said and "2 more, in split.json" in said
    _say_left_out([{"event": "start", "left_out": [], "set_aside": 0}])
    assert not capsys.readouterr().out
