"""Scans of masks and of groups: what was planted is found, a clean set is usable."""

import numpy as np
import pytest

from convscope.data.audit import audit_samples
from convscope.data.opening import read_data
from convscope.data.split import split_samples
from unit.data.medical_made import series
from unit.data.test_mask_folders import picture, save, square


def scan(path):
    audit = audit_samples(read_data(path))
    return audit, {f.kind: f for f in audit.findings}


def test_masks(tmp_path):
    chance = np.random.default_rng(0)
    for i in range(4):
        from PIL import Image

        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / f"images/{i}.png")
        mask = np.zeros((40, 50), np.uint8)
        if i:
            mask[:20] = 1
            mask[30:32, 5:9] = 3
        mask[:, 49] = 255
        save(tmp_path / f"masks/{i}.png", mask)
    audit, found = scan(tmp_path)
    assert audit.classes == {"background": 4, "class 1": 3, "class 3": 3, "class 2": 0}
    assert found["absent-class"].what.startswith("No pixel of class 2")
    assert found["empty-masks"].pictures == (("images/0.png",),)
    assert "class 3" in found["rare-class"].what and found["rare-class"].count == 1
    assert found["void"].what == "2 % of all pixels are void, in 4 masks."
    assert audit.summary[0][0] == "Usable." and "in 3" in audit.summary[1][1]


def test_a_mask_that_can_not_be_read_must_be_fixed(tmp_path):
    for name in "ab":
        picture(tmp_path / f"images/{name}.png")
        save(tmp_path / f"masks/{name}.png", square(1))
    samples = read_data(tmp_path)
    save(tmp_path / "masks/b.png", square(7))
    audit = audit_samples(samples)
    finding = next(f for f in audit.findings if f.kind == "unreadable-masks")
    assert finding.urgency == "must fix" and "value 7" in finding.what and finding.pictures == (("images/b.png",),)


def test_a_patient_on_both_sides_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_KEY_FILE", str(tmp_path / "key"))
    for part, patients in (("train", ("p1", "p2")), ("val", ("p2", "p3"))):
        for name in ("ill", "well"):
            for patient in patients:
                series(
                    tmp_path / "data" / part / name / patient, 2, PatientID=f"{patient}-{name}", BurnedInAnnotation="NO"
                )
    audit, found = scan(tmp_path / "data")
    leak = found["group-leak"]
    assert leak.urgency == "must fix" and leak.title == "A patient on both sides" and leak.count == 8
    assert leak.what.startswith("2 of 6 patients") and "p2" not in repr(audit)
    assert audit.data == "medical pictures"
    samples = read_data(tmp_path / "data")
    clean = split_samples(samples.subset(np.flatnonzero(np.array(samples.given_split) == "train")), seed=0)
    assert clean.train.size and clean.val.size


@pytest.mark.real_data
def test_real_masks(real_data):
    audit, found = scan(real_data / "seg-em-membranes")
    assert audit.n == 11 and audit.classes == {"background": 11, "foreground": 11}
    assert not {"unreadable-masks", "absent-class", "rare-class"} & set(found)
