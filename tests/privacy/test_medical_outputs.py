"""No word of a medical file reaches anything that is shown or written: names, errors, scans, pages, label volumes."""

import io
import json
import logging
import pickle
import warnings

import numpy as np
import pydicom
import pytest

from convscope.actions.scan import scan
from convscope.data.dicom_seg import write_dicom_seg
from convscope.data.opening import read_data
from convscope.data.privacy import KEY_VARIABLE, key_file, study_names
from convscope.data.volume_writing import write_dicom_series, write_nifti, write_slices
from convscope.draw.png import png_bytes
from convscope.errors import ConvscopeError, DataError, StorageError
from privacy.harness import search_bytes, search_outputs
from privacy.planted import LEAST_TAGS, planted_dicom, planted_nifti, planted_nrrd


@pytest.fixture(autouse=True)
def _key(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path_factory.mktemp("key") / "k"))


def whole(samples, out):
    """Everything that a data set says of itself, written into `out`."""
    said = {
        "keys": samples.pictures.keys, "groups": samples.groups, "classes": samples.classes, "source": samples.source,
        "set_aside": [[s.key, s.reason] for s in samples.set_aside], "root": str(samples.root),
    }  # fmt: skip
    notes, errors = [], []
    for i in range(len(samples)):
        try:
            picture = samples.pictures.read(i, 3)
            notes.append(picture.notes)
            (out / f"picture{i}.png").write_bytes(png_bytes(picture.values))
        except ConvscopeError as error:
            errors.append(str(error))
    (out / "said.json").write_text(json.dumps(said | {"notes": notes, "errors": errors}, default=str))


def test_dicom(tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    out.mkdir()
    markers = []
    folder = tmp_path / "ZQfolderKW"
    for number in range(12):
        part = ("train", "val")[number % 2]
        label = ("ill", "well")[number // 2 % 2]
        own = planted_dicom(folder / part / label / f"ZQdir{number}KW" / "im.dcm", number, patient=number // 4)
        assert len(own) > LEAST_TAGS
        markers += own
    markers += ["ZQfolderKW", "ZQdir"]
    caplog.clear()  # pydicom complained while the words were planted
    capfd.readouterr()
    _damage(next(folder.rglob("*00*.dcm")))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        samples = read_data(folder)
        whole(samples, out)
        audit = scan(folder, report=out / "scan.html", image_size=64)
    (out / "scan.json").write_text(json.dumps(audit.as_dict()))
    (out / "heard.txt").write_text("\n".join(str(w.message) for w in heard) + caplog.text + "".join(capfd.readouterr()))
    assert len(set(markers)) > 12 * LEAST_TAGS
    assert any(f.kind == "group-leak" for f in audit.findings)
    assert search_outputs(out, set(markers)) == []
    # the search has teeth: it finds every single word in the files themselves
    path = next(folder.rglob("*05x*.dcm"))
    own = {m for m in markers if "05x" in m and "file" not in m}
    assert {h.marker for h in search_bytes(path.read_bytes(), own)} == own


def _damage(path):
    data = path.read_bytes()
    path.with_name("cut.dcm").write_bytes(data[: len(data) - 200])


def test_errors_of_damaged_files_repeat_nothing(tmp_path):
    """Cut, shuffled and overwritten at 60 places."""
    from convscope.data.dicom_frames import FramesSource

    markers = planted_dicom(tmp_path / "x.dcm", 1)
    path = next(tmp_path.glob("*.dcm"))
    data = path.read_bytes()
    chance, said = np.random.default_rng(0), []
    for k in range(60):
        broken = bytearray(data)
        at = int(chance.integers(132, len(data) - 8))
        broken[at : at + 4] = bytes(chance.integers(0, 256, 4, dtype=np.uint8))
        (tmp_path / "broken.dcm").write_bytes(bytes(broken) if k % 2 else bytes(broken[:at]))
        source = FramesSource(tmp_path, ("broken.dcm",), (0,), ("study-1",), ("",))
        try:
            said.append(repr(source.read(0, 3).notes))
        except ConvscopeError as error:
            import traceback

            said.append("".join(traceback.format_exception(error)).replace(str(tmp_path), ""))
    assert search_bytes("\n".join(said).encode(), markers) == []


@pytest.mark.parametrize("kind", ["nifti", "nrrd"])
def test_volumes(tmp_path, kind):
    out, folder = tmp_path / "out", tmp_path / "ZQfolderKW"
    out.mkdir()
    markers = ["ZQfolderKW"]
    chance = np.random.default_rng(0)
    plant, suffix = (planted_nifti, "nii.gz") if kind == "nifti" else (planted_nrrd, "nrrd")
    for number in range(3):
        values = chance.normal(100, 20, (12, 13, 4)).astype("f4")
        label = np.zeros((12, 13, 4), "u1")
        label[3:6, 3:6] = 1
        name = f"case.{suffix}"
        markers += plant(folder / "images" / name, number, values)
        markers += plant(folder / "labels" / name, number, label)
    samples = read_data(folder)
    assert samples.task == "segment" and len(samples) == 12
    whole(samples, out)
    audit = scan(folder, report=out / "scan.html")
    (out / "scan.json").write_text(json.dumps(audit.as_dict()))
    from convscope.data.slices import open_volume

    opened = open_volume(samples.pictures.files[0])
    labels = np.zeros(opened.grid.shape, np.uint8)
    write_nifti(out / "result.nii.gz", labels, opened.grid)
    write_dicom_series(out / "series", labels, opened.grid, study=samples.pictures.files[0].name)
    labels[1, 1, 1] = 1
    write_dicom_seg(out / "seg.dcm", labels, opened.grid, classes=samples.classes, study=samples.pictures.files[0].name)
    write_slices(out / "slices", labels, opened.grid, "axial")
    assert search_outputs(out, set(markers)) == []
    read = pydicom.dcmread(io.BytesIO(next((out / "series").iterdir()).read_bytes()))
    assert read.PatientID.startswith("study-")


def test_the_key_is_the_owners_alone(tmp_path, monkeypatch):
    names = study_names()
    path = key_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert study_names().of("study", "a/b.dcm") == names.of("study", "a/b.dcm")
    assert names.of("study", "a") != names.of("patient", "a") != names.of("study", "b")
    assert names.key.hex() not in repr(names)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(names)
    path.chmod(0o644)
    with pytest.raises(DataError, match="chmod 600"):
        study_names()
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(DataError, match="hexadecimal"):
        study_names()
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "other"))
    assert study_names().of("study", "a/b.dcm") != names.of("study", "a/b.dcm")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "file" / "key"))
    with pytest.raises((StorageError, DataError)):
        study_names()
