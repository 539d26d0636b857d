"""What a store of feature maps looks like on disk: Zarr v3, sharded, compressed, one array per layer call.

`zarr.json` of the root holds all facts under "convscope"; each layer's array is (pictures, height, width, channels).
The group `written` lists in its attributes the blocks of pictures that are whole; its `zarr.json` is rewritten by one
rename after each block, so that plain Zarr readers see nothing but groups and arrays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convscope.errors import DataError, MissingExtraError
from convscope.files.atomic import write_json
from convscope.scope.chunking import chunk_shape

BLOCKS = "written/zarr.json"
_PART = "part-{}.json"
FORMAT = 1
Kept = Literal["float16", "float32"]


@dataclass(frozen=True)
class LayerArray:
    """One layer's array: `layer` path, `array` its folder, `shape` (height, width, channels) as stored."""

    layer: str
    array: str
    shape: tuple[int, int, int]


def engine() -> Any:
    """The package that writes and reads the arrays.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import tensorstore
    except ImportError as error:
        raise MissingExtraError(
            "stores of feature maps need tensorstore, which is not installed; run: pip install 'convscope[store]'"
        ) from error
    return tensorstore


def array_names(layers: Sequence[str]) -> list[str]:
    """A flat folder name for each layer, so that plain readers find all arrays at the root."""
    names: list[str] = []
    for layer in layers:
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in layer)
        name, count = safe, 1
        while name in names or name in ("predictions", "written"):
            count += 1
            name = f"{safe}_{count}"
        names.append(name)
    return names


def array_spec(folder: Path, entry: LayerArray, *, n: int, block: int, kept: Kept, codec: str) -> dict[str, Any]:
    """The Zarr v3 spec of one layer's array: shards of `block` pictures, inner pieces by `chunk_shape`, CRC-32C."""
    size = 2 if kept == "float16" else 4
    compressor = {"cname": codec, "clevel": 1, "shuffle": "bitshuffle", "typesize": size}
    inner = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "blosc", "configuration": compressor},
        {"name": "crc32c"},
    ]
    index = [inner[0], {"name": "crc32c"}]
    pieces = {
        "chunk_shape": list(chunk_shape(entry.shape, size, block)),
        "codecs": inner,
        "index_codecs": index,
        "index_location": "end",
    }
    metadata = {
        "shape": [n, *entry.shape],
        "data_type": kept,
        "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [block, *entry.shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},  # one folder per array
        "codecs": [{"name": "sharding_indexed", "configuration": pieces}],
        "dimension_names": ["picture", *(f"{entry.array} {axis}" for axis in ("y", "x", "channel"))],
        "attributes": {"layer": entry.layer},
    }
    return plain_spec(folder, entry.array) | {"metadata": metadata}


def table_spec(folder: Path, name: str, *, shape: tuple[int, int], block: int) -> dict[str, Any]:
    """The spec of a small float32 array with one row per picture."""
    metadata = {
        "shape": list(shape),
        "data_type": "float32",
        "fill_value": "NaN",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [block, shape[1]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "dimension_names": ["picture", f"{name} column"],
    }
    return plain_spec(folder, name) | {"metadata": metadata}


def plain_spec(folder: Path, name: str) -> dict[str, Any]:
    """Where an array lies."""
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / name)}}


def write_root(folder: Path, facts: dict[str, Any]) -> None:
    """Make the root group with its facts."""
    attributes = {"convscope": {"format": FORMAT, **facts}}
    write_json(folder / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})


def read_root(folder: Path) -> dict[str, Any]:
    """The facts of a store.

    Raises:
        DataError: no store there, or one that can't be read.
    """
    try:
        facts = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"]["convscope"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: expected a store of feature maps, found none that can be read") from error
    if facts.get("format") != FORMAT:
        raise DataError(f"{folder}: expected format {FORMAT}, got {facts.get('format')}; use a newer convscope")
    return dict(facts)


def read_blocks(folder: Path) -> set[int]:
    """Numbers of the blocks that are whole, whichever process wrote them; none for a store that has just begun."""
    found: set[int] = set()
    for path in (folder / BLOCKS, *sorted((folder / BLOCKS).parent.glob(_PART.format("*")))):
        try:
            found |= set(json.loads(path.read_text(encoding="utf-8"))["attributes"]["whole"])
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: can't be read; remove the store and write it again") from error
    return found


def write_blocks(folder: Path, whole: set[int], part: int | None = None) -> None:
    """Say which blocks are whole, by one rename; one of several processes says it in a file of its own."""
    attributes = {"whole": sorted(whole)}
    path = folder / BLOCKS if part is None else (folder / BLOCKS).with_name(_PART.format(part))
    write_json(path, {"zarr_format": 3, "node_type": "group", "attributes": attributes})


def merge_blocks(folder: Path) -> None:
    """Put what several processes said, if there were any, into the one list; call it when they have ended."""
    parts = list((folder / BLOCKS).parent.glob(_PART.format("*")))
    if parts:
        write_blocks(folder, read_blocks(folder))
    for path in parts:
        path.unlink()
