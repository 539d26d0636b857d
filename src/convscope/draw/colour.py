"""Colour maps as short strings, and the colours and shapes of classes."""

from __future__ import annotations

import numpy as np

# viridis (Smith and van der Walt 2015, CC0) at every fifth of its 256 steps; between them straight lines, which
# stay within 1/255 of the whole table (a test compares)
_VIRIDIS = (
    "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31688e"
    "2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7793dbc74"
    "46c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
)
# ColorBrewer's RdBu with 11 classes (Brewer 2003), blue to red
_RDBU = "0530612166ac4393c392c5ded1e5f0f7f7f7fddbc7f4a582d6604db2182b67001f"

# Okabe and Ito 2008, for eyes with and without red-green vision; the eighth is the page's ink
CLASS_COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#b8a900",
    "var(--ink,#15181c)",
)
CLASS_SHAPES = ("ring", "square", "triangle", "diamond", "cross", "disc", "plus", "bar")


def _table(knots: str, steps: int = 256) -> np.ndarray:
    points = np.array([int(knots[i : i + 2], 16) for i in range(0, len(knots), 2)], np.float64).reshape(-1, 3)
    places = np.linspace(0, len(points) - 1, steps)
    return np.stack([np.interp(places, np.arange(len(points)), points[:, c]) for c in range(3)], axis=1)


VIRIDIS = np.round(_table(_VIRIDIS)).astype(np.uint8)
DIVERGING = np.round(_table(_RDBU, 255)).astype(np.uint8)  # an odd number, so that 0 has a step of its own


def viridis(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(...) numbers -> (..., 3) uint8; `low` dark violet, `high` yellow, beyond is clipped; a flat map is dark."""
    share = (np.asarray(values, np.float64) - low) / (high - low) if high > low else np.zeros(np.shape(values))
    return VIRIDIS[np.round(np.clip(share, 0, 1) * 255).astype(int)]


def diverging(values: np.ndarray, limit: float) -> np.ndarray:
    """(...) signed numbers -> (..., 3) uint8; -limit blue, 0 white, +limit red, symmetric about 0."""
    share = np.asarray(values, np.float64) / limit if limit > 0 else np.zeros(np.shape(values))
    return DIVERGING[np.round((np.clip(share, -1, 1) + 1) * 127).astype(int)]


def class_colour(index: int) -> tuple[str, bool]:
    """(colour, is hollow) of class `index`: eight colours, then the same ones hollow; they repeat from the 17th on."""
    return CLASS_COLOURS[index % 8], index // 8 % 2 == 1


def class_shape(index: int) -> str:
    """Shape of class `index`; from the ninth on each colour meets another shape: no two of 64 classes look the same."""
    return CLASS_SHAPES[(index + index // 8) % 8]


def css_gradient(kind: str) -> str:
    """The stops of a colour bar for CSS: "viridis", "diverging" or "grey"."""
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    table = {"viridis": VIRIDIS, "diverging": DIVERGING}.get(kind, grey)
    stops = table[np.round(np.linspace(0, len(table) - 1, 11)).astype(int)]
    return ", ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in stops.tolist())
