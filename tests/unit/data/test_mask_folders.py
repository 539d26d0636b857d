"""Masks in folders, VOC masks and outlines: every layout and every way in which they do not fit."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from convscope.data.label_map import read_label_map
from convscope.data.mask_codes import mask_codes, rule_of_codes
from convscope.data.mask_folders import read_mask_folder
from convscope.data.opening import read_data
from convscope.data.outlined import OutlineMask, masks_of_outlines
from convscope.errors import DataError, PictureError
from convscope.records.boxes import Boxes
from convscope.records.masks import VOID

HW = (12, 16)


def picture(path, hw=HW, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*hw, 3), 90, np.uint8)).save(path, **more)


def save(path, values, mode=None, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8), mode)
    if palette is not None:
        image = image.convert("P") if image.mode != "P" else image
        image.putpalette(palette)
    image.save(path)


def square(value, hw=HW):
    mask = np.zeros(hw, np.uint8)
    mask[2:5, 3:9] = value
    return mask


@pytest.mark.parametrize("white", [1, 255])
def test_two_values_are_background_and_foreground(tmp_path, white):
    picture(tmp_path / "images/a.jpg")
    save(tmp_path / "masks/a_mask.png", square(white))
    samples = read_data(tmp_path)
    assert samples.task == "segment" and samples.classes == ("background", "foreground")
    np.testing.assert_array_equal(samples.truth[0].read(), square(1))
    assert samples.truth[0].picture_hw == HW and samples.pictures.keys == ("images/a.jpg",)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(samples.truth[0])).read(), square(1))


def test_indices_with_void(tmp_path):
    mask = square(2)
    mask[0, 0], mask[9] = 1, 255
    picture(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", mask)
    samples = read_data(tmp_path)
    assert samples.classes == ("background", "class 1", "class 2")
    np.testing.assert_array_equal(samples.truth[0].read(), mask)


def test_palette_png_gives_its_index_and_grey_gif_its_grey(tmp_path):
    colours = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [7] * (3 * 253)
    picture(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", square(2), "P", colours)
    np.testing.assert_array_equal(read_data(tmp_path).truth[0].read(), square(2))
    turned_round = [255] * 3 + [0] * 3 + [0] * (3 * 254)  # index 0 is white, index 1 black
    gif = tmp_path / "gif"
    picture(gif / "images/21_training.png")
    save(gif / "1st_manual/21_training_manual1.gif", 1 - square(1), "P", turned_round)
    np.testing.assert_array_equal(read_data(gif).truth[0].read(), square(1))


def test_sixteen_bits_and_black_and_white(tmp_path):
    picture(tmp_path / "images/a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(square(1).astype(np.uint16)).save(tmp_path / "masks/a.png")
    np.testing.assert_array_equal(read_data(tmp_path).truth[0].read(), square(1))
    Image.fromarray(square(255)).convert("1").save(tmp_path / "masks/a.png")
    np.testing.assert_array_equal(read_data(tmp_path).truth[0].read(), square(1))


COLOURS = {"background": (0, 0, 0), "Tumor": (255, 20, 147), "void": (9, 9, 9), "Bone": (0, 0, 255)}


@pytest.mark.parametrize("form", ["labels.csv", "labels.json", "labelmap.txt"])
def test_colours_through_a_label_map(tmp_path, form):
    mask = np.zeros((*HW, 3), np.uint8)
    mask[:2], mask[2:4], mask[4:6] = COLOURS["Tumor"], COLOURS["void"], COLOURS["Bone"]
    picture(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", mask)
    text = {
        "labels.csv": "name,r,g,b\n" + "\n".join(f"{n},{r},{g},{b}" for n, (r, g, b) in COLOURS.items()),
        "labels.json": json.dumps(COLOURS),
        "labelmap.txt": "# label:color\n" + "\n".join(f"{n}:{r},{g},{b}::" for n, (r, g, b) in COLOURS.items()),
    }[form]  # fmt: skip
    (tmp_path / form).write_text(text)
    samples = read_data(tmp_path)
    assert samples.classes == ("background", "Tumor", "Bone")
    assert samples.truth[0].read()[:, 0].tolist() == [1, 1, VOID, VOID, 2, 2, 0, 0, 0, 0, 0, 0]
    mask[7] = (1, 2, 3)
    save(tmp_path / "masks/a.png", mask)
    with pytest.raises(PictureError, match="16 pixels of colour 1,2,3, which stands for no class"):
        read_data(tmp_path).truth[0].read()


def test_values_through_a_label_map(tmp_path):
    picture(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", square(170))
    (tmp_path / "labels.csv").write_text("name,value\nnone,0\nbone,85\nblood,170\n")
    samples = read_data(tmp_path)
    assert samples.classes == ("none", "bone", "blood")
    np.testing.assert_array_equal(samples.truth[0].read(), square(2))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.csv", "a,b\n1,2", "columns name,r,g,b"),
        ("labels.csv", "name,value\nx,one\ny,2", "whole numbers"),
        ("labels.csv", "name,value\nx,1\ny,1", "twice"),
        ("labels.csv", "", "empty file"),
        ("labels.json", "[" * 100000, "can't be parsed"),
        ("labels.json", '{"a": {}}', "another form"),
        ("labels.json", '{"a": 1, "b": [1, 2, 3]}', "got both"),
        ("labels.json", '{"a": [300, 0, 0], "b": [0, 0, 0]}', "0 to 255"),
        ("labels.json", '["only"]', "2 to 255"),
        ("labelmap.txt", "a:1,2,3::\nb", "in some"),
    ],
)
def test_label_maps_that_are_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_label_map(tmp_path / name)


def test_decathlon_labels(tmp_path):
    (tmp_path / "dataset.json").write_text('{"name": "x", "labels": {"1": "tumour", "0": "background"}}')
    assert read_label_map(tmp_path / "dataset.json").entries == (("background", 0), ("tumour", 1))


def test_one_file_per_object(tmp_path):
    """seg-nuclei's layout, and a folder of objects for every picture."""
    for place in ("x1", "x2"):
        picture(tmp_path / f"a/{place}/images/{place}.png")
        save(tmp_path / f"a/{place}/masks/9f.png", square(255))
        save(tmp_path / f"a/{place}/masks/1c.png", np.roll(square(255), 5, axis=0))
    for samples in [read_data(tmp_path / "a")]:
        assert len(samples) == 2
        np.testing.assert_array_equal(samples.truth[1].read(), square(1) | np.roll(square(1), 5, axis=0))
    picture(tmp_path / "b/images/x1.png")
    picture(tmp_path / "b/images/x2.png")
    for n in (1, 2):
        save(tmp_path / f"b/masks/x1/{n}.png", np.roll(square(255), n, axis=0))
        save(tmp_path / f"b/masks/x2/{n}.png", square(255))
    samples = read_data(tmp_path / "b")
    np.testing.assert_array_equal(
        samples.truth[0].read(), np.roll(square(1), 1, axis=0) | np.roll(square(1), 2, axis=0)
    )


