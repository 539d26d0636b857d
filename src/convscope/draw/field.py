"""The effective receptive field as a heat map: how much each pixel moves a value, and the box that holds 95 %."""

from __future__ import annotations

import base64

import numpy as np

from convscope.arrays.resize import reduce_mean
from convscope.draw.colour import css_gradient, viridis
from convscope.draw.numbers import percent, three
from convscope.draw.png import png_bytes
from convscope.draw.svg import ACCENT, INK, INK3, LINE2, rect, svg_figure, tag, text
from convscope.records.field import EffectiveField
from convscope.records.figure import Figure

SIDE, TOP, LEFT = 360, 44, 12
WORDS = 190


def field_figure(field: EffectiveField) -> Figure:
    """Heat per pixel on a square-root scale (its spread is that of a bell: most of it would be black), with its box.

    A one-dimensional input is drawn as one line of pixels; of three dimensions the middle plane is drawn.
    """
    heat, box = _plane(field)
    height, width = heat.shape
    scale = SIDE / max(height, width)
    step = -(-max(height, width) // SIDE)
    shown = reduce_mean(heat, step) if step > 1 else heat
    image = viridis(np.sqrt(shown), 0.0, float(np.sqrt(shown.max())))
    wide, high = width * scale, max(height * scale, 8.0)
    address = f"data:image/png;base64,{base64.b64encode(png_bytes(image)).decode()}"
    look = {"x": LEFT, "y": TOP, "width": wide, "height": high, "href": address, "preserveAspectRatio": "none"}
    parts = [
        text(LEFT, 16, f"Effective field of {field.layer}", font_size=13, font_weight=600, fill=INK),
        text(LEFT, 32, f"{_value(field)}, in {field.source} of {_sizes(field.heat.shape)} px", fill=INK3),
        tag("image", {**look, "style": "image-rendering:pixelated"}),
        rect(LEFT, TOP, wide, high, fill="none", stroke=LINE2),
    ]
    (top, bottom), (left, right) = box
    edge = (LEFT + left * scale, TOP + top * scale, (right - left + 1) * scale, (bottom - top + 1) * scale)
    parts += [
        rect(*edge, fill="none", stroke="#ffffff", stroke_width=4, stroke_opacity=0.7),
        rect(*edge, fill="none", stroke=ACCENT, stroke_width=2),
    ]
    sizes = _sizes(tuple(b - a + 1 for a, b in field.box))
    parts += _key(LEFT + wide + 20, sizes, field)
    exact = " × ".join(f"{a}..{b}" for a, b in field.box)
    share = percent(field.share)
    alt = f"Effective field of {field.layer}, {_value(field)}: {share} of the heat lies in {exact}, {sizes} px."
    caption = f"mean absolute gradient over the pictures, summed over input channels; {share} within {exact}"
    size = (int(LEFT + wide + 20 + WORDS), int(TOP + max(high, 130.0) + 16))
    return svg_figure(parts, width=size[0], height=size[1], words=(f"Effective field of {field.layer}", alt, caption))


def _key(x: float, sizes: str, field: EffectiveField) -> list[str]:
    stops = css_gradient("viridis").split(", ")
    step = 96 / len(stops)
    parts = [rect(x + i * step, TOP, step + 0.3, 9, fill=colour) for i, colour in enumerate(stops)]
    largest = float(field.heat.max())
    words = [(0.0, "0"), (96.0, three(largest))]
    parts += [text(x + at, TOP + 24, w, fill=INK3, text_anchor="end" if at else "start") for at, w in words]
    parts.append(text(x, TOP + 40, "share of the heat per pixel,", fill=INK3))
    parts.append(text(x, TOP + 54, "square-root scale", fill=INK3))
    parts.append(rect(x, TOP + 76, 14, 14, fill="none", stroke=ACCENT, stroke_width=2))
    parts.append(text(x + 22, TOP + 87, f"holds {percent(field.share)}: {sizes} px", fill=INK))
    return parts


def _plane(field: EffectiveField) -> tuple[np.ndarray, tuple[tuple[int, int], tuple[int, int]]]:
    heat = np.asarray(field.heat, np.float64)
    if heat.ndim == 1:
        return heat[None], ((0, 0), field.box[0])
    while heat.ndim > 2:
        heat = heat[heat.shape[0] // 2]
    return heat, (field.box[-2], field.box[-1])


def _value(field: EffectiveField) -> str:
    which = "sum of all channels" if field.channel is None else f"channel {field.channel}"
    return f"value at ({', '.join(map(str, field.at))}), {which}" if field.at else which


def _sizes(sizes: tuple[int, ...]) -> str:
    return " × ".join(map(str, sizes))
