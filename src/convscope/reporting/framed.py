"""A report inside a notebook: the same page in a frame of its own, so that its style stays with it."""

from __future__ import annotations

from html import escape

from convscope.records.report import Report
from convscope.reporting.render import render_report


def framed(report: Report, height_px: int = 640) -> str:
    """HTML for `_repr_html_`: the whole page in a frame that runs no script."""
    page = escape(render_report(report), quote=True)
    look = f"width:100%;height:{height_px}px;border:1px solid #c9cfd5"
    return f'<iframe sandbox="" title="{escape(report.title)}" style="{look}" srcdoc="{page}"></iframe>'