@pytest.mark.parametrize("order", ["{part}/{kind}", "{kind}/{part}"])
def test_parts(tmp_path, order):
    for part in ("train", "val"):
        picture(tmp_path / order.format(part=part, kind="images") / f"{part}1.png")
        save(tmp_path / order.format(part=part, kind="masks") / f"{part}1.png", square(1))
    samples = read_data(tmp_path)
    assert samples.given_split == ("train", "val")


def test_what_does_not_fit_is_set_aside_by_name(tmp_path):
    for name in ("good", "small", "lone"):
        picture(tmp_path / f"images/{name}.png")
    save(tmp_path / "masks/good.png", square(1))
    save(tmp_path / "masks/small.png", square(1, (12, 15)))
    save(tmp_path / "masks/stranger.png", square(1))
    samples = read_data(tmp_path)
    reasons = {s.key: s.reason for s in samples.set_aside}
    assert samples.pictures.keys == ("images/good.png",)
    assert "15 x 12 pixels, its picture 16 x 12" in reasons["images/small.png"]
    assert reasons["images/lone.png"] == "no mask of its name"
    assert "without a picture" in reasons["masks/stranger.png"]


def test_refusals(tmp_path):
    picture(tmp_path / "images/a.png")
    save(tmp_path / "masks/a.png", np.full((*HW, 3), [1, 2, 3]))
    with pytest.raises(DataError, match=r"colour 1,2,3; put labels\.csv"):
        read_data(tmp_path)
    save(tmp_path / "masks/a.png", square(90) + square(30, HW)[::-1])
    with pytest.raises(DataError, match=r"values 0, 30, 90; put labels\.csv"):
        read_data(tmp_path)
    save(tmp_path / "masks/a.png", square(1, (3 * 4, 9)))
    with pytest.raises(DataError, match="of their size, found none"):
        read_data(tmp_path)
    with pytest.raises(DataError, match="beside one of masks"):
        read_mask_folder(tmp_path / "images")
    with pytest.raises(DataError, match="expected masks"):
        read_data(tmp_path / "images", task="segment")
    save(tmp_path / "masks/a.png", square(1))
    picture(tmp_path / "masks/a.jpg")
    picture(tmp_path / "images/b.png")
    save(tmp_path / "masks/b.png", square(1))
    with pytest.raises(DataError, match="one mask for each picture"):
        read_data(tmp_path)


