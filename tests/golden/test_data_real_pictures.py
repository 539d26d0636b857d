"""Real odd files: what the readers and the scan say of them, against what is known of each."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from convscope.data.audit import audit_with_copies
from convscope.data.decode import decode_file, decode_stored
from convscope.data.fit import fit_picture
from convscope.data.folder import read_folder
from convscope.data.hashing import identical_pictures
from convscope.data.split import fold_samples
from convscope.errors import PictureError
from convscope.records.geometry import Preprocess

pytestmark = pytest.mark.real_data

# Formats outside the allow-list, and a colour space without a range: refused by name, though Pillow opens them.
REFUSED = {"JPEG2000", "PPM", "LAB"}


def rows(real_data: Path) -> list[dict[str, str]]:
    with open(real_data / "odd-images" / "odd.tsv", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_odd_picture_is_decoded_or_refused_as_known(real_data: Path) -> None:
    listed = rows(real_data)
    assert len(listed) == 40
    for row in listed:
        path = real_data / "odd-images" / row["file"]
        words = row["Pillow 13.0.0"]
        if words.startswith("FAIL") or REFUSED & set(words.split()):
            with pytest.raises(PictureError) as error:
                decode_file(path, 3)
            assert "\n" not in str(error.value)
            continue
        picture = decode_file(path, 3)
        assert picture.values.min() >= 0 and picture.values.max() <= 255 and picture.values.shape[2] == 3, row["file"]
        if int(words.split()[-1]) > 1 and not row["file"].endswith("mpo"):
            assert any(f"first of {words.split()[-1]} frames" in n for n in picture.notes), row["file"]


def test_ordinary_modes_equal_pillow(real_data: Path) -> None:
    compared = 0
    for row in rows(real_data):
        path = real_data / "odd-images" / row["file"]
        if not row["file"].startswith("odd__") or REFUSED & set(row["Pillow 13.0.0"].split()):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.mode not in ("RGB", "L", "CMYK") or "transparency" in image.info:
                    continue
                theirs = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)
        ours = decode_file(path, 3).values.astype(int)
        assert np.abs(ours - theirs).max() <= 2 and ours.shape == theirs.shape, row["file"]
        compared += 1
    assert compared == 16


def test_turned_scenes_agree(real_data: Path) -> None:
    """The same scene stored in four orientations looks the same upright (as well as JPEG allows)."""
    scenes = [decode_file(real_data / "odd-images" / f"odd__exif_Landscape_{n}.jpg", 1).values for n in (1, 3, 6, 8)]
    assert {s.shape for s in scenes} == {(1200, 1800, 1)}
    for scene in scenes[1:]:
        assert np.corrcoef(scenes[0][::40, ::40].ravel(), scene[::40, ::40].ravel())[0, 1] > 0.9


def test_scan_of_the_brain_scans_names_what_is_known(real_data: Path) -> None:
    samples = read_folder(real_data / "cls-brain-mri-yesno")
    audit, copies = audit_with_copies(samples, network_hw=(224, 224))
    found = {f.kind: f for f in audit.findings}
    assert audit.n == 122 and audit.classes == {"yes": 75, "no": 47}
    assert audit.extensions == {".jpg": 75, ".JPG": 46, ".jpeg": 1}
    assert "no/no.jpg is a 512×512 PNG" in found["wrong-extension"].what and found["wrong-extension"].count == 1
    assert "no/no.jpg" in found["alpha"].what
    assert audit.kinds["JPEG, grey"] == 9 and found["mixed-colour"].facts["stored grey"] == 9
    keys = samples.pictures.keys
    assert {tuple(keys[i] for i in g) for g in copies.files} == {
        ("no/4 no.jpg", "no/N5.jpg"), ("no/13 no.jpg", "no/42 no.jpg"), ("no/17 no.jpg", "no/27 no.jpg"),
        ("no/40 no.jpg", "no/41 no.jpg"), ("no/49 no.jpg", "no/no 1.jpg"), ("yes/Y10.jpg", "yes/Y37.jpg"),
        ("yes/Y14.jpg", "yes/Y17.jpg"),
    }  # fmt: skip
    assert {tuple(sorted(g)) for g in identical_pictures(samples)} == {tuple(sorted(g)) for g in copies.files}
    near = {tuple(keys[i] for i in g) for g in copies.near}
    assert ("no/13 no.jpg", "no/no 8.jpg") in near and ("yes/Y60.jpg", "yes/Y156.JPG") in near
    assert found["small"].count == 39
    brightness = found["shortcut-brightness"].facts["mean brightness"]
    assert brightness["class"] == "yes" and 0.74 <= brightness["auc"] <= 0.78
    for fold in fold_samples(samples, 5, seed=0, same=copies.together()):
        test = set(fold.test.tolist())
        assert all(len(test & set(g)) in (0, len(g)) for g in copies.together())


def test_scan_of_the_sign_digits_names_the_turned_one(real_data: Path) -> None:
    samples = read_folder(real_data / "cls-sign-digits")
    audit, copies = audit_with_copies(samples)
    turned = next(f for f in audit.findings if f.kind == "rotated")
    assert "3024×3024" in turned.what and turned.pictures == (("7/IMG_5935.JPG",),)
    assert audit.n == 301 and len(audit.classes) == 10 and not copies.files
    data = (real_data / "cls-sign-digits" / "7" / "IMG_5935.JPG").read_bytes()
    stored = decode_stored(data, "k", channels=3, at_least_hw=(100, 100))
    assert stored.orientation == 6 and stored.picture.values.shape == (378, 378, 3)
    assert stored.picture.source_hw == (3024, 3024)


@pytest.mark.parametrize(("name", "most"), [("det-bccd", 0.5), ("det-coco128", 2.5)])
def test_reduced_decoding_is_close_and_without_bias(real_data: Path, name: str, most: float) -> None:
    """Smooth pictures (blood cells) and finely textured ones (street scenes), 640 x 480, at 224 x 224."""
    apart, bias = [], []
    for path in sorted((real_data / name).rglob("*.jpg"))[:12]:
        whole, reduced = (
            fit_picture(decode_file(path, 3, floor), Preprocess(224, 224))[0] for floor in (None, (224, 224))
        )
        difference = reduced.astype(float) - whole
        apart.append(np.abs(difference).mean())
        bias.append(difference.mean())
    assert 0 < np.mean(apart) <= most and abs(np.mean(bias)) < 0.1
