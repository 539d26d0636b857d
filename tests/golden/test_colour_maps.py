"""Colour maps against what others publish."""

import numpy as np

from convscope.draw.colour import DIVERGING, VIRIDIS

# matplotlib 3.11, colormaps['viridis'].colors times 255, at places between and on our knots
VIRIDIS_POINTS = {
    0: (68, 1, 84),
    3: (69, 5, 89),
    15: (72, 23, 105),
    27: (72, 38, 119),
    39: (69, 53, 129),
    51: (65, 68, 135),
    63: (59, 81, 139),
    75: (53, 94, 141),
    87: (48, 106, 142),
    99: (43, 117, 142),
    111: (38, 129, 142),
    123: (34, 140, 141),
    135: (31, 151, 139),
    147: (31, 162, 135),
    159: (39, 173, 129),
    171: (55, 184, 120),
    183: (76, 194, 108),
    195: (101, 203, 94),
    207: (129, 211, 77),
    219: (160, 218, 57),
    231: (192, 223, 37),
    243: (223, 227, 24),
    255: (253, 231, 37),
}


def test_viridis_at_published_points():
    for place, colour in VIRIDIS_POINTS.items():
        assert np.abs(VIRIDIS[place].astype(int) - colour).max() <= 1


def test_diverging_is_colorbrewers_and_white_at_zero():
    assert DIVERGING[0].tolist() == [0x05, 0x30, 0x61]
    assert DIVERGING[127].tolist() == [0xF7, 0xF7, 0xF7]
    assert DIVERGING[254].tolist() == [0x67, 0x00, 0x1F]


def test_viridis_grows_brighter_all_the_way():
    luma = VIRIDIS @ np.array([0.2126, 0.7152, 0.0722])
    assert np.all(np.diff(luma[::5]) > 0)  # single steps are rounded to whole colours