def test_jpeg_masks_and_damage_are_refused(tmp_path):
    picture(tmp_path / "m.jpg")
    with pytest.raises(PictureError, match="JPEG changes"):
        mask_codes((tmp_path / "m.jpg").read_bytes(), "m", as_colour=False)
    save(tmp_path / "m.png", np.random.default_rng(0).integers(0, 2, (90, 90)))
    with pytest.raises(PictureError, match="damaged PNG"):
        mask_codes((tmp_path / "m.png").read_bytes()[:400], "m", as_colour=False)
    with pytest.raises(PictureError, match="not a picture"):
        mask_codes(b"hello", "m", as_colour=False)


def test_a_turned_photograph(tmp_path):
    """EXIF 6: the mask as shown stays, the mask as stored is turned along."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(tmp_path / "images/a.jpg", exif=exif)
    stored = square(1)
    save(tmp_path / "masks/a.png", stored)
    samples = read_data(tmp_path)
    assert samples.truth[0].picture_hw == (16, 12)
    np.testing.assert_array_equal(samples.truth[0].read(), np.rot90(stored, -1))
    save(tmp_path / "masks/a.png", np.rot90(stored, -1))
    np.testing.assert_array_equal(read_data(tmp_path).truth[0].read(), np.rot90(stored, -1))


def test_rules_from_codes():
    assert rule_of_codes([0], False).classes == ("background", "foreground")
    assert rule_of_codes([0, 38], False).classes[-1] == "class 38"
    assert rule_of_codes([0, 100], False).codes == (0, 100)
    assert rule_of_codes([0, 1, 2], False, names=("a", "b", "c", "d")).classes == ("a", "b", "c", "d")
    with pytest.raises(DataError, match="class indices"):
        rule_of_codes([0, 1, 9], False, names=("a", "b"))


def test_voc(tmp_path):
    root = tmp_path / "VOCdevkit/VOC2012"
    palette = [0, 0, 0, 128, 0, 0] + [3] * (3 * 254)
    for name in ("p1", "p2", "p3"):
        picture(root / f"JPEGImages/{name}.jpg")
        mask = square(15)
        mask[0] = 255
        save(root / f"SegmentationClass/{name}.png", mask, "P", palette)
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("p1\n")
    (lists / "val.txt").write_text("p2\n")
    samples = read_data(tmp_path)
    assert samples.given_split == ("train", "val") and samples.classes[15] == "person" and len(samples.classes) == 21
    assert [s.reason for s in samples.set_aside] == ["in no list of ImageSets/Segmentation"]
    assert set(np.unique(samples.truth[0].read())) == {0, 15, VOID}
    (lists / "val.txt").write_text("p1\n")
    with pytest.raises(DataError, match="listed in train too"):
        read_data(tmp_path)


def test_outlines_and_overlap():
    big = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)
    small = np.array([[2, 2], [4, 2], [4, 4], [2, 4]], np.float32)
    boxes = Boxes(
        np.array([[2, 2, 4, 4], [0, 0, 8, 8], [9, 0, 12, 3]], np.float32),
        np.array([0, 1, 0]),
        (10, 12),
        np.array([False, False, True]),
        ((small,), (big,), ()),
    )
    mask = OutlineMask(boxes).read()
    assert mask[3, 3] == 1 and mask[6, 6] == 2 and mask[1, 10] == VOID and mask[9, 9] == 0
    with pytest.raises(DataError, match="found only boxes"):
        masks_of_outlines(read_arrays_of([Boxes(boxes.xyxy, boxes.labels, (10, 12))] * 2))


def read_arrays_of(truth):
    from dataclasses import replace

    from convscope.data.arrays import read_arrays

    samples = read_arrays(np.zeros((len(truth), 10, 12, 3), np.uint8), np.arange(len(truth)))
    column = np.empty(len(truth), object)
    column[:] = truth
    return replace(samples, truth=column, task="detect")


def test_coco_polygons(tmp_path):
    picture(tmp_path / "a.png")
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 16, "height": 12}],
        "categories": [{"id": 7, "name": "cell"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [3, 2, 6, 3], "iscrowd": 0, "area": 18,
             "segmentation": [[3, 2, 9, 2, 9, 5, 3, 5]]}
        ],
    }  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps(coco))
    samples = read_data(tmp_path, task="segment")
    assert samples.classes == ("background", "cell")
    np.testing.assert_array_equal(samples.truth[0].read(), square(1))


@pytest.mark.real_data
def test_real_folders(real_data):
    nuclei = read_data(real_data / "seg-nuclei")
    assert len(nuclei) == 35 and nuclei.task == "segment"
    for i in range(0, 35, 6):
        name = nuclei.pictures.keys[i].rsplit("/", 1)[-1]
        union = np.asarray(Image.open(real_data / "seg-nuclei/derived_union_masks" / name)) > 0
        np.testing.assert_array_equal(nuclei.truth[i].read() > 0, union)
    membranes = read_data(real_data / "seg-em-membranes")
    assert len(membranes) == 11 and membranes.truth[0].read().mean() == pytest.approx(0.7807, abs=1e-4)


@pytest.mark.real_data
def test_real_outlines_against_the_semantic_masks(real_data):
    """COCO's own semantic masks were drawn of the same outlines (and of "stuff" beside): a person is a person there."""
    from convscope.data.opening import Reading

    folder = real_data / "det-coco128"
    samples = read_data(folder, task="segment", reading=Reading(labels="instance_segmentation/labels"))
    shares = []
    for i in range(len(samples)):
        name = samples.pictures.keys[i].split("/", 1)[1].replace(".jpg", ".png")
        theirs = np.asarray(Image.open(folder / "semantic_segmentation/masks" / name))
        ours = samples.truth[i].read()
        if 0 in samples.truth[i].boxes.labels or 1 in samples.truth[i].boxes.labels:
            person = samples.classes.index("1") if "1" in samples.classes else 1
            a, b = ours == person, theirs == 1
            if a.any():
                shares.append((a & b).sum() / (a | b).sum())
    assert len(shares) > 5 and np.median(shares) > 0.9
