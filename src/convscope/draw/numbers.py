"""Numbers and names as people read them: three significant digits, a true minus sign, nothing that hides."""

from __future__ import annotations

import math
import unicodedata

MINUS, THIN, NO_BREAK = "\u2212", "\u202f", "\u00a0"
_HIDING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # Unicode categories that show nothing of themselves
_KEPT = "\n\t\u200d"
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def three(value: float) -> str:
    """Three significant digits ("0.867", "12 300", "2.00 × 10⁻⁷"); NaN and infinity in words."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else (MINUS if value < 0 else "") + "infinite"
    if value == 0:
        return "0"
    mantissa, _, power = f"{abs(value):.2e}".partition("e")
    exponent = int(power)
    if exponent < -4 or exponent > 6:
        text = f"{mantissa} × 10{str(exponent).translate(_RAISED)}"
    elif exponent >= 3:
        text = count(round(float(f"{mantissa}e{power}")))
    else:
        text = f"{float(f'{mantissa}e{power}'):.{2 - exponent}f}"
    return (MINUS if value < 0 else "") + text


def signed(value: float) -> str:
    """`three` with a plus or minus sign; 0 has none."""
    return three(value) if value <= 0 or not math.isfinite(value) else "+" + three(value)


def count(value: int) -> str:
    """A whole number with thin spaces between thousands ("4 694 024")."""
    return (MINUS if value < 0 else "") + f"{abs(value):,}".replace(",", THIN)


def counted(value: int, what: str) -> str:
    """A whole number with its noun ("1 case", "4 694 cases"); the noun takes an s where there are more."""
    return f"{count(value)} {what}{'' if value == 1 else 's'}"


def percent(share: float) -> str:
    """A share in 0..1 as percent with one decimal ("86.7 %"), two significant digits below 1 %."""
    if not math.isfinite(share):
        return three(share)
    value = 100 * share
    if 99.95 <= value < 100:
        return f">{NO_BREAK}99.9{NO_BREAK}%"
    if value in (0.0, 100.0) or abs(value) >= 0.95:
        text = f"{abs(value):.1f}".removesuffix(".0") if value in (0.0, 100.0) else f"{abs(value):.1f}"
    else:
        text = f"{abs(value):.2g}"
    return (MINUS if value < 0 else "") + f"{text}{NO_BREAK}%"


def percent_tick(share: float) -> str:
    """A share in 0..1 as short as it can be, for the ticks of an axis ("75 %", "2.5 %")."""
    return f"{100 * share:.4g}{NO_BREAK}%".replace("-", MINUS)


def visible(text: object) -> str:
    """Text with every character that hides or rearranges others (control, direction, lone surrogate) as its number.

    File and class names are made by strangers; a name must look like what it is, and the page must be valid UTF-8.
    """
    return "".join(_escape(c) if unicodedata.category(c) in _HIDING and c not in _KEPT else c for c in str(text))


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def short(text: str, length: int) -> str:
    """At most `length` characters; the middle is left out, since both ends of a file name tell it apart."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail] + "…" + text[len(text) - tail :]
