"""DICOM: pixels as pydicom has them, geometry, series, and every damaged file refused by name."""

import io
import struct
import zlib

import numpy as np
import pydicom
import pytest

from convscope.data.dicom_pixels import decode_frame, shown_frame
from convscope.data.dicom_read import open_dicom
from convscope.data.dicom_series import read_series
from convscope.errors import PictureError
from unit.data.medical_made import dicom, series

KEY = "study-fedcba9876543210"


def frame_of(path, index=0):
    return decode_frame(open_dicom(path.read_bytes(), KEY), index, KEY)


def theirs(path, index=0):
    """Pixels after pydicom's own rescaling."""
    found = pydicom.dcmread(path, force=True)
    values = pydicom.pixels.pixel_array(found, index=index)
    return pydicom.pixels.apply_rescale(values, found)


def test_plain_grey(tmp_path):
    path = dicom(tmp_path / "a.dcm")
    frame = frame_of(path)
    np.testing.assert_array_equal(frame.values, np.arange(64).reshape(8, 8))
    values, notes = shown_frame(frame)
    low, high = np.percentile(np.arange(64), [0.5, 99.5])
    np.testing.assert_allclose(
        values, np.clip((np.arange(64).reshape(8, 8) - low) / (high - low), 0, 1) * 255, atol=1e-3
    )
    assert notes == ("greys from the 0.5 to the 99.5 percentile",)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
@pytest.mark.parametrize("signed", [False, True])
def test_rescale_as_pydicom_does(tmp_path, syntax, signed):
    pixels = (np.arange(64) - 32 * signed).astype("i2" if signed else "u2").reshape(8, 8)
    path = dicom(tmp_path / "a.dcm", pixels=pixels, syntax=syntax, RescaleSlope="2.5", RescaleIntercept="-1024")
    np.testing.assert_allclose(frame_of(path).values, theirs(path))


def test_monochrome1_is_turned_round_and_the_window_is_the_files(tmp_path):
    tags = {"WindowCenter": "30", "WindowWidth": "21"}
    plain, turned = (dicom(tmp_path / f"{k}.dcm", PhotometricInterpretation=f"MONOCHROME{k}", **tags) for k in (2, 1))
    values, notes = shown_frame(frame_of(plain))
    expected = pydicom.pixels.apply_windowing(np.arange(64).reshape(8, 8), pydicom.dcmread(plain))
    np.testing.assert_allclose(values / 255, expected / 4095, atol=1e-6)  # theirs is scaled to 12 bits
    np.testing.assert_allclose(shown_frame(frame_of(turned))[0], 255 - values)
    assert notes == ("greys by the file's window, centre 30, width 21",)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions(tmp_path, function):
    path = dicom(tmp_path / "a.dcm", WindowCenter=["30", "5"], WindowWidth=["21", "5"], VOILUTFunction=function)
    expected = pydicom.pixels.apply_windowing(np.arange(64).reshape(8, 8), pydicom.dcmread(path))
    np.testing.assert_allclose(shown_frame(frame_of(path))[0] / 255, expected / 4095, atol=1e-6)


@pytest.mark.parametrize("slope", ["0", "nan"])
def test_a_slope_that_cannot_be_meant_is_ignored_and_said(tmp_path, slope):
    path = dicom(tmp_path / "a.dcm", RescaleIntercept="7")
    data = path.read_bytes()
    found = pydicom.dcmread(io.BytesIO(data))
    found.add_new(0x00281053, "DS", "1")
    found.save_as(path)
    data = path.read_bytes().replace(
        b"\x28\x00\x53\x10DS\x02\x001 ", b"\x28\x00\x53\x10DS\x04\x00" + slope.ljust(4).encode()
    )
    path.write_bytes(data)
    frame = frame_of(path)
    np.testing.assert_array_equal(frame.values, np.arange(64).reshape(8, 8))
    assert "ignored" in frame.notes[0]


def test_a_window_that_is_none_falls_back(tmp_path):
    path = dicom(tmp_path / "a.dcm", WindowCenter="5", WindowWidth="0")
    assert "percentile" in shown_frame(frame_of(path))[1][0]


def test_palette(tmp_path):
    red = np.arange(256, dtype="u2") * 257
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for c, lut in (("Red", red), ("Green", red[::-1]), ("Blue", red * 0)):
        tags[f"{c}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{c}PaletteColorLookupTableData"] = lut.astype("<u2").tobytes()
    pixels = np.arange(64, dtype="u1").reshape(8, 8)
    values, notes = shown_frame(frame_of(dicom(tmp_path / "a.dcm", pixels=pixels, **tags)))
    np.testing.assert_allclose(values[..., 0], pixels, atol=1e-3)
    np.testing.assert_allclose(values[..., 1], 255 - pixels.astype(float), atol=1e-3)
    assert notes == ("palette",)


