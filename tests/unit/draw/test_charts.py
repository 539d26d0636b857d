"""Charts: values land where they belong, words are there, hostile names stay words."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from convscope.draw.agreement import agreement_figure
from convscope.draw.axes import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    across,
    log_ticks,
    round_ticks,
    round_top,
    tick_words,
    whole_ticks,
)
from convscope.draw.bars import class_bars_figure, interval_figure
from convscope.draw.colour import class_colour, class_shape
from convscope.draw.confusion import confusion_figure
from convscope.draw.curves import Curve, Marks, curves_figure
from convscope.draw.reliability import reliability_figure
from convscope.draw.spread import histogram_figure, sizes_figure
from convscope.draw.thresholds import threshold_figure
from convscope.records.prediction import Scored

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x00"


def parsed(figure):
    root = ElementTree.fromstring(figure.data)
    assert root.get("aria-label") == figure.alt
    assert figure.title and figure.alt
    assert not root.findall(".//{*}script")
    numbers = re.findall(r'(?:x|y|cx|cy|width|height|x1|x2|y1|y2)="(-?[\d.]+)"', figure.data.decode())
    assert all(-1 <= float(n) <= 1200 for n in numbers)
    assert b"nan" not in figure.data and b'inf"' not in figure.data
    return root


def words(root):
    return " ".join(root.itertext()).replace("\u00a0", " ")


def points(path):
    return [tuple(map(float, p.split(","))) for p in re.split("[MLZ]", path.get("d")) if p]


def test_no_two_of_64_classes_look_the_same() -> None:
    assert len({(class_shape(i), class_colour(i)[0]) for i in range(64)}) == 64


def test_curve_points_lie_at_their_values():
    root = parsed(curves_figure("Accuracy", [Curve("validation", [0.0, 0.5, 1.0], is_main=True)], is_share=True))
    path = next(p for p in root.findall(".//{*}path") if p.get("fill") == "none")
    assert points(path) == [(LEFT, BOTTOM), ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2), (RIGHT, TOP)]


def test_curves_say_best_epoch_phases_chance_and_last_values():
    marks = Marks(best_epoch=2, chance=0.1, phases=(("head", 1), ("last blocks", 3)))
    curves = [Curve("training", [0.2, 0.6, 0.8, 0.9]), Curve("validation", [0.1, 0.7, 0.6, 0.65], is_main=True)]
    root = parsed(curves_figure("Accuracy", curves, is_share=True, marks=marks))
    told = words(root)
    for expected in ("best, epoch 2", "head", "last blocks", "chance 10.0 %", "training 90.0 %", "validation 65.0 %"):
        assert expected in told


def test_missing_and_broken_values_leave_a_gap_and_one_epoch_is_drawn():
    figure = curves_figure("Loss", [Curve("training", [1.0, None, float("nan"), 2.0, 3.0])], is_share=False)
    assert len([p for p in parsed(figure).findall(".//{*}path") if p.get("fill") == "none"]) == 2
    parsed(curves_figure("Loss", [Curve("training", [0.7])], is_share=False))
    parsed(curves_figure("Loss", [Curve("training", [])], is_share=False))


def test_an_outlier_is_cut_and_named():
    assert "above the frame" in words(parsed(curves_figure("Loss", [Curve("a", [1e6, 2, 1, 1, 1])], is_share=False)))


def test_band_reaches_from_low_to_high():
    curve = Curve("validation", [0.5, 0.5], is_main=True, band=([0.25, 0.25], [0.75, 0.75]))
    root = parsed(curves_figure("Accuracy", [curve], is_share=True))
    area = next(p for p in root.findall(".//{*}path") if p.get("fill-opacity"))
    heights = {y for _, y in points(area)}
    assert heights == {TOP + 0.25 * (BOTTOM - TOP), TOP + 0.75 * (BOTTOM - TOP)}


@pytest.mark.parametrize("k", [2, 10, 16, 17, 60])
def test_confusion_shows_every_count_or_a_hint(k):
    confusion = np.arange(k * k).reshape(k, k) % 7
    figure = confusion_figure(confusion, tuple(f"class {i} with a long name" for i in range(k)))
    root = parsed(figure)
    hints = [t.text for t in root.findall(".//{*}title")]
    assert len(hints) == k * k
    assert hints[1].endswith(f": 1 of {confusion[0].sum()}")
    assert f"{np.trace(confusion)} of {confusion.sum()} pictures right" in figure.alt


def test_confusion_names_the_worst_confusion_and_survives_an_empty_row():
    figure = confusion_figure(np.array([[5, 3], [0, 0]]), ("no", "yes"))
    assert "no called yes 3 times" in figure.alt
    parsed(figure)


def test_interval_whiskers_lie_at_their_values():
    root = parsed(interval_figure("Scores", [("A", Scored(0.5, 0.25, 1.0, 9))], guess=0.5))
    whisker = next(e for e in root.findall(".//{*}line") if e.get("stroke-width") == "2" and e.get("y1") == e.get("y2"))
    dot = root.find(".//{*}circle")
    low, at, high = float(whisker.get("x1")), float(dot.get("cx")), float(whisker.get("x2"))
    assert (at - low) / (high - low) == pytest.approx(1 / 3, abs=0.001)


def test_reliability_dots_lie_at_their_values():
    root = parsed(reliability_figure({"confidence": [0.5, 1.0], "accuracy": [0.0, 1.0], "count": [3.0, 6.0]}))
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.findall(".//{*}circle")]
    assert dots == [((LEFT + RIGHT) / 2, BOTTOM), (RIGHT, TOP)]
    parsed(reliability_figure({"confidence": [], "accuracy": [], "count": []}))


def test_histogram_counts_every_picture_once():
    values = np.random.default_rng(0).normal(100, 30, 200)
    truth = np.arange(200) % 2
    root = parsed(histogram_figure("Mean brightness", values, truth=truth, classes=("no", "yes")))
    hints = [t.text for t in root.findall(".//{*}title")]
    for name in ("no", "yes"):
        assert sum(int(re.search(r": (\d+) of", h).group(1)) for h in hints if h.startswith(name)) == 100
    parsed(histogram_figure("Flat", [5.0, 5.0]))
    parsed(histogram_figure("None", []))


def test_size_scatter_has_a_shape_per_class_and_the_planned_input():
    sizes = [(100, 200), (224, 224), (900, 300), (640, 480)]
    figure = sizes_figure(sizes, truth=[0, 1, 0, 1], classes=("no", "yes"), input_hw=(224, 224))
    root = parsed(figure)
    assert len(root.findall(".//{*}circle")) == 2 + 1
    assert "1 fall below it" in figure.caption
    many = sizes_figure(sizes, truth=[0, 1, 2, 3], classes=tuple(map(str, range(30))))
    assert "all pictures" in words(parsed(many))


def test_thresholds_draw_at_most_six_and_say_so():
    xs = np.linspace(0, 1, 5)
    figure = threshold_figure("ROC", [(f"c{i}", xs, xs) for i in range(9)], axes=("x", "y"), diagonal=True)
    assert len(parsed(figure).findall(".//{*}path")) == 6
    assert "3 more classes not drawn" in figure.caption


def test_class_bars_count_what_they_leave_out():
    figure = class_bars_figure({f"c{i}": 40 - i for i in range(30)})
    assert "and 6 more classes" in words(parsed(figure))
    parsed(class_bars_figure({"only": 0}))


def test_hostile_names_stay_words_in_every_chart():
    one, phases = np.array([0.0, 1.0]), Marks(phases=((HOSTILE, 1), ("b", 2)))
    figures = [
        confusion_figure(np.eye(2, dtype=int), (HOSTILE, "b")),
        class_bars_figure({HOSTILE: 3}),
        interval_figure(HOSTILE, [(HOSTILE, Scored(0.5, 0.4, 0.6))]),
        curves_figure(HOSTILE, [Curve(HOSTILE, [1.0, 2.0])], is_share=False, marks=phases),
        histogram_figure(HOSTILE, [1, 2], truth=[0, 1], classes=(HOSTILE, "b")),
        sizes_figure([(3, 4), (5, 6)], truth=[0, 1], classes=(HOSTILE, "b")),
        threshold_figure(HOSTILE, [(HOSTILE, one, one)], axes=(HOSTILE, HOSTILE)),
    ]
    for figure in figures:
        parsed(figure)
        assert b"<script" not in figure.data and b"\x00" not in figure.data and "\u202e".encode() not in figure.data


def test_agreement_dots_lie_on_the_diagonal_when_right():
    truth = np.array([1.0, 2.0, 4.0])
    root = parsed(agreement_figure("size", truth, truth))
    for dot in root.findall(".//{*}circle"):
        right, up = float(dot.get("cx")) - LEFT, BOTTOM - float(dot.get("cy"))
        assert right / (RIGHT - LEFT) == pytest.approx(up / (BOTTOM - TOP), abs=1e-3)
    parsed(agreement_figure(HOSTILE, np.array([3.0]), np.array([3.0])))


def test_words_of_ticks_fit_beside_the_frame():
    words = {0.00075: "7.5e\u22124", -0.00025: "\u22122.5e\u22124", 0.0005: "0.0005", 0.25: "0.25", 0.0: "0"}
    assert {value: tick_words(value) for value in words} == words
    assert max(len(tick_words(v)) for rate in (1e-3, 3e-4, 7e-5) for v in round_ticks(0, rate)) <= 7


def test_ticks_are_round_inside_and_few():
    assert round_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert round_top(0, 2.31) == 2.5 and round_top(0, 3e-3) == 3e-3
    assert whole_ticks(1, 36)[0] == 1 and whole_ticks(1, 2) == [1, 2]
    assert all(v == int(v) and 1 <= v <= 500 for v in whole_ticks(1, 500)) and len(whole_ticks(1, 500)) <= 9
    assert log_ticks(150, 1500) == [200, 500, 1000]
    assert across(1, 100, is_log=True).at(10) == pytest.approx((LEFT + RIGHT) / 2)
