"""A Report -> one HTML page that needs nothing else: no script, no network, no font from outside."""

from __future__ import annotations

from functools import cache

import jinja2
from markupsafe import Markup

from convscope.draw.colour import css_gradient
from convscope.draw.numbers import visible
from convscope.draw.sheet import data_address
from convscope.errors import DataError
from convscope.records.figure import Figure
from convscope.records.report import Report, Sheet, Table, Tile


def _shown(value: object) -> object:
    """What the template prints: names made by strangers lose nothing but their power to hide; escaping comes after."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _identity(table: Table) -> str:
    return "table-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in table.title.lower())


def _tile_address(tile: Tile) -> str:
    return data_address(tile.image, tile.media)


def _figure_address(figure: Figure) -> str:
    return data_address(figure.data, figure.media)


def _drawing(figure: Figure) -> Markup:
    """SVG goes in as it is, so that it takes the page's colours; the page's own policy lets no script run."""
    return Markup(figure.data.decode())  # drawn by draw/, which escapes every word


def _css_name(tone: str) -> str:
    return tone.replace(" ", "-")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convscope.reporting", "page"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "address": _tile_address,
        "css_name": _css_name,
        "drawing": _drawing,
        "figure_address": _figure_address,
        "gradient": css_gradient,
        "identity": _identity,
    }
    environment.tests |= {
        "figure": lambda block: isinstance(block, Figure),
        "sheet": lambda block: isinstance(block, Sheet),
    }
    return environment


def render_report(report: Report) -> str:
    """The whole page as text that is valid UTF-8.

    Raises:
        DataError: two sections of one name, which would share an anchor.
    """
    names = [s.name for s in report.sections]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"expected one section of each name in a report, got several named {', '.join(twice)}")
    environment = _environment()
    style = Markup(environment.get_template("report.css").render())  # ours, has nothing to escape
    return environment.get_template("report.html.j2").render(report=report, style=style).strip() + "\n"
