from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from convscope.errors import BundleError
from convscope.files.manifest import write_manifest

pytestmark = [
    pytest.mark.backend,
    # TensorFlow 2.21 says it of itself under NumPy 2 whenever Keras saves a variable
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


@pytest.fixture
def bundle(tmp_path: Path, card: Any) -> Path:
    import keras

    from convscope.bundle.saving import save_bundle

    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(2, name="d")])
    save_bundle(tmp_path / "m.cvs", model, card)
    return tmp_path / "m.cvs"


def refused(folder: Path, match: str) -> None:
    from convscope.bundle.opening import open_bundle

    with pytest.raises(BundleError, match=match) as caught:
        open_bundle(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["architecture.json", "weights.safetensors", "card.json"])
def test_one_flipped_bit_is_found_in_every_file(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    for place in np.random.default_rng(1).integers(0, len(data), 20):
        changed = data.copy()
        changed[place] ^= 0x40
        (bundle / name).write_bytes(changed)
        refused(bundle, name)
    (bundle / name).write_bytes(data[: len(data) // 2])
    refused(bundle, name)


def test_a_missing_an_extra_and_a_linked_file_are_found(bundle: Path) -> None:
    (bundle / "evil.py").write_text("")
    refused(bundle, r"evil\.py.*R2")
    (bundle / "evil.py").unlink()
    content = (bundle / "card.json").read_bytes()
    (bundle / "card.json").rename(bundle.parent / "card.json")
    refused(bundle, "card.json")
    (bundle / "card.json").symlink_to(bundle.parent / "card.json")
    refused(bundle, "card.json")
    (bundle / "card.json").unlink()
    (bundle / "card.json").write_bytes(content)
    (bundle / "manifest.json").write_text('{"kind": "convscope bundle", "files": {}}')
    refused(bundle, "manifest.json")
    (bundle / "manifest.json").write_text('{"kind": "convscope bundle", "files": {"card.json": 3}}')
    refused(bundle, "manifest.json")
    refused(bundle.parent / "absent.cvs", "found none")
    refused(bundle / "card.json", "a file")


def with_tensors(bundle: Path, header: bytes, data: bytes) -> Path:
    """Other weights under an honest manifest, as an attacker would make it."""
    (bundle / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    write_manifest(bundle, "convscope bundle")
    return bundle


GOOD = {"d/kernel": ("F32", [10, 2], [0, 80]), "d/bias": ("F32", [2], [80, 88])}


def header(**changes: tuple) -> bytes:
    entries = {k.replace("_", "/"): v for k, v in changes.items()}
    return json.dumps(
        {k: {"dtype": t, "shape": s, "data_offsets": o} for k, (t, s, o) in ({**GOOD, **entries}).items() if t}
    ).encode()


ZEROS = bytes(88)
CASES = {
    "duplicate name": (
        header()[:-1] + b', "d/bias": {"dtype":"F32","shape":[2],"data_offsets":[80,88]}}',
        ZEROS,
        "twice",
    ),
    "overlap": (header(d_bias=("F32", [2], [72, 80])), ZEROS, "R21"),
    "hole": (header(d_bias=("F32", [2], [88, 96])), bytes(96), "R21"),
    "trailing bytes": (header(), ZEROS + b"more", "4 bytes after"),
    "shape 2^40": (header(d_kernel=("F32", [1 << 40], [0, 80])), ZEROS, "R15|R21"),
    "shape 2^62": (header(d_kernel=("F32", [1 << 62, 4], [0, 80])), ZEROS, "R8"),
    "missing": (header(d_bias=("", [], [])), bytes(80), "d/bias"),
    "extra": (header(x=("F32", [1], [88, 92])), bytes(92), "no variable 'x'"),
    "other shape": (header(d_kernel=("F32", [2, 10], [0, 80])), ZEROS, r"found \(2, 10\)"),
    "unknown dtype": (header(d_kernel=("F8_E4M3", [10, 2], [0, 20])), ZEROS, "R21"),
    "NaN": (header(), struct.pack("<f", float("nan")) + bytes(84), "d/kernel holds NaN"),
    "infinity": (header(), bytes(84) + struct.pack("<f", float("inf")), "d/bias holds NaN"),
    "NaN token": (header()[:-1] + b', "x": NaN}', ZEROS, "NaN"),
}


@pytest.mark.parametrize("case", CASES)
def test_hostile_safetensors_are_refused(bundle: Path, case: str) -> None:
    head, data, match = CASES[case]
    refused(with_tensors(bundle, head, data), match)


def test_a_header_that_claims_2_to_the_62_bytes_is_refused(bundle: Path) -> None:
    (bundle / "weights.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    write_manifest(bundle, "convscope bundle")
    refused(bundle, "R21")


def test_the_good_header_of_these_cases_opens(bundle: Path) -> None:
    from convscope.bundle.opening import open_bundle

    opened = open_bundle(with_tensors(bundle, header(), np.arange(22, dtype="<f4").tobytes()))
    kernel, bias = opened.model.get_weights()
    assert np.array_equal(kernel, np.arange(20).reshape(10, 2)) and np.array_equal(bias, [20, 21])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": 2}, "format 1, got 2"),
        ({"task": "harm"}, "harm"),
        ({"classes": [1, 2]}, "class names"),
        ({"temperature": 0}, "above 0"),
        ({"preprocess": {"height": 8}}, "facts of a model"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(bundle: Path, change: dict, match: str) -> None:
    facts = json.loads((bundle / "card.json").read_text()) | change
    (bundle / "card.json").write_text(json.dumps(facts))
    write_manifest(bundle, "convscope bundle")
    refused(bundle, match)


def test_an_architecture_under_an_honest_manifest_is_still_checked(bundle: Path) -> None:
    facts = json.loads((bundle / "architecture.json").read_text())
    facts["config"]["layers"][1]["class_name"] = "Lambda"
    (bundle / "architecture.json").write_text(json.dumps(facts))
    write_manifest(bundle, "convscope bundle")
    refused(bundle, "Lambda.*R9, R10")


def test_weights_are_written_under_stable_names(bundle: Path, tmp_path: Path) -> None:
    tensors = load_file(bundle / "weights.safetensors")
    assert {name: t.shape for name, t in tensors.items()} == {"d/kernel": (10, 2), "d/bias": (2,)}
    save_file(tensors, tmp_path / "copy.safetensors")
