"""Tables of paths and truths: which column is what, which task follows, and errors with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.columns import Columns
from convscope.data.table import read_table
from convscope.errors import DataError, DataNotFoundError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    for i in range(6):
        Image.new("L", (3, 3), i).save(tmp_path / "p" / f"{i}.png")
    return tmp_path


def table(folder: Path, text: str, name: str = "t.csv", **options: object):
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(folder / name, **options)


ROWS = [f"p/{i}.png,{'dog' if i % 2 else 'cat'}" for i in range(6)]


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("heading", ["path{}label", "File{}Class", ""])
def test_classes(folder: Path, separator: str, heading: str) -> None:
    lines = ([heading.format(separator)] if heading else []) + [r.replace(",", separator) for r in ROWS]
    options = {} if heading else {"columns": Columns(label="2")}
    samples = table(folder, "\n".join(lines) + "\n", **options)
    assert samples.task == "classify" and samples.classes == ("cat", "dog")
    assert samples.truth is not None and samples.truth.tolist() == [0, 1] * 3
    assert samples.pictures.read(5, 1).values[0, 0, 0] == 5


def test_byte_order_mark_quotes_and_blank_lines(folder: Path) -> None:
    text = '\ufeffpath,label\r\n"p/0.png" , cat\r\n\r\np/1.png,"dog, big"\r\n'.replace('" ,', '",')
    samples = table(folder, text)
    assert samples.classes == ("cat", "dog, big")


def test_group_and_split_columns(folder: Path) -> None:
    rows = [f"{r},g{i // 2},{('train', 'valid', 'TEST')[i % 3]}" for i, r in enumerate(ROWS)]
    samples = table(folder, "path,label,patient,split\n" + "\n".join(rows))
    assert samples.groups == ("g0", "g0", "g1", "g1", "g2", "g2")
    assert samples.given_split == ("train", "val", "test") * 2
    assert "group from patient" in samples.source


def test_numbers_threshold_and_whole_numbers(folder: Path) -> None:
    text = "path,value\n" + "\n".join(f"p/{i}.png,{i / 5}" for i in range(6))
    samples = table(folder, text)
    assert samples.task == "regress" and samples.classes == ("value",)
    assert samples.truth is not None
    np.testing.assert_allclose(samples.truth[:, 0], np.arange(6) / 5, rtol=1e-6)
    halves = table(folder, text, columns=Columns(threshold=0.6, classes=("good", "bad")))
    assert halves.task == "classify" and halves.truth is not None and halves.truth.tolist() == [0, 0, 0, 1, 1, 1]
    whole = "path,y\n" + "\n".join(f"p/{i}.png,{i % 3}" for i in range(6))
    assert table(folder, whole).task == "classify"
    assert table(folder, whole, task="regress").task == "regress"


def test_a_column_headed_probability_is_two_classes_at_one_half(folder: Path) -> None:
    text = "path,Probability\n" + "\n".join(f"p/{i}.png,{p}" for i, p in enumerate((0, 0.33, 0.5, 1, 0.49, 0.67)))
    found = table(folder, text)
    assert found.task == "classify" and found.classes == ("below 0.5", "0.5 and above")
    assert found.truth is not None and found.truth.tolist() == [0, 0, 1, 1, 0, 1]
    assert "Probability >= 0.5" in found.source
    assert table(folder, text, task="regress").task == "regress"
    assert table(folder, text.replace("0.67", "1.67")).task == "regress", "no probability"


def test_several_labels(folder: Path) -> None:
    cells = ["a|b", "", "b", "c | a", "c", "a"]
    text = "path,tags\n" + "\n".join(f"p/{i}.png,{c}" for i, c in enumerate(cells))
    samples = table(folder, text, columns=Columns(label_separator="|"))
    assert samples.task == "multilabel" and samples.classes == ("a", "b", "c")
    assert samples.truth is not None
    assert samples.truth.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 0, 0]]
    for separator in ("|", ";", " "):
        found = table(folder, text.replace(" | ", separator).replace("|", separator), task="multilabel")
        assert found.truth is not None and found.truth.tolist() == samples.truth.tolist()
    with pytest.raises(DataError, match=r"separated by \| ; , or a blank, found one in each"):
        table(folder, "path,tags\n" + "\n".join(f"p/{i}.png,a{i % 2}" for i in range(6)), task="multilabel")
    columns = "path,sun,rain\n" + "\n".join(f"p/{i}.png,{i % 2},{i // 3}" for i in range(6))
    wide = table(folder, columns)
    assert wide.task == "multilabel" and wide.classes == ("sun", "rain")
    numbers = table(folder, columns.replace("png,1,1", "png,1.5,1"))
    assert numbers.task == "regress" and numbers.truth is not None and numbers.truth.shape == (6, 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("p/5.png,", "empty cell"),
        ("p/5.png,NaN", "NaN"),
        ("p/5.png,3", "numbers and text"),
        ("p/5.png,cat,extra", "2 cells"),
        ("../../etc/passwd,cat", "leads out"),
        ("p/../../x.png,cat", "leads out"),
        ("/etc/passwd,cat", "relative"),
        ("C:\\x.png,cat", "relative|address"),
        ("a\\..\\..\\b.png,cat", "leads out"),
        ("http://example.org/a.png,cat", "nothing is downloaded"),
        ("CON,cat", "device"),
        ("p/0.png,dog", "another label than in line 2"),
        ('"p/5.png,cat', "can't be|can be read|not a table"),
        (",cat", "empty cell"),
    ],
)
def test_errors_name_file_and_line(folder: Path, line: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as error:
        table(folder, "path,label\n" + "\n".join(ROWS[:5]) + "\n" + line + "\n")
    assert "t.csv:7" in str(error.value) and "\n" not in str(error.value)


def test_missing_pictures_are_set_aside_and_no_picture_is_an_error(folder: Path) -> None:
    samples = table(folder, "path,label\n" + "\n".join([*ROWS, "p/none.png,cat", "q/x.png,cat", "p/1.png,dog"]))
    assert len(samples) == 6
    reasons = {s.key: s.reason for s in samples.set_aside}
    assert "t.csv:8" in reasons["p/none.png"] and "listed twice" in reasons["p/1.png"] and "q/x.png" in reasons
    with pytest.raises(DataError, match="give their folder as root"):
        table(folder, "path,label\nx/0.png,cat\nx/1.png,dog")
    moved = "path,label\n" + "\n".join(r.removeprefix("p/") for r in ROWS)
    assert len(table(folder, moved, root=folder / "p")) == 6


def test_links_out_of_the_folder_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    Image.new("L", (3, 3)).save(outside / "s.png")
    (folder / "p" / "link.png").symlink_to(outside / "s.png")
    (folder / "q").symlink_to(outside)
    samples = table(folder, "path,label\n" + "\n".join([*ROWS, "p/link.png,cat", "q/s.png,cat"]))
    assert {s.key for s in samples.set_aside} == {"p/link.png", "q/s.png"}


def test_unknown_columns_splits_and_classes_name_the_nearest(folder: Path) -> None:
    text = "path,label,part\n" + "\n".join(f"{r},train" for r in ROWS)
    with pytest.raises(DataError, match="did you mean label"):
        table(folder, text, columns=Columns(label="lable"))
    with pytest.raises(DataError, match="did you mean test"):
        table(folder, text.replace("p/5.png,dog,train", "p/5.png,dog,tests"))
    with pytest.raises(DataError, match=r"t\.csv:3: unknown class dog|t\.csv:3: unknown class 'dog'"):
        table(folder, text, columns=Columns(classes=("cat", "dogs")))
    with pytest.raises(DataError, match="both path and file"):
        table(folder, "path,file,label\n" + "\n".join(f"{r.split(',')[0]},{r}" for r in ROWS))
    with pytest.raises(DataError, match="expected a column of picture paths"):
        table(folder, "a,b\nx,y\n")


def test_one_class_empty_and_wrong_encodings(folder: Path) -> None:
    with pytest.raises(DataError, match="found one, cat"):
        table(folder, "path,label\np/0.png,cat\np/1.png,cat")
    with pytest.raises(DataError, match="no rows"):
        table(folder, "")
    with pytest.raises(DataError, match="UTF-8"):
        table(folder, "path,label\np/0.png,cat".encode("utf-16"))
    with pytest.raises(DataNotFoundError, match="nothing there"):
        read_table(folder / "gone.csv")