def test_colour_of_16_bits_keeps_its_levels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype("u2")
    path = dicom(
        tmp_path / "a.dcm", pixels=pixels, SamplesPerPixel=3, PhotometricInterpretation="RGB", BitsStored=16,
        HighBit=15, PlanarConfiguration=0,
    )  # fmt: skip
    np.testing.assert_allclose(shown_frame(frame_of(path))[0], pixels * (255 / 65535), atol=1e-4)


def test_frames(tmp_path):
    pixels = np.arange(128, dtype="u2").reshape(2, 8, 8)
    path = dicom(tmp_path / "a.dcm", pixels=pixels[0], NumberOfFrames="2", PixelData=pixels.tobytes())
    np.testing.assert_array_equal(frame_of(path, 1).values, pixels[1])


def test_a_series_in_any_order_is_one_volume(tmp_path):
    paths = series(tmp_path)
    volume = read_series(paths[::-1], KEY)
    assert volume.values.shape == (8, 8, 5) and volume.grid.codes == "LPS"
    np.testing.assert_array_equal(volume.values[:, :, 3].T, np.arange(64).reshape(8, 8) + 30)
    # voxel (column 2, row 1, slice 3) by DICOM PS3.3 C.7.6.2.1.1, then LPS to RAS
    expected = np.array([-7 + 2 * 0.75, -9 + 1 * 0.5, 7.5]) * [-1, -1, 1]
    np.testing.assert_allclose((volume.grid.affine @ [2, 1, 3, 1])[:3], expected)
    np.testing.assert_allclose(volume.grid.spacing_mm, (0.75, 0.5, 2.5))


BAD_SERIES = [
    ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "mixed orientation: 1 of 5"),
    ({"PixelSpacing": [0.6, 0.75]}, "mixed pixel spacing: 1 of 5"),
    ({"PatientID": "other"}, "slices of 2 patients"),
    ({"SeriesInstanceUID": "1.2.99"}, "slices of 2 series"),
    ({"ImagePositionPatient": [-7, -9, 2.5]}, "lie at the place of another"),
    ({"ImagePositionPatient": [-7, -9, 90]}, "uneven gaps"),
    ({"InstanceNumber": 1}, "the number of another one"),
]


@pytest.mark.parametrize(("tags", "words"), BAD_SERIES)
def test_a_series_of_mixed_geometry_is_refused_by_name(tmp_path, tags, words):
    paths = series(tmp_path)
    found = pydicom.dcmread(paths[0])
    for name, value in tags.items():
        setattr(found, name, value)
    found.save_as(paths[0])
    with pytest.raises(PictureError, match=words) as raised:
        read_series(paths, KEY)
    assert raised.value.path == KEY and "other" not in raised.value.reason.replace("another", "")


def test_slices_without_a_place_or_of_another_size(tmp_path):
    paths = series(tmp_path)
    found = pydicom.dcmread(paths[2])
    del found.ImagePositionPatient
    found.save_as(paths[2])
    with pytest.raises(PictureError, match="do not say where they lie"):
        read_series(paths, KEY)
    paths[2] = dicom(tmp_path / "odd.dcm", pixels=np.zeros((8, 9), "u2"), PatientID="12345")
    with pytest.raises(PictureError, match=r"2 (series|picture sizes)"):
        read_series(paths, KEY)


def refused(data, words, **how):
    with pytest.raises(PictureError, match=words) as raised:
        decode_frame(open_dicom(data, KEY, **how), 0, KEY)
    said = str(raised.value)
    assert said.startswith(KEY) and "DOE" not in said and "12345" not in said
    below = raised.value.__cause__, None if raised.value.__suppress_context__ else raised.value.__context__
    assert below == (None, None)  # no traceback shows what lay below


def test_d1_short_pixels_and_d2_absurd_sizes(tmp_path):
    refused(
        dicom(tmp_path / "a", PixelData=b"\0" * 60).read_bytes(), "expected 128 bytes of pixels by its header, got 60"
    )
    refused(dicom(tmp_path / "a", Rows=65535, Columns=65535).read_bytes(), "4,295 MP")
    refused(dicom(tmp_path / "a", NumberOfFrames="99999999").read_bytes(), "more than the limit")


def test_d3_length_past_the_end(tmp_path):
    data = bytearray(dicom(tmp_path / "a").read_bytes())
    place = data.rfind(b"OW")
    data[place + 4 : place + 8] = b"\xff\xff\xff\x7f"
    refused(bytes(data), "length past end of file")


