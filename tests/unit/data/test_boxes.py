"""Readers of boxes: every box comes back, and every box that can't be used is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.box_text import detections_csv, voc_xml, yolo_data_yaml, yolo_lines
from convscope.data.boxes_table import read_boxes_table
from convscope.data.coco import read_coco
from convscope.data.coco_masks import rle_box, rle_counts
from convscope.data.coco_write import coco_dataset, coco_results
from convscope.data.marked import turn_boxes
from convscope.data.opening import Reading, read_data
from convscope.data.voc import read_voc
from convscope.data.yolo import read_yolo
from convscope.errors import ConvscopeError, DataError
from convscope.records.boxes import Boxes, Detections, Found
from unit.data.marked_data import CLASSES, coco_folder, picture, truths, voc_folder, yolo_folder


def reasons(samples) -> dict[str, str]:
    return {s.key: s.reason.split(" (")[0] for s in samples.set_aside}


@pytest.mark.parametrize("write", [coco_folder, voc_folder, yolo_folder])
def test_round_trip_keeps_every_box(tmp_path: Path, write) -> None:
    truth = truths()
    samples = read_data(write(tmp_path, truth))
    assert samples.task == "detect" and samples.classes == CLASSES and len(samples) == 5
    assert samples.truth.dtype == object and samples.set_aside == ()
    for mine, read in zip(truth, samples.truth):
        np.testing.assert_allclose(read.xyxy, mine.xyxy, atol=1e-4)
        np.testing.assert_array_equal(read.labels, mine.labels)
        assert read.picture_hw == (60, 80)
    assert len(samples.truth[1]) == 0  # background stays
    assert len(samples.subset(np.array([3, 1])).truth[0]) == len(truth[3])


def test_coco_keeps_fractions_crowds_outlines_and_areas(tmp_path: Path) -> None:
    outline = (np.array([[1, 1], [9, 1], [5, 8.5]], np.float32),)
    boxes = Boxes(np.array([[1.25, 1, 9.5, 8.5], [0, 0, 30, 30]], np.float32), np.array([1, 0]), (60, 80),
                  np.array([False, True]), (outline, ()), np.array([30.5, 900.0]))  # fmt: skip
    samples = read_coco(coco_folder(tmp_path, [boxes]))
    read = samples.truth[0]
    np.testing.assert_array_equal(read.xyxy, boxes.xyxy)
    np.testing.assert_array_equal(read.is_crowd, [False, True])
    np.testing.assert_array_equal(read.polygons[0][0], outline[0])
    np.testing.assert_array_equal(read.areas, [30.5, 900.0])


def test_coco_ids_with_gaps_and_parts_by_file_name(tmp_path: Path) -> None:
    for part, number in (("train", 7), ("val", 900)):
        picture(tmp_path / f"{part}2017" / f"{number}.jpg")
        value = {
            "images": [{"id": number, "file_name": f"{number}.jpg", "height": 60, "width": 80}],
            "annotations": [{"id": 1, "image_id": number, "category_id": 90, "bbox": [1, 2, 3, 4], "iscrowd": 0}],
            "categories": [{"id": 18, "name": "dog"}, {"id": 90, "name": "brush"}],
        }
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(value))
    samples = read_data(tmp_path)
    assert samples.classes == ("dog", "brush") and samples.given_split == ("train", "val")
    np.testing.assert_array_equal(samples.truth[1].xyxy, [[1, 2, 4, 6]])
    assert samples.truth[1].labels.tolist() == [1]
    one = read_data(tmp_path / "annotations" / "instances_val2017.json")
    assert len(one) == 1 and one.given_split is None


BAD = {
    "[NaN, 1, 2, 2]": "a box whose numbers are not finite",
    "[1, 1, Infinity, 1]": "a box whose numbers are not finite",
    '["1", 1, 2, 2]': "a box whose numbers are not finite",
    "[1, 1]": "a box whose numbers are not finite",
    "[10, 10, -4, 5]": "a swapped box",
    "[10, 10, 0, 5]": "an empty box",
    "[200, 10, 9, 5]": "a box outside the picture",
    "[-30, 10, 33, 5]": "a box outside the picture",
    "[1e308, 1, 1, 1]": "an empty box",  # 1e308 + 1 is 1e308
    "[1, 1, 1e308, 1]": "a box outside the picture",
}


@pytest.mark.parametrize("bbox", BAD)
def test_bad_boxes_are_named_and_the_others_kept(tmp_path: Path, bbox: str) -> None:
    picture(tmp_path / "a.png")
    text = (
        '{"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "cat"}], "annotations": ['
        '{"id": 4, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}, '
        f'{{"id": 5, "image_id": 1, "category_id": 1, "bbox": {bbox}}}]}}'
    )
    (tmp_path / "x.json").write_text(text)
    samples = read_data(tmp_path)
    assert len(samples.truth[0]) == 1
    assert reasons(samples) == {"x.json annotation 5": BAD[bbox]}


def test_coco_unknown_class_and_image_and_absent_picture(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    value = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5]},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [1, 1, 5, 5]},
            {"id": 3, "image_id": 2, "category_id": 1, "bbox": [1, 1, 5, 5]},
        ],
    }
    (tmp_path / "x.json").write_text(json.dumps(value))
    found = reasons(read_data(tmp_path))
    assert found["x.json annotation 1"] == "a box of an unknown class"
    assert found["x.json annotation 2"] == "a box of an unknown image" and found["gone.png"] == "not there"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda v: v["images"].append(v["images"][0]), "different whole id"),
        (lambda v: v["categories"].append({"id": 3, "name": "cat"}), "two categories"),
        (lambda v: v.pop("categories"), "found no categories"),
        (lambda v: v["images"][0].update(file_name="../a.png"), "leads out"),
        (lambda v: v["images"][0].update(file_name="/etc/passwd"), "relative"),
        (lambda v: v["images"][0].update(file_name="http://x/a.png"), "nothing is downloaded"),
    ],
)
def test_coco_that_can_not_be_used_is_one_line(tmp_path: Path, change, words: str) -> None:
    picture(tmp_path / "a.png")
    value = coco_dataset(["a.png"], truths(1), CLASSES)
    change(value)
    (tmp_path / "x.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match=words) as raised:
        read_coco(tmp_path / "x.json")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["[" * 200_000 + "]" * 200_000, '{"id": 1, "id": 2}', '{"id":' + "9" * 5000 + "}", "\ufeff{"]
)
def test_hostile_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError):
        read_coco(tmp_path / "x.json")


def test_run_length_boxes_equal_pycocotools() -> None:
    masks = pytest.importorskip("pycocotools.mask")
    r = np.random.default_rng(0)
    for _ in range(30):
        mask = np.zeros((int(r.integers(3, 40)), int(r.integers(3, 50))), np.uint8)
        mask[r.random(mask.shape) < 0.02] = 1
        mask[1 : int(r.integers(2, 20)), 2 : int(r.integers(3, 20))] = 1
        coded = masks.encode(np.asfortranarray(mask))
        left, top, wide, tall = masks.toBbox(coded)
        size, counts = list(coded["size"]), coded["counts"].decode()
        assert rle_box({"size": size, "counts": counts}) == (left, top, left + wide, top + tall)
        assert sum(rle_counts(counts)) == mask.size
        assert rle_box({"size": size, "counts": rle_counts(counts)}) == (left, top, left + wide, top + tall)
    assert rle_box({"size": [4, 4], "counts": [3, 9, 9]}) is None
    assert rle_box({"size": [4, 4], "counts": "\x7f"}) is None


LAUGHS = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE, "<!DOCTYPE annotation><annotation/>"])
def test_xml_with_a_dtd_is_refused(tmp_path: Path, text: str) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match="DTD"):
        read_voc(tmp_path)


def test_voc_counts_from_one_and_names_what_is_wrong(tmp_path: Path) -> None:
    voc_folder(tmp_path, truths(2))
    picture(tmp_path / "JPEGImages" / "bare.jpg")

    def box(numbers: str, name: str = "cat") -> str:
        cells = "".join(f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), numbers.split()))
        return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{cells}</bndbox></object>"

    rows = [box("1 1 80 60"), box("5 5 5 9"), box("9 5 5 9"), box("a 1 2 3"), box("1 1 9 9", ""), box("0 0 7 7")]
    (tmp_path / "Annotations" / "p0.xml").write_text(
        "<annotation><filename>zzz.jpg</filename><size><width>80</width><height>60</height></size>"
        + "".join(rows) + "</annotation>"
    )  # fmt: skip
    (tmp_path / "Annotations" / "lost.xml").write_text("<annotation><filename>lost.jpg</filename></annotation>")
    (tmp_path / "Annotations" / "torn.xml").write_text("<annotation>")
    samples = read_voc(tmp_path)
    first = samples.truth[list(samples.pictures.keys).index("JPEGImages/p0.jpg")]
    np.testing.assert_array_equal(first.xyxy, [[0, 0, 80, 60], [0, 0, 7, 7]])
    found = reasons(samples)
    assert found["Annotations/p0.xml box 2"] == "an empty box" and found["Annotations/p0.xml box 3"] == "a swapped box"
    assert found["Annotations/p0.xml box 4"] == "a box whose numbers are not finite"
    assert found["Annotations/p0.xml box 5"] == "a box of an unknown class"
    assert found["Annotations/lost.xml"] == "an annotation without its picture"
    assert found["Annotations/torn.xml"] == "not XML that can be read"
    assert "JPEGImages/bare.jpg" in samples.pictures.keys and "1 pictures without one" in samples.source


def test_voc_lists_give_the_split(tmp_path: Path) -> None:
    voc_folder(tmp_path, truths(3))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("p0\np1\n")
    (lists / "val.txt").write_text("p2\n")
    assert read_voc(tmp_path).given_split == ("train", "train", "val")


def test_size_that_is_not_the_picture_s_sets_the_picture_aside(tmp_path: Path) -> None:
    voc_folder(tmp_path, truths(3))
    picture(tmp_path / "JPEGImages" / "p0.jpg", (64, 80))
    samples = read_voc(tmp_path)
    assert len(samples) == 2 and reasons(samples)["JPEGImages/p0.jpg"] == "marked for another size"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_the_stored_frame_are_turned_with_the_picture(tmp_path: Path, orientation: int) -> None:
    """A white rectangle, marked where it lies in the file, is found at the box in the upright picture."""
    values = np.zeros((60, 80, 3), np.uint8)
    values[10:25, 30:70] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    boxes = Boxes(np.array([[30, 10, 70, 25]], np.float32), np.array([0]), (60, 80))
    (tmp_path / "a.xml").write_text(voc_xml("a.png", boxes, CLASSES))
    samples = read_voc(tmp_path)
    upright = samples.pictures.read(0, 1).values[:, :, 0]
    turned = turn_boxes(boxes.xyxy, (60, 80), orientation)[0] if orientation < 5 else samples.truth[0].xyxy[0]
    rows, columns = np.nonzero(upright)
    np.testing.assert_array_equal(turned, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert samples.truth[0].picture_hw == upright.shape


def test_yolo_lines_that_can_not_be_used(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    lines = [
        "0 0.5 0.5 0.5 0.5",
        "0 0.5 0.5 0.1",
        "5 .5 .5 .1 .1",
        "0 0,5 0.5 .1 .1",
        "1 nan .5 .1 .1",
        "1 .5 .5 -.1 .1",
        "1 3 3 .1 .1",
        "0 .5 .5 .1 .1 .9",
        "1 .1 .1 .4 .1 .4 .5",
        "0 .5 .5 0 .1",
    ]
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("names: {0: cat, 1: dog}\ndownload: import os; os.system('touch ran')\n")
    samples = read_data(tmp_path)
    np.testing.assert_allclose(samples.truth[0].xyxy, [[20, 15, 60, 45], [8, 6, 32, 30]], atol=1e-4)
    assert samples.truth[0].polygons[1][0].shape == (3, 2)
    found = reasons(samples)
    assert found["labels/a.txt:2"] == "a line of 4 columns"
    assert (
        found["labels/a.txt:3"] == "a box of an unknown class"
        and found["labels/a.txt:4"] == "a line that is no numbers"
    )
    assert (
        found["labels/a.txt:5"] == "a box whose numbers are not finite" and found["labels/a.txt:6"] == "a swapped box"
    )
    assert found["labels/a.txt:7"] == "a box outside the picture" and found["labels/a.txt:8"] == "a line of 6 columns"
    assert found["labels/a.txt:10"] == "an empty box" and not (tmp_path / "ran").exists() and not Path("ran").exists()


def test_yolo_parts_from_the_data_file(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        picture(tmp_path / part / "images" / "a.png")
        (tmp_path / part / "labels").mkdir()
        (tmp_path / part / "labels" / "a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "data.yaml").write_text(
        "path: /somewhere/else\ntrain: ../train/images\nval: ../valid/images\nnames: [cat]\n"
    )
    samples = read_yolo(tmp_path / "data.yaml")
    assert samples.given_split == ("train", "val") and samples.classes == ("cat",)


@pytest.mark.parametrize(
    "text",
    [
        "names: !!python/object/apply:os.system ['touch ran']\n",
        "a: &a [x]\nnames: [*a, *a]\n",
        "names: [cat, cat]\n",
        "names: {0: cat, 2: dog}\n",
        "names: [cat]\ntrain: ../../etc/images\nval: /etc\n",
        "names: [\n",
        "names:\n\t- cat\n",
    ],
)
def test_hostile_data_files_are_refused(tmp_path: Path, text: str) -> None:
    yolo_folder(tmp_path, truths(2))
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError) as raised:
        read_data(tmp_path)
    assert "\n" not in str(raised.value) and not Path("ran").exists()


def test_yaml_writer_is_read_back(tmp_path: Path) -> None:
    yolo_folder(tmp_path, truths(2))
    names = ('a "b"', "c: d\\", "no")
    (tmp_path / "data.yaml").write_text(yolo_data_yaml(names))
    assert read_data(tmp_path).classes == names


def table(tmp_path: Path, rows: list[str], heading: str = "path,x_min,y_min,x_max,y_max,label,split") -> Path:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png")
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def test_table_of_boxes(tmp_path: Path) -> None:
    rows = [
        "a.png,1,2,30,40,cat,train",
        "a.png,5,5,9,9,dog,train",
        "b.png,,,,,,val",
        "c.png,9,9,5,5,cat,val",
        "gone.png,1,1,2,2,cat,val",
        "a.png,x,1,2,2,cat,train",
    ]
    path = table(tmp_path, rows)
    samples = read_data(path)
    assert samples.task == "detect" and samples.given_split == ("train", "val", "val")
    assert [len(b) for b in samples.truth] == [2, 0, 0]
    assert reasons(samples) == {
        "boxes.csv:5": "a swapped box",
        "gone.png": "not there",
        "boxes.csv:7": "a box whose numbers are not finite",
    }


def test_one_box_and_one_label_each_asks_for_the_task(tmp_path: Path) -> None:
    path = table(tmp_path, ["a.png,1,2,30,40,cat,train", "b.png,5,5,9,9,dog,val"])
    with pytest.raises(DataError, match="--task detect"):
        read_data(path)
    assert read_data(path, task="detect").task == "detect"
    assert read_data(path, task="classify").task == "classify"


def test_class_folders_with_annotations_ask_for_the_task(tmp_path: Path) -> None:
    for name in CLASSES:
        picture(tmp_path / name / f"{name}.jpg")
        boxes = Boxes(np.array([[1, 1, 9, 9]], np.float32), np.array([0]), (60, 80))
        (tmp_path / name / f"{name}.xml").write_text(voc_xml(f"{name}.jpg", boxes, CLASSES))
    with pytest.raises(DataError, match="--task classify or detect"):
        read_data(tmp_path)
    assert read_data(tmp_path, task="classify").classes == CLASSES
    assert read_data(tmp_path, task="detect").task == "detect"


def test_two_formats_of_boxes_are_not_guessed_between(tmp_path: Path) -> None:
    coco_folder(tmp_path, truths(2))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "p0.txt").write_text("0 .5 .5 .1 .1")
    with pytest.raises(DataError, match="COCO JSON and YOLO"):
        read_data(tmp_path)


def test_found_boxes_as_files(tmp_path: Path) -> None:
    found = Found(np.array([[1, 2, 11, 22]], np.float32), np.array([1]), np.array([0.75], np.float32), (60, 80))
    none = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), (60, 80))
    detections = Detections(("=cmd.png", "b.png"), (found, none), CLASSES)
    assert coco_results(detections) == [{"image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 20], "score": 0.75}]
    assert detections_csv(detections).splitlines()[1:] == ["'=cmd.png,1.00,2.00,11.00,22.00,dog,0.7500", "b.png,,,,,,"]
    assert yolo_lines(found) == "1 0.075000000 0.200000000 0.125000000 0.333333333 0.75\n"


@pytest.mark.real_data
def test_the_known_faults_of_real_sets(real_data: Path) -> None:
    cells = read_data(real_data / "det-bccd")
    assert len(cells) == 184 and cells.classes == ("Platelets", "RBC", "WBC")
    assert "Annotations/BloodImage_00338.xml box 13" in reasons(cells)
    assert sum(len(b) for b in cells.truth) == 2495
    coco = read_data(real_data / "det-coco128", reading=Reading(labels="object_detection/labels"))
    assert "1 pictures without one" in coco.source
    outlines = read_data(real_data / "det-coco128", reading=Reading(labels="instance_segmentation/labels"))
    boxes, drawn = coco.truth, outlines.truth
    places = {k: i for i, k in enumerate(outlines.pictures.keys)}
    for i, key in enumerate(coco.pictures.keys):  # two files on one picture, made apart, agree within 2 px
        if len(boxes[i]) and len(boxes[i]) == len(drawn[places[key]]):
            a, b = (np.sort(t.xyxy[:, 0]) for t in (boxes[i], drawn[places[key]]))
            assert np.median(np.abs(a - b)) < 2
    with pytest.raises(DataError, match="several folders of labels"):
        read_data(real_data / "det-coco128")


def test_random_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    good = {"x.json": json.dumps(coco_dataset(["a.png"], truths(1), CLASSES)).encode(),
            "a.xml": voc_xml("a.png", truths(1)[0], CLASSES).encode()}  # fmt: skip
    picture(tmp_path / "a.png")
    for name, data in good.items():
        for _ in range(60):
            broken = bytearray(data)
            for place in r.integers(0, len(broken), 3):
                broken[place] = r.integers(0, 256)
            (tmp_path / name).write_bytes(bytes(broken))
            try:
                read_coco(tmp_path / name) if name == "x.json" else read_voc(tmp_path)
            except ConvscopeError as error:
                assert "\n" not in str(error)
        (tmp_path / name).unlink()
    (tmp_path / "boxes.csv").write_text("path,x_min,y_min,x_max,y_max,label\na.png,1,1,5,5,cat\n")
    assert len(read_boxes_table(tmp_path / "boxes.csv").truth[0]) == 1
