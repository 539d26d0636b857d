"""A plan as text: TOML read with file and line in every error, TOML written with each field's description."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Collection
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from convscope.errors import DataNotFoundError, PlanError
from convscope.registry import nearest


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        DataNotFoundError: no such file, or it may not be read.
        PlanError: not TOML; names the line.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise DataNotFoundError(f"expected a plan at {path}, can't read it: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(
            f"{path}: expected a plan in TOML, got a damaged file: {error}; see `convscope plan`"
        ) from error


def one_line(error: ValidationError, known: list[str]) -> str:
    """The first thing wrong with a plan, in one line: the field, what was expected, what was found."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("int", "tuple[int, int]", "str"))
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown plan field {field!r}; {nearest(field, known)}"
    raised = (first.get("ctx") or {}).get("error")
    if isinstance(raised, PlanError):
        return str(raised)
    wish = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"expected plan field {field} to be {wish}, got {first['input']!r}"


def first_difference(old: dict[str, Any], new: dict[str, Any], *, but: Collection[str]) -> tuple[str, Any, Any] | None:
    """The first field in which two plans differ, by name: ("augment.mixup", old value, new value).

    Args:
        old: what `toml_values` gives of one; what it lacks counts as None.
        new: of the other.
        but: fields that may differ.
    """
    for name in sorted({*old, *new} - set(but)):
        before, now = old.get(name), new.get(name)
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                inner = next(k for k in {**before, **now} if before.get(k) != now.get(k))
                return f"{name}.{inner}", before.get(inner), now.get(inner)
            return name, before, now
    return None


def toml_values(model: BaseModel) -> dict[str, Any]:
    """The model's set values as TOML can hold them: what is None is left out, a stdlib dataclass becomes a table."""
    flat: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if is_dataclass(value) and not isinstance(value, type):
            tables[name] = asdict(value)
        elif value is not None:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return {**flat, **tables}


def dump_toml(values: dict[str, Any]) -> str:
    """Plain TOML text."""
    return tomli_w.dumps(values)


def group_of(info: FieldInfo) -> str:
    """The heading that a field stands under."""
    extra = info.json_schema_extra
    return str(extra.get("group", "")) if isinstance(extra, dict) else ""


def commented_toml(kind: type[BaseModel]) -> str:
    """Every field of a model class with its description and default, under its group's heading."""
    lines: list[str] = []
    tables: list[str] = []
    heading = None
    for name, info in kind.model_fields.items():
        default = info.get_default(call_default_factory=True)
        if is_dataclass(default):
            tables += ["", *_comment(info.description or ""), f"[{name}]", *_table_lines(default)]
            continue
        if group_of(info) != heading:
            heading = group_of(info)
            lines += ["", f"# ---- {heading} " + "-" * (72 - len(heading))]
        lines += ["", *_comment(f"{info.description} {allowed(info)}".strip())]
        lines.append(f"# {name} =" if default is None else _toml_line(name, default))
    return "\n".join(lines + tables).strip() + "\n"


def allowed(info: FieldInfo) -> str:
    """What a field may hold, in brackets: "(off | float16 | bfloat16)", "(>= 0, < 1)"; empty when anything goes."""
    choices = [str(c) for part in (info.annotation, *get_args(info.annotation)) for c in _choices(part)]
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [f"{sign} {getattr(m, rule):g}" for m in info.metadata for rule, sign in signs.items() if hasattr(m, rule)]
    return f"({' | '.join(choices)})" if choices else f"({', '.join(limits)})" if limits else ""


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _toml_line(name: str, value: Any) -> str:
    if isinstance(value, tuple):  # on one line, where tomli_w would take one per element
        return f"{name} = [{', '.join(dump_toml({'x': v}).strip().removeprefix('x = ') for v in value)}]"
    return dump_toml({name: value}).strip()


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 98)]


def _table_lines(record: Any) -> list[str]:
    words = _attribute_words(type(record))
    lines = []
    for field in fields(record):
        default = None if field.default is MISSING else field.default
        lines += [*_comment(words.get(field.name, "")), _toml_line(field.name, default)]
    return lines


def _attribute_words(kind: type) -> dict[str, str]:
    """What a dataclass' docstring says under "Attributes:" of each field; a shared line counts for each name."""
    words: dict[str, str] = {}
    text = textwrap.dedent((kind.__doc__ or "").partition("Attributes:")[2])
    current: list[str] = []
    for line in textwrap.dedent(text).splitlines():
        names, colon, said = line.strip().partition(": ")
        listed = [n.strip() for n in names.split(",")]
        if colon and all(n in kind.__dataclass_fields__ for n in listed):  # type: ignore[attr-defined]  # a dataclass
            current = listed
            words.update(dict.fromkeys(listed, said))
        elif line.strip():
            words.update({n: f"{words[n]} {line.strip()}" for n in current})
    return words


def numbers(value: Any) -> Any:
    """What a command line gives, as numbers: "3" -> 3, "96,128" -> (96, 128), ["8,16", "32"] -> (8, 16, 32).

    Anything else comes back as it is, for the field's own check to refuse by name.
    """
    words = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    if not words or not all(isinstance(word, str) for word in words):
        return value
    parts = [part.strip() for word in words for part in word.split(",")]
    if not all(part.removeprefix("-").isdecimal() for part in parts):
        return value
    found = tuple(int(part) for part in parts)
    return found[0] if isinstance(value, str) and len(found) == 1 else found
