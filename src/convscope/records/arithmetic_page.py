"""An Arithmetic as a small piece of HTML: patch, kernel and products side by side, sums, steps, value."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convscope.records.arithmetic import Arithmetic, Step

MOST_PARTS = 6
MOST_CELLS = 12

STYLE = """
.cvs-a{font:13px/1.4 system-ui,sans-serif;font-variant-numeric:tabular-nums;max-width:64rem}
.cvs-a table{border-collapse:separate;border-spacing:2px;display:inline-table;vertical-align:middle;margin:4px 0;
font:inherit;flex:none}
.cvs-a td{padding:1px 5px;text-align:right;min-width:3.2em;border:1px solid rgb(128 128 128/.25);font-size:12px}
.cvs-a td.pad{border-style:dashed;opacity:.55}
.cvs-a td.top{outline:2px solid #b0117b}
.cvs-a .row{display:flex;align-items:center;gap:8px;overflow-x:auto;white-space:nowrap}
.cvs-a .row>span{flex:none;width:8.5em}
.cvs-a .steps{display:flex;flex-wrap:wrap;gap:8px;margin-top:8px}
.cvs-a .step{border:1px solid rgb(128 128 128/.4);border-radius:4px;padding:8px;max-width:22rem}
.cvs-a .step b{display:block}
.cvs-a .value{font-size:18px;font-weight:600;display:block;margin-top:4px}
.cvs-a .small{opacity:.7;font-size:12px}
"""


def page(worked: Arithmetic) -> str:
    """Draw the factors of the parts that weigh most, then every step down to the value."""
    place = ", ".join(str(i) for i in (*worked.at, worked.channel))
    head = f"<b>{escape(worked.layer)}</b> ({escape(worked.kind)}) [{place}] = <b>{number(worked.shown)}</b>"
    boxes = [_box("Factors joined", f"{worked.operation} of {worked.patch.size}", _sum(worked))]
    if worked.bias is not None:
        boxes.append(_box("Bias", "", f"{worked.bias:+.4g}".replace("-", "−")))
    boxes.extend(_step(step) for step in worked.steps)
    boxes.append(_result(worked))
    boxes.extend(_step(step) for step in worked.following)
    small = worked.provenance.line()
    return (
        f"<div class='cvs-a'><style>{STYLE}</style><div>{head}</div>{_parts(worked)}"
        f"<div class='steps'>{''.join(boxes)}</div><div class='small'>{escape(small)}</div></div>"
    )


def _sum(worked: Arithmetic) -> str:
    return number(worked.total - (worked.bias or 0.0))


def _step(step: Step) -> str:
    facts = ", ".join(f"{escape(name)} = {number(value)}" for name, value in step.facts.items())
    title = f"{step.name} ({step.layer})" if step.layer else step.name
    return _box(title, f"{escape(step.formula)}<br>{facts}" if facts else escape(step.formula), number(step.after))


def _result(worked: Arithmetic) -> str:
    words = (
        f"{escape(worked.dtype)} computed {worked.computed:.8g}<br>by hand {worked.shown:.8g}<br>"
        f"remainder {worked.remainder:.1e}, at most {worked.bound:.1e}"
    )
    return _box("Value" if worked.agrees else "Value: does not agree", words, number(worked.shown))


def _box(title: str, words: str, value: str) -> str:
    return f"<div class='step'><b>{escape(title)}</b>{words}<span class='value'>{value}</span></div>"


def _parts(worked: Arithmetic) -> str:
    """One row per place of the last axis (an input channel), the heaviest first; the rest is summed."""
    last = worked.products.shape[-1] if worked.products.ndim else 0
    if not worked.products.size:
        return "<div class='small'>no value of the input reaches this place</div>"
    shown = worked.products if worked.products.ndim > 1 else worked.products[:, None]
    count = last if worked.products.ndim > 1 else 1
    finite = np.where(np.isfinite(shown), np.abs(shown), 0.0)
    order = np.argsort(-finite.reshape(-1, count).sum(axis=0), kind="stable")
    rows = "".join(_part(worked, int(part)) for part in order[:MOST_PARTS])
    rest = order[MOST_PARTS:]
    if len(rest):
        total = float(np.where(np.isfinite(shown), shown, 0.0).reshape(-1, count)[:, rest].sum())
        rows += f"<div class='small'>{len(rest)} more: together {number(total)}</div>"
    return rows


def _part(worked: Arithmetic, part: int) -> str:
    many = worked.products.ndim > 1

    def cut(array: np.ndarray) -> np.ndarray:
        chosen = array[..., part] if many else array
        return chosen.reshape(-1, chosen.shape[-1]) if chosen.ndim > 1 else chosen.reshape(1, -1)

    padding = cut(worked.is_padding)
    name = f"{worked.axes[-1]} {part}" if many else worked.axes[-1]
    tables = [_grid(cut(worked.patch), padding)]
    if worked.kernel is not None:
        tables += ["×", _grid(cut(worked.kernel), padding), "=", _grid(cut(worked.products), padding)]
        total = number(float(np.where(padding, 0.0, cut(worked.products)).sum()))
        tables.append(f"→ <b>{total}</b>")
    return f"<div class='row'><span>{escape(name)}</span>{''.join(tables)}</div>"


def _grid(values: np.ndarray, padding: np.ndarray) -> str:
    real = np.abs(values[~padding & np.isfinite(values)])
    largest = float(real.max()) if real.size else 0.0
    lines = []
    for line, outside in zip(values[:MOST_CELLS], padding[:MOST_CELLS]):
        cells = [_cell(float(v), bool(o), largest) for v, o in zip(line[:MOST_CELLS], outside[:MOST_CELLS])]
        lines.append("<tr>" + "".join(cells) + ("<td>…</td>" if len(line) > MOST_CELLS else "") + "</tr>")
    more = "<tr><td>…</td></tr>" if len(values) > MOST_CELLS else ""
    return f"<table>{''.join(lines)}{more}</table>"


def _cell(value: float, outside: bool, largest: float) -> str:
    if outside:
        return f"<td class='pad' title='padding'>{number(value)}</td>"
    mark = " class='top'" if largest and abs(value) == largest else ""
    return f"<td{mark} style='background:{shade(value, largest)}'>{number(value)}</td>"


def shade(value: float, largest: float) -> str:
    """A blue-white-red background symmetric about zero, as a CSS colour."""
    share = 0.0 if not largest or not np.isfinite(value) else max(-1.0, min(1.0, value / largest))
    strength = round(70 * abs(share) ** 0.7)
    return f"color-mix(in srgb, {'#b2182b' if share > 0 else '#2166ac'} {strength}%, transparent)"


def number(value: float) -> str:
    """Three significant digits with a true minus sign."""
    return f"{value + 0.0:.3g}".replace("-", "−").replace("inf", "∞")  # + 0.0: a zero has no sign
