"""SVG by hand: escaped tags, the page's colours as CSS variables with light fall-backs, and the Figure around them."""

from __future__ import annotations

from html import escape

from convscope.draw.numbers import visible
from convscope.records.figure import Figure

INK, INK2, INK3 = "var(--ink,#15181c)", "var(--ink2,#4d5661)", "var(--ink3,#69737e)"
LINE, LINE2 = "var(--line,#dfe3e7)", "var(--line2,#c9cfd5)"
PANEL, SUNK = "var(--panel,#ffffff)", "var(--sunk,#eef0f2)"
ACCENT = "var(--accent,#b5127a)"
MUST, FINE = "var(--must,#a3261b)", "var(--fine,#1d6b45)"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


def tag(name: str, attributes: dict[str, object] | None = None, *children: str) -> str:
    """One element; attribute values are escaped, children are SVG already, `_` in attribute names becomes `-`."""
    words = "".join(
        f' {key.replace("_", "-")}="{escape(visible(_short(value)), quote=True)}"'
        for key, value in (attributes or {}).items()
        if value is not None
    )
    return f"<{name}{words}>{''.join(children)}</{name}>" if children else f"<{name}{words}/>"


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """A line of text, 11 px in the second ink unless `attributes` say otherwise."""
    look: dict[str, object] = {"x": x, "y": y, "font_size": 11, "fill": INK2, **attributes}
    return tag("text", look, escape(visible(words)))


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """A straight line, 1 px in the page's line colour unless `attributes` say otherwise."""
    return tag("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": LINE, **attributes})


def rect(x: float, y: float, width: float, height: float, **attributes: object) -> str:
    """A rectangle; a `hint` is shown by the browser where the pointer rests."""
    hint = attributes.pop("hint", None)
    children = [tag("title", None, escape(visible(hint)))] if hint is not None else []
    return tag("rect", {"x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0), **attributes}, *children)


def svg_figure(parts: list[str], *, width: int, height: int, words: tuple[str, str, str]) -> Figure:
    """Wrap parts into a Figure; `words` are title, alternative text and caption."""
    title, alt, caption = words
    look: dict[str, object] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {width} {height}",
        "width": width,
        "height": height,
        "role": "img",
        "aria_label": alt,
        "font_family": FONT,
        "style": "font-variant-numeric:tabular-nums",
    }
    background = rect(0, 0, float(width), float(height), fill=PANEL)
    drawing = tag("svg", look, background, *parts)
    return Figure("svg", drawing.encode(), width, height, visible(title), visible(alt), visible(caption))
