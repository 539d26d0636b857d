"""The scan finds what was planted, says it in one line, and says nothing of a clean set."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.audit import audit_samples, audit_with_copies
from convscope.data.folder import read_folder
from convscope.data.opening import read_data
from convscope.data.split import split_samples
from convscope.records.audit import Audit, Finding


def photo(seed: int, size: tuple[int, int] = (90, 70), level: float = 0.0) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (7, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(coarse).astype(float) + level, 0, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for c, label in enumerate(("ant", "bee")):
        (tmp_path / label).mkdir()
        for i in range(24):
            photo(100 * c + i).save(tmp_path / label / f"{(i * 37 + c * 11) % 97:03d}.png")
    return tmp_path


def finding(audit: Audit, kind: str) -> Finding:
    hits = [f for f in audit.findings if f.kind == kind]
    assert len(hits) == 1, [f.kind for f in audit.findings]
    return hits[0]


def test_a_clean_set_has_no_findings(folder: Path) -> None:
    audit = audit_samples(read_folder(folder))
    assert audit.findings == () and audit.n == 48
    assert audit.classes == {"ant": 24, "bee": 24} and audit.kinds == {"PNG, colour": 48}
    assert audit.summary[0][0] == "Usable."
    assert len(audit.sizes) == len(audit.brightness) == len(audit.truth) == 48
    json.dumps(audit.as_dict())


def test_planted_copies(folder: Path) -> None:
    names = sorted((folder / "ant").iterdir())
    shutil.copy(names[0], folder / "ant" / "x_copy.png")
    Image.open(names[1]).save(folder / "ant" / "x_pixels.png", compress_level=1)
    Image.open(names[2]).resize((200, 160), Image.Resampling.LANCZOS).save(folder / "ant" / "x_big.jpg", quality=80)
    Image.open(names[3]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "ant" / "x_turned.png")
    shutil.copy(names[4], folder / "bee" / "x_wrong.png")
    audit, copies = audit_with_copies(read_folder(folder))
    keys = read_folder(folder).pictures.keys
    assert {tuple(sorted(keys[i] for i in g)) for g in copies.files} == {
        (f"ant/{names[0].name}", "ant/x_copy.png"),
        (f"ant/{names[4].name}", "bee/x_wrong.png"),
    }
    assert finding(audit, "identical-pixels").pictures == ((f"ant/{names[1].name}", "ant/x_pixels.png"),)
    assert finding(audit, "near-duplicates").pictures == ((f"ant/{names[2].name}", "ant/x_big.jpg"),)
    assert finding(audit, "mirrored").pictures == ((f"ant/{names[3].name}", "ant/x_turned.png"),)
    wrong = finding(audit, "two-classes")
    assert wrong.urgency == "must fix" and wrong.count == 2 and audit.findings[0] == wrong
    assert audit.summary[0][0] == "Usable after one fix."
    split = split_samples(read_folder(folder), seed=0, same=copies.together())
    assert not [f for f in audit_samples(read_folder(folder), split=split).findings if f.kind.startswith("leak")]


def test_copies_on_two_sides_are_a_leak(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "parts"
    shutil.copytree(folder / "ant", root / "train" / "ant")
    shutil.copytree(folder / "bee", root / "train" / "bee")
    for i, label in enumerate(("ant", "bee")):
        (root / "test" / label).mkdir(parents=True)
        photo(900 + i).save(root / "test" / label / "fresh.png")
    names = sorted((folder / "ant").iterdir())
    shutil.copy(names[0], root / "test" / "ant" / "same.png")
    Image.open(names[1]).resize((45, 35)).save(root / "test" / "ant" / "small.png")
    audit = audit_samples(read_folder(root))
    assert finding(audit, "leak-identical").pictures == ((f"train/ant/{names[0].name}", "test/ant/same.png"),)
    assert finding(audit, "leak-near").urgency == "must fix"


def test_a_group_on_two_sides_is_a_leak(folder: Path) -> None:
    lines = ["path,label,group,split"]
    for label in ("ant", "bee"):
        for i, path in enumerate(sorted((folder / label).iterdir())):
            group = "p7" if i in (0, 20) else f"{label}{i}"
            lines.append(f"{label}/{path.name},{label},{group},{'train' if i < 18 else 'val'}")
    (folder / "t.csv").write_text("\n".join(lines))
    audit = audit_samples(read_data(folder / "t.csv"))
    assert finding(audit, "leak-group").count == 4


def test_bad_files_are_named_with_reasons(folder: Path) -> None:
    (folder / "ant" / "empty.png").write_bytes(b"")
    buffer = io.BytesIO()
    photo(1).save(buffer, "JPEG")
    (folder / "ant" / "cut.jpg").write_bytes(buffer.getvalue()[:-20])
    (folder / "bee" / "really_jpeg.png").write_bytes(buffer.getvalue())
    photo(5).convert("L").save(folder / "bee" / "grey.png")
    Image.new("RGB", (60, 60), (9, 9, 9)).save(folder / "bee" / "flat.png")
    rgba = photo(6)
    rgba.putalpha(100)
    rgba.save(folder / "bee" / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(7).save(folder / "bee" / "turned.jpg", exif=exif)
    audit = audit_samples(read_folder(folder), network_hw=(80, 80))
    bad = finding(audit, "unreadable")
    assert bad.count == 2 and "ant/cut.jpg: truncated" in bad.what and "ant/empty.png: empty file" in bad.what
    assert "bee/really_jpeg.png is a 90×70 JPEG" in finding(audit, "wrong-extension").what
    assert finding(audit, "constant").pictures == (("bee/flat.png",),)
    assert "bee/clear.png" in finding(audit, "alpha").what
    assert "bee/turned.jpg" in finding(audit, "rotated").what
    assert ("bee/grey.png",) in finding(audit, "mixed-colour").pictures
    assert finding(audit, "small").count == audit.n and "60 px" in finding(audit, "small").what
    assert [f.urgency for f in audit.findings] == sorted(
        (f.urgency for f in audit.findings), key=["must fix", "look", "note"].index
    )
    assert all("\n" not in f.what + f.does for f in audit.findings)


@pytest.mark.parametrize("plant", ["brightness", "size", "name", "extension", "edge"])
def test_shortcuts_are_found(tmp_path: Path, plant: str) -> None:
    for c, label in enumerate(("ant", "bee")):
        (tmp_path / label).mkdir()
        for i in range(30):
            image = photo(100 * c + i, level=40.0 * c if plant == "brightness" else 0.0)
            image = image.resize((90 + 10 * c + i % 9, 70)) if plant == "size" else image
            if plant == "edge" and c:
                image.paste((255, 255, 255), (84, 64, 90, 70))
            stem = f"{'AB'[c]}{i}" if plant == "name" else f"{(i * 37 + c * 11) % 97:03d}"
            image.save(tmp_path / label / f"{stem}.{'PNG' if plant == 'extension' and c else 'png'}")
    audit = audit_samples(read_folder(tmp_path))
    kinds = {f.kind for f in audit.findings if f.kind.startswith("shortcut")}
    assert kinds == {{"extension": "shortcut-name"}.get(plant, f"shortcut-{plant}")}
    numbers = [v for f in audit.findings for v in f.facts.values() if isinstance(v, dict)]
    assert max(v["auc"] for v in numbers) > 0.8 and all(v["low"] <= v["auc"] <= v["high"] for v in numbers)
    assert any(bold == "Be careful with the result." for bold, _ in audit.summary)


def test_no_shortcut_is_cried_for_nothing() -> None:
    """Twenty sets of labels by chance: at most one false alarm among them."""
    rng = np.random.default_rng(0)
    x = np.stack([np.asarray(photo(i)) for i in range(60)])
    alarms = 0
    for _ in range(20):
        audit = audit_samples(read_data((x, rng.permutation(60) % 3)))
        alarms += any(f.kind.startswith("shortcut") for f in audit.findings)
    assert alarms <= 1


def test_classes_that_are_few_uneven_or_look_alike(folder: Path) -> None:
    for name, count in (("Ant ", 2), ("solo", 1)):
        (folder / name).mkdir()
        for i in range(count):
            photo(500 + len(name) * 10 + i).save(folder / name / f"{i}.png")
    audit = audit_samples(read_folder(folder))
    assert finding(audit, "lone-class").urgency == "must fix"
    assert (
        "'ant' and 'Ant '" in finding(audit, "class-names").what
        or "'Ant ' and 'ant'" in finding(audit, "class-names").what
    )
    assert "24.0 to 1" in finding(audit, "imbalance").what
    assert finding(audit, "few-pictures").count == 2


def test_progress_threads_and_nothing_readable(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    one = audit_samples(read_folder(folder), workers=1, progress=lambda _, done, total: calls.append((done, total)))
    assert calls == [(i, 48) for i in range(1, 49)]
    assert audit_samples(read_folder(folder), workers=4) == one
    for path in folder.rglob("*.png"):
        path.write_bytes(b"broken")
    audit = audit_samples(read_folder(folder))
    assert audit.n == 0 and audit.summary[0][0] == "Not usable."


def test_regression_and_arrays_can_be_scanned() -> None:
    x = np.stack([np.asarray(photo(i)) for i in range(12)] + [np.asarray(photo(3))])
    audit = audit_samples(read_data((x, np.linspace(0, 1, 13))))
    assert audit.classes == {} and audit.truth == () and audit.task == "regress"
    assert finding(audit, "identical-files").pictures == (("array/000003", "array/000012"),)
