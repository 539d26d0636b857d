"""Parallel coordinates: values at their places, names that stay apart, lines only where a trial was asked."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from convscope.draw.parallel import BOTTOM, GAP, LEFT, TOP, Axis, parallel_figure

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*axes: Axis, best: int = 0, is_rising: bool = True) -> ElementTree.Element:
    result = Axis("val_accuracy", (0.9, 0.5, 0.7))
    return ElementTree.fromstring(parallel_figure(axes, result, best=best, is_rising=is_rising).data)


def points(path: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in path.get("d", "")[1:].split("L")]
    return [(float(x), float(y)) for x, y in pairs]


def test_the_best_line_is_last_and_ends_at_the_top() -> None:
    lines = drawn(Axis("learning_rate", (1e-4, 1e-3, 1e-2), is_log=True)).findall(f".//{SVG}path")
    assert len(lines) == 3
    assert points(lines[-1]) == [(LEFT, BOTTOM), (LEFT + GAP, TOP)]  # 1e-4 is lowest, 0.9 highest
    middle = next(line for line in lines if points(line)[0][1] == (TOP + BOTTOM) / 2)  # 1e-3, halfway on a log axis
    assert points(middle)[1] == (LEFT + GAP, BOTTOM)


def test_a_conditional_parameter_says_its_condition_and_leaves_others_out() -> None:
    axes = (Axis("pooling", ("max", "average", "max")), Axis("pool_size when pooling = max", (2, None, 4)))
    picture = drawn(*axes)
    assert sorted(len(points(line)) for line in picture.findall(f".//{SVG}path")) == [2, 3, 3]
    words = [t.text for t in picture.findall(f".//{SVG}text")]
    assert words.count("pool_size") == 1
    assert words.count("when pooling = max") == 1


def test_long_names_of_neighbouring_axes_do_not_touch() -> None:
    names = (
        "augment.translate_fraction_of_the_width",
        "model when weights = a-file-with.a-dot-in-its-name.safetensors",
    )
    picture = drawn(*(Axis(name, (1, 2, 3)) for name in names))
    for word in picture.findall(f".//{SVG}text"):
        size = float(word.get("font-size", 11))
        assert len(word.text or "") * 0.62 * size < GAP, word.text
