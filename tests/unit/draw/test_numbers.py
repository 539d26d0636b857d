"""Numbers and names as people read them."""

import math

import pytest

from convscope.draw.numbers import count, counted, percent, percent_tick, short, signed, three, visible


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (5.125457, "5.13"),
        (-0.7126, "−0.713"),
        (38.46, "38.5"),
        (0.9996, "1.00"),
        (999.6, "1\u202f000"),
        (123456, "123\u202f000"),
        (2e-7, "2.00 × 10⁻⁷"),
        (-3.2e9, "−3.20 × 10⁹"),
        (0.00012345, "0.000123"),
        (math.nan, "undefined"),
        (-math.inf, "−infinite"),
    ],
)
def test_three_digits(value, words):
    assert three(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.8667, "86.7 %"), (1, "100 %"), (0, "0 %"), (0.99996, "> 99.9 %"), (0.0004, "0.04 %"), (-0.031, "−3.1 %")],
)
def test_percent(share, words):
    assert percent(share).replace("\u00a0", " ") == words


def test_signs_counts_and_ticks():
    assert (signed(0.349), signed(-1.47), signed(0)) == ("+0.349", "−1.47", "0")
    assert count(4694024) == "4\u202f694\u202f024"
    assert (counted(1, "case"), counted(0, "case"), counted(1200, "case")) == ("1 case", "0 cases", "1\u202f200 cases")
    assert percent_tick(0.025).replace("\u00a0", " ") == "2.5 %"


def test_hidden_characters_become_visible_and_the_rest_stays():
    assert visible("photo\u202egpj.exe") == "photo\\u202egpj.exe"
    assert visible("a\x00b\x1b[31m") == "a\\x00b\\x1b[31m"
    assert visible("lone\udcff") == "lone\\udcff"
    assert visible("Größe 猫 🐈 é") == "Größe 猫 🐈 é"
    visible("lone\udcff").encode("utf-8")


def test_short_keeps_both_ends():
    assert short("IMG_2024_01_02_left.jpg", 12) == "IMG_20….jpg"[:6] + "…" + "t.jpg"
    assert len(short("x" * 99, 12)) == 12
    assert short("same", 4) == "same"
