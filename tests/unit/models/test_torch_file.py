from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from convscope.errors import ModelError
from convscope.models.torch_file import MAGIC, PROTOCOL, read_torch_file


class _Call:
    """Pickles as a call of `function`, as hostile files do."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple:
        return self.call


def write(path: Path, *parts: object, tail: bytes = b"") -> Path:
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts) + tail)
    return path


FACTS = {"little_endian": True}


@pytest.mark.parametrize("place", range(5))
def test_a_call_in_any_part_is_refused_and_never_made(tmp_path: Path, place: int) -> None:
    parts: list[object] = [MAGIC, PROTOCOL, FACTS, OrderedDict(), []]
    parts[place] = _Call(os.mkdir, str(tmp_path / "canary"))
    with pytest.raises(ModelError, match=r"mkdir"):
        read_torch_file(write(tmp_path / "x.pth", *parts))
    assert not (tmp_path / "canary").exists()


def test_eval_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"builtins\.eval|__builtin__\.eval"):
        read_torch_file(write(tmp_path / "x.pth", MAGIC, PROTOCOL, FACTS, _Call(eval, "1")))


def test_other_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "zip.pth").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(ModelError, match="zip format"):
        read_torch_file(tmp_path / "zip.pth")
    for content in (b"", b"text", pickle.dumps(7)):
        (tmp_path / "x.pth").write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.pth"):
            read_torch_file(tmp_path / "x.pth")
    with pytest.raises(ModelError, match="can't be read"):
        read_torch_file(tmp_path / "absent.pth")


def state(shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int, count: int) -> bytes:
    """A state dict of one tensor "t" as torch writes it, made with torch's names but without torch."""
    buffer = io.BytesIO()

    class Writer(pickle._Pickler):
        def persistent_id(self, obj: object) -> object:
            return obj.pid if isinstance(obj, Storage) else None

        def save_global(self, obj: object, name: str | None = None) -> None:
            self.write(b"c" + {Rebuild: b"torch._utils\n_rebuild_tensor_v2\n", Kind: b"torch\nFloatStorage\n"}[obj])

        dispatch = pickle._Pickler.dispatch.copy()
        dispatch[type] = save_global

    class Rebuild: ...

    class Kind: ...

    class Storage:
        pid = ("storage", Kind, "0", "cpu", count)

    class Tensor:
        def __reduce__(self) -> tuple:
            return Rebuild, (Storage(), offset, shape, strides, False, None)

    Writer(buffer, 2).dump({"t": Tensor()})
    return buffer.getvalue()


def one_tensor(path: Path, shape: tuple, strides: tuple, *, offset: int = 0, count: int = 6, written: int = 6) -> Path:
    head = b"".join(pickle.dumps(p, 2) for p in (MAGIC, PROTOCOL, FACTS))
    values = np.arange(written, dtype="<f4").tobytes()
    body = state(shape, strides, offset=offset, count=count)
    path.write_bytes(head + body + pickle.dumps(["0"], 2) + struct.pack("<q", count) + values)
    return path


def test_strides_and_offsets_are_kept(tmp_path: Path) -> None:
    flat = np.arange(6, dtype=np.float32)
    got = read_torch_file(one_tensor(tmp_path / "x.pth", (3, 2), (1, 3)))["t"]
    assert np.array_equal(got, flat.reshape(2, 3).T) and got.dtype == np.float32
    assert np.array_equal(read_torch_file(one_tensor(tmp_path / "x.pth", (2,), (2,), offset=1))["t"], [1, 3])


@pytest.mark.parametrize(
    ("shape", "strides", "more"),
    [
        ((3, 2), (2, 2), {}),
        ((1 << 40,), (0,), {}),
        ((2,), (-1,), {}),
        ((2,), (1,), {"offset": 5}),
        ((2,), (1, 1), {}),
        ((6,), (1,), {"written": 3}),
        ((6,), (1,), {"count": 1 << 60}),
    ],
)
def test_tensors_that_reach_outside_their_values_are_refused(
    tmp_path: Path, shape: tuple, strides: tuple, more: dict
) -> None:
    with pytest.raises(ModelError):
        read_torch_file(one_tensor(tmp_path / "x.pth", shape, strides, **more))
