"""Every layer and functional operation of a model by path, and the choice of some by name or pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError, UnknownLayerError
from convscope.registry import nearest

Names = str | Sequence[str]


def operations_by_path(model: Any) -> dict[str, Any]:
    """Every sublayer and functional operation (`a + b`, `ops.relu`) under the path where it is first met.

    A path joins the names from the model down ("backbone/block2/conv1"); the model itself is not in it. Two
    different layers of one name in one parent become "conv" and "conv~1".
    """
    return dict(_walk(model, "", {id(model)}))


def _walk(parent: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    taken: dict[str, int] = {}
    for child in children(parent):
        if id(child) in seen:
            continue
        seen.add(id(child))
        count = taken.get(child.name, 0)
        taken[child.name] = count + 1
        path = prefix + child.name + (f"~{count}" if count else "")
        yield path, child
        yield from _walk(child, path + "/", seen)


def children(parent: Any) -> list[Any]:
    """The operations directly inside `parent`, each once: tracked layers and, in a functional graph, its operations."""
    keras = load_keras()
    inner = list(getattr(parent, "_layers", ()) or ())
    operations = getattr(parent, "operations", ()) if isinstance(parent, keras.Model) else ()
    kept: dict[int, Any] = {}
    for child in [*operations, *inner]:
        if isinstance(child, keras.Operation) and not isinstance(child, keras.layers.InputLayer):
            kept.setdefault(id(child), child)
    return list(kept.values())


def as_names(layers: Names) -> list[str]:
    """One name or several, as a list; layer objects are taken by their name's place in `select`."""
    return [layers] if isinstance(layers, str) else list(layers)


def select(layers: Names, called: Iterable[str], known: Iterable[str]) -> list[str]:
    """The called names that `layers` stands for, in call order for a pattern, in the order given otherwise.

    Exact match first; then patterns: `*` stays within a level, `**` crosses levels. A pattern without "#" takes
    every call of a shared layer; a plain name takes the first.

    Args:
        layers: names or patterns ("conv1", "conv1#1", "block*/conv*", "**").
        called: names of the calls that happened ("conv1", "conv1#1", "split:1").
        known: paths of all operations, called or not.

    Raises:
        UnknownLayerError: nothing matches; it was never called; it has no such call.
    """
    names, paths = list(called), set(known)
    chosen: list[str] = []
    for wanted in as_names(layers):
        if not isinstance(wanted, str):
            raise ModelError(f"expected layer names, got {type(wanted).__name__}; give paths such as 'block1/conv1'")
        matches = _exact(wanted, names, paths) or _pattern(wanted, names, paths)
        chosen.extend(m for m in matches if m not in chosen)
    return chosen


def _exact(wanted: str, names: list[str], paths: set[str]) -> list[str]:
    plain = wanted[:-2] if wanted.endswith("#0") else wanted
    if plain in names:
        return [plain]
    if plain in paths:
        several = [n for n in names if n.startswith(plain + ":")]
        if several:
            raise UnknownLayerError(f"layer {plain!r} gives several outputs; name one of {', '.join(several)}")
        raise UnknownLayerError(
            f"layer {plain!r} is in the model but was never called on these pictures; choose one that is, "
            "see Scope.layers()"
        )
    base, mark, number = plain.rpartition("#")
    if mark and base in paths:
        count = sum(1 for n in names if n.split("#")[0].split(":")[0] == base)
        raise UnknownLayerError(f"layer {base!r} has {_times(count)} (#0 is the first), got call number {number}")
    return []


def _times(count: int) -> str:
    return f"{count} call" + ("" if count == 1 else "s")


def _pattern(wanted: str, names: list[str], paths: set[str]) -> list[str]:
    if "*" in wanted:
        shape = re.compile(_as_expression(wanted))
        bare = "#" not in wanted
        matches = [n for n in names if shape.fullmatch(re.sub(r"#\d+", "", n) if bare else n)]
        if matches:
            return matches
        if any(shape.fullmatch(p) for p in paths):
            raise UnknownLayerError(f"layers match {wanted!r}, but none of them was called; see Scope.layers()")
        raise UnknownLayerError(f"no layer matches {wanted!r} ('*' stays within a level, '**' crosses levels)")
    ends = [n for n in names if n.rsplit("/", 1)[-1] == wanted]
    hint = "did you mean " + " or ".join(ends[:3]) + "?" if ends else nearest(wanted, set(names) | paths)
    raise UnknownLayerError(f"unknown layer {wanted!r}; {hint}")


def _as_expression(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(words.get(p, re.escape(p)) for p in parts)