def test_d4_deep_sequences(tmp_path):
    data = dicom(tmp_path / "a").read_bytes()
    opening = (
        struct.pack("<HH", 0x0040, 0xA730) + b"SQ\0\0\xff\xff\xff\xff" + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    )
    place = data.find(struct.pack("<HH", 0x7FE0, 0x0010))
    refused(data[:place] + opening * 10000 + data[place:], "nested too deep|damaged")


def test_d6_no_decoder_names_syntax_and_package(tmp_path):
    path = dicom(tmp_path / "a", syntax="1.2.840.10008.1.2.1")
    found = pydicom.dcmread(path)
    found.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\0\0"])
    found["PixelData"].is_undefined_length = True
    found.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
    found.save_as(path)
    refused(path.read_bytes(), r"JPEG Lossless.*pip install python-gdcm")


def test_d10_what_holds_no_picture(tmp_path):
    for kind, words in (
        ("1.2.840.10008.1.3.10", "DICOMDIR"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "PDF"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "structured report"),
    ):
        refused(dicom(tmp_path / "a", SOPClassUID=kind).read_bytes(), words)
    refused(b"hello" * 100, "not a DICOM file")
    path = dicom(tmp_path / "b")
    found = pydicom.dcmread(path)
    del found.PixelData
    found.save_as(path)
    refused(path.read_bytes(), "without pixels")


def test_d10_a_deflated_bomb_is_counted_before_it_is_unpacked(tmp_path):
    from convscope.data.stored import Limits

    data = dicom(tmp_path / "a", syntax="1.2.840.10008.1.2.1.99").read_bytes()
    start = 132 + 12 + struct.unpack_from("<I", data, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(b"\0" * (40 << 20)) + packer.flush()
    refused(data[:start] + bomb, "MiB when inflated", limits=Limits(decoded_bytes=8 << 20))


def test_truncation_at_every_hundredth_byte_is_refused_or_equal(tmp_path):
    data = dicom(tmp_path / "a").read_bytes()
    for end in range(0, len(data) - 1, 41):
        with pytest.raises(PictureError):
            decode_frame(open_dicom(data[:end], KEY), 0, KEY)


REFUSED = {
    "JPEG-LL.dcm": "JPEG Lossless",
    "bad_sequence.dcm": "JPEG Lossless",
    "liver_deflate.dcm": "not supported",
    "liver_nonbyte_aligned_rle.dcm": "can't be decoded",
    "liver_rle.dcm": "can't be decoded",
}


@pytest.mark.real_data
def test_every_odd_file_decodes_as_pydicom_says_or_is_refused_by_name(real_data):
    import warnings

    paths = sorted((real_data / "dicom-odd").glob("*.dcm"))
    assert len(paths) == 29
    for path in paths:
        if path.name in REFUSED:
            with pytest.raises(PictureError, match=REFUSED[path.name]):
                frame_of(path)
            with warnings.catch_warnings(), pytest.raises((RuntimeError, NotImplementedError)):
                warnings.simplefilter("ignore")
                _ = pydicom.dcmread(path, force=True).pixel_array
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pydicom.dcmread(path, force=True)
            last = int(found.get("NumberOfFrames") or 1) - 1
            stored = pydicom.pixels.pixel_array(found, index=last)
            if found.PhotometricInterpretation == "PALETTE COLOR":
                stored = pydicom.pixels.apply_color_lut(stored, found)
            expected = pydicom.pixels.apply_rescale(stored, found) if stored.ndim == 2 else stored
        frame = frame_of(path, last)
        if frame.values.ndim == 3:
            bits = 16 if stored.dtype.itemsize == 2 else 8
            np.testing.assert_allclose(frame.values, expected * (255 / (2**bits - 1)), atol=1e-3, err_msg=path.name)
        else:
            np.testing.assert_allclose(frame.values, expected, rtol=1e-6, err_msg=path.name)


@pytest.mark.real_data
def test_the_real_series(real_data):
    paths = sorted((real_data / "mri-dicom-series").glob("*.dcm"))
    volume = read_series(paths[::-1], KEY)
    assert volume.values.shape == (274, 384, 18)
    by_place = sorted((pydicom.dcmread(p) for p in paths), key=lambda d: float(d.ImagePositionPatient[2]))
    stack = np.stack([d.pixel_array for d in by_place])
    ours = volume.values.transpose(2, 1, 0)
    assert np.array_equal(ours, stack) or np.array_equal(ours, stack[::-1])
    first = volume.grid.affine @ [0, 0, 0, 1]
    ends = [np.array(d.ImagePositionPatient, float) * [-1, -1, 1] for d in (by_place[0], by_place[-1])]
    assert min(np.abs(first[:3] - e).max() for e in ends) < 1e-6
