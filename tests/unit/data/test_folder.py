"""Folders of class folders: what counts, in which order, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.folder import read_folder
from convscope.data.loose import read_pictures
from convscope.errors import DataError, DataNotFoundError


def picture(path: Path, level: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), level).save(path, "PNG")
    return path


def test_classes_and_names_in_natural_order(tmp_path: Path) -> None:
    for name in ("class 10/b10.png", "class 10/b9.png", "class 2/a.png", "class 2/deep/er/z.png", "class 2/A.JPG"):
        picture(tmp_path / name)
    samples = read_folder(tmp_path)
    assert samples.classes == ("class 2", "class 10")
    assert list(samples.pictures.keys) == [
        "class 2/A.JPG", "class 2/a.png", "class 2/deep/er/z.png", "class 10/b9.png", "class 10/b10.png",
    ]  # fmt: skip
    assert samples.truth is not None and samples.truth.tolist() == [0, 0, 0, 1, 1]
    assert samples.pictures.read(2, 3).values.shape == (4, 4, 3)
    assert list(samples.subset(np.array([4, 0])).pictures.keys) == ["class 10/b10.png", "class 2/A.JPG"]


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "VALID", "testing"), ("train", "test")])
def test_split_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    for part in names:
        for label in ("x", "y"):
            picture(tmp_path / part / label / "a.png")
    samples = read_folder(tmp_path)
    assert samples.classes == ("x", "y") and samples.given_split is not None
    parts = [k.split("/")[0].lower()[:2] for k in samples.pictures.keys]
    assert [s[:2] for s in samples.given_split] == parts
    assert set(samples.given_split) == ({"train", "val", "test"} if len(names) == 3 else {"train", "test"})


def test_a_class_named_train_is_a_class_but_two_readings_are_refused(tmp_path: Path) -> None:
    for name in ("train/a.png", "car/b.png"):
        picture(tmp_path / name)
    assert read_folder(tmp_path).classes == ("car", "train")
    picture(tmp_path / "test" / "c.png")
    with pytest.raises(DataError, match="layout='classes'"):
        read_folder(tmp_path)
    assert read_folder(tmp_path, layout="classes").classes == ("car", "test", "train")
    with pytest.raises(DataError, match="car"):
        read_folder(tmp_path, layout="splits")


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside" / "secret.png")
    root = tmp_path / "data"
    for name in ("a/1.png", "b/1.png", "a/.hidden.png", ".git/x.png", "__MACOSX/a/1.png", "stray.png", "a/suffixless"):
        picture(root / name)
    (root / "a" / "notes.txt").write_text("hello")
    (root / "a" / "link_out.png").symlink_to(outside)
    (root / "a" / "link_in.png").symlink_to(root / "b" / "1.png")
    (root / "a" / "loop.png").symlink_to(root / "a" / "loop.png")
    (root / "b" / "folder_link").symlink_to(root / "a")
    os.mkfifo(root / "b" / "pipe.png")
    (root / "empty").mkdir()
    (root / "b" / "folder.jpg").mkdir()
    os.close(os.open(os.fsencode(root) + b"/b/\xff\xfe.png", os.O_CREAT | os.O_WRONLY))
    samples = read_folder(root)
    assert sorted(samples.pictures.keys) == ["a/1.png", "a/link_in.png", "a/suffixless", "b/1.png"]
    reasons = {s.key: s.reason for s in samples.set_aside}
    assert reasons["a/notes.txt"] == "not a picture"
    assert "out of the data folder" in reasons["a/link_out.png"]
    assert "link" in reasons["a/loop.png"] and "link to a folder" in reasons["b/folder_link"]
    assert reasons["b/pipe.png"] == "not a regular file"
    assert "no class" in reasons["stray.png"] and "without pictures" in reasons["empty/"]
    assert "UTF-8" in reasons["b/\\udcff\\udcfe.png"]
    assert all(key.isprintable() for key in reasons)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "found no picture"),
        (["only/a.png"], "found one, only"),
        (["a.png", "b.png"], "2 pictures and no class folders"),
        (["train/x/a.png", "val/x/a.png"], "found one, x"),
    ],
)
def test_what_no_classifier_can_learn_from(tmp_path: Path, names: list[str], expected: str) -> None:
    for name in names:
        picture(tmp_path / name)
    with pytest.raises(DataError, match=expected) as error:
        read_folder(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_missing_path_and_file_instead_of_folder(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="nothing there"):
        read_folder(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="a file"):
        read_folder(picture(tmp_path / "a.png"))


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission bits do not bind the root user, so the refusal is simulated."""

    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataNotFoundError, match="Permission denied; check its permissions"):
        read_folder(tmp_path)


@pytest.mark.timeout(120)
def test_thousands_of_files_and_deep_folders(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(1500):
            os.close(os.open(tmp_path / label / f"{i}.jpg", os.O_CREAT | os.O_WRONLY))
    deep = tmp_path / "a" / "/".join("d" * 200)
    picture(deep / "x.png")
    assert len(read_folder(tmp_path)) == 3_001


def test_pictures_for_prediction(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "in" / "2.png"), picture(tmp_path / "in" / "10.png")
    other = picture(tmp_path / "x.png")
    samples = read_pictures([other, tmp_path / "in"])
    assert list(samples.pictures.keys) == [other.as_posix(), first.as_posix(), second.as_posix()]
    assert samples.truth is None and samples.pictures.read(1, 1).values.shape == (4, 4, 1)
    with pytest.raises(DataNotFoundError, match="nothing there"):
        read_pictures(tmp_path / "gone.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found none"):
        read_pictures(tmp_path / "empty")
