"""The hostile model files of the bad-input list, each made here from a good one; none may have any effect."""

from __future__ import annotations

import os
import shutil
import socket
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convscope.errors import BundleError

pytestmark = [
    pytest.mark.backend,
    # TensorFlow 2.21 says it of itself under NumPy 2 whenever Keras saves a variable
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def refused(path: Any, match: str, seconds: float = 10.0) -> None:
    import keras

    from convscope.bundle.keras_file import open_keras

    before = (keras.config.floatx(), keras.config.image_data_format(), sorted(Path(path).parent.iterdir()))
    start = time.process_time()  # of the processor: a busy machine is no attack; what hangs meets pytest's own limit
    with pytest.raises(BundleError, match=match) as caught:
        open_keras(path)
    assert time.process_time() - start < seconds
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert before == (keras.config.floatx(), keras.config.image_data_format(), sorted(Path(path).parent.iterdir()))


def call_node(module: str, function: str, inputs: object = None, arguments: dict | None = None) -> dict:
    """A Lambda that names a library function; the call's argument travels in inbound_nodes."""
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "registered_name": None,
        "name": "l",
        "config": {
            "name": "l",
            "arguments": arguments or {},
            "function": {
                "module": module,
                "class_name": "function",
                "config": function,
                "registered_name": function,
            },
        },
        "build_config": {"input_shape": [None, 10]},
        "inbound_nodes": [{"args": [], "kwargs": {"inputs": inputs}}],
    }


def test_the_good_file_of_these_cases_opens(good: Path) -> None:
    import keras

    from convscope.bundle.keras_file import open_keras

    x = np.ones((1, 10), np.float32)
    assert np.array_equal(
        open_keras(good).model.predict(x, verbose=0), keras.saving.load_model(good).predict(x, verbose=0)
    )


def test_m1_lambda_bytecode(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((10,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "l.keras")
    refused(tmp_path / "l.keras", "Lambda.*R9, R10")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")  # the old format is the point here
def test_m2_h5(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((10,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.save(tmp_path / "x.h5")
    refused(tmp_path / "x.h5", "HDF5 file; open it in Keras")


@pytest.mark.parametrize(
    ("module", "function", "inputs", "arguments"),
    [
        ("keras.config", "set_floatx", "float16", None),
        ("keras.config", "set_image_data_format", "channels_first", None),
        ("keras.config", "set_max_epochs", 1, None),
        ("keras.utils", "set_random_seed", 7, None),
        ("keras.datasets.mnist", "load_data", "zz.npz", None),
        ("keras.applications.vgg16", "VGG16", True, {"weights": "/etc/passwd"}),
    ],
)
def test_m3_m4_m5_calls_of_library_functions(
    attack: Any, monkeypatch: pytest.MonkeyPatch, module: str, function: str, inputs: object, arguments: dict | None
) -> None:
    def no_socket(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    refused(attack.layer(call_node(module, function, inputs, arguments)), "R9, R10")


@pytest.mark.parametrize(
    "changes",
    [
        {"module": "os", "class_name": "system"},
        {"module": "builtins", "class_name": "exec"},
        {"module": "keras_hub.layers", "class_name": "Dense"},
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}},
        {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
        {"class_name": "__lambda__"},
        {"module": None, "class_name": "__typespec__"},
        {"module": None},
    ],
)
def test_m6_m7_m8_classes_off_the_list(attack: Any, changes: dict) -> None:
    refused(attack.dense(**changes), "R9, R10")


def test_m9_a_class_that_the_host_registered(attack: Any) -> None:
    import keras

    built = []

    @keras.saving.register_keras_serializable("host")
    class Secret(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            built.append(1)
            super().__init__()

    @keras.saving.register_keras_serializable("host")
    def spy(x: Any) -> Any:
        built.append(1)
        return x

    refused(attack.dense(registered_name="host>Secret"), "R11")
    refused(attack.dense(module=None, class_name="Secret", registered_name="host>Secret"), "R9, R10")
    refused(attack.dense(config_activation="host>spy"), "R10")
    refused(attack.dense(config_kernel_initializer="host>Secret"), "R10")
    assert built == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"config_activation": {"module": "builtins", "class_name": "function", "config": "eval"}}, "R9, R10"),
        ({"config_activation": {"config": "relu"}}, "R10"),
        ({"config_name": "../../x"}, "R11"),
        ({"config_name": "/etc/passwd"}, "R11"),
        ({"config_name": "gs://bucket/x"}, "R11"),
        ({"config_name": "C:\\x"}, "R11"),
        ({"config_dtype": "evil_from_float32"}, "R9"),
        ({"inbound_nodes": [{"args": ["float16"], "kwargs": {}}]}, "R12"),
        ({"config_units": 10**13}, "10,000,000,000,000 values"),
        ({"config_units": 10**17}, "larger than 2\\^53"),
        ({"config_units": -1}, "can't build"),
        ({"config_units": float("nan")}, "NaN is not JSON"),
        ({"config_unknown": 1}, "can't build"),
    ],
)
def test_settings_that_name_code_places_or_absurd_numbers(attack: Any, changes: dict, match: str) -> None:
    refused(attack.dense(**changes), match)


def test_m10_duplicate_members(good: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(good, "a") as archive:
        archive.writestr("config.json", '{"class_name": "Sequential"}')
    refused(good, "twice.*R3")


@pytest.mark.parametrize("name", ["../../x", "C:\\x", "\\\\srv\\x", "/x", "x.py", "assets/a", "CONFIG.JSON"])
def test_m11_odd_members(attack: Any, name: str) -> None:
    refused(attack.rewrite(extra=((name, b"x"),)), "R2, R4")


def test_m12_zip_bombs(attack: Any, good: Path) -> None:
    with zipfile.ZipFile(good) as a, zipfile.ZipFile(attack.target, "w", zipfile.ZIP_DEFLATED) as b:
        for name in a.namelist():
            b.writestr(name, bytes(20 << 20) if name == "model.weights.h5" else a.read(name))
    refused(attack.target, "unpacks to.*R5")


def shape_bomb(file: h5py.File) -> None:
    group = file["layers/dense/vars"]
    del group["0"]
    group.create_dataset("0", shape=(1 << 28,), dtype="f4", chunks=(1 << 20,), compression="gzip")


def test_m13_h5_that_declares_a_gigabyte(attack: Any) -> None:
    refused(attack.h5(shape_bomb), "declares 1,073,741,824 bytes.*R15")


def test_m14_m15_h5_that_points_elsewhere(attack: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(80))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["vars/0"] = np.zeros((10, 2), np.float32)

    def external(file: h5py.File) -> None:
        group = file["layers/dense/vars"]
        del group["0"]
        group.create_dataset("0", shape=(10, 2), dtype="f4", external=[(str(secret), 0, 80)])

    def linked(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")

    def soft(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")

    def virtual(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_virtual_dataset("0", h5py.VirtualLayout((10, 2), "f4"))

    def loop(file: h5py.File) -> None:
        file["layers/again"] = file["layers"]

    for change in (external, linked, soft, virtual, loop):
        refused(attack.h5(change), "R14")


def test_m16_h5_link_to_a_fifo_does_not_hang(attack: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    def fifo(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(tmp_path / "fifo"), "/")

    refused(attack.h5(fifo), "R14", seconds=1)


def many_layers(count: int) -> dict:
    nodes = [{"class_name": "Identity", "config": {"name": f"d{k}"}} for k in range(count)]
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "i"}}
    nodes = [{"module": "keras.layers", "registered_name": None, **node} for node in (first, *nodes)]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": nodes},
        "registered_name": None,
    }


def test_m17_3000_layers_and_900_levels(attack: Any) -> None:
    refused(attack.rewrite(config=lambda _: many_layers(3000)), "2,000 layers.*R8", seconds=1)
    deep: dict = {"a": 1}
    for _ in range(900):
        deep = {"a": deep}
    refused(attack.dense(config_activation=deep), "64 levels.*R8", seconds=1)
    text = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    refused(attack.rewrite(extra=(("config.json", text),), drop=("config.json",)), "R8", seconds=1)


def test_m18_maps_that_no_memory_holds(attack: Any) -> None:
    def upsample(config: dict) -> dict:
        sequence = many_layers(0)
        sequence["config"]["layers"][0]["config"]["batch_shape"] = [None, 8, 8, 3]
        up = {"name": "u", "size": [10**6, 10**6]}
        node = {"module": "keras.layers", "class_name": "UpSampling2D", "config": up, "registered_name": None}
        sequence["config"]["layers"].append(node)
        return sequence

    refused(attack.rewrite(config=upsample), "192,000,000,000,000 values|can't build")


def test_m19_nan_weights(attack: Any) -> None:
    def nan(file: h5py.File) -> None:
        file["layers/dense/vars/0"][3, 1] = np.nan

    refused(attack.h5(nan), "layers/dense/vars/0 holds NaN")


def test_m20_m21_damage(good: Path, attack: Any) -> None:
    data = good.read_bytes()
    kernel = zipfile.ZipFile(good).read("model.weights.h5")
    place = data.index(kernel) + len(kernel) // 2
    attack.target.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
    refused(attack.target, "R7")
    for content in (data[: len(data) // 2], b"", b"some text", data + b"tail", b"\x89PNG" + data):
        attack.target.write_bytes(content)
        refused(attack.target, "whole zip archive")


def test_m22_versions(attack: Any) -> None:
    refused(attack.rewrite(drop=("metadata.json",)), "metadata.json.*R17")
    newer = (("metadata.json", b'{"keras_version": "99.0"}'),)
    refused(attack.rewrite(extra=newer, drop=("metadata.json",)), r"Keras 99\.0.*R17")
    refused(attack.rewrite(extra=(("metadata.json", b"[]"),), drop=("metadata.json",)), "R17")


def test_m23_other_variables(attack: Any) -> None:
    def missing(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]

    def extra(file: h5py.File) -> None:
        file["layers/dense/vars/2"] = np.zeros(7, np.float32)

    def strings(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        dtype = h5py.special_dtype(vlen=bytes)
        file["layers/dense/vars"].create_dataset("0", data=np.array([b"x"], dtype=object), dtype=dtype)

    refused(attack.h5(missing), r"shape \(2,\), found none")
    refused(attack.h5(extra), r"layers/dense/vars/2 of shape \(7,\)")
    refused(attack.h5(strings), "R14")


def test_m24_folders_links_and_addresses(good: Path, tmp_path: Path) -> None:
    from convscope.bundle.keras_file import open_keras

    (tmp_path / "m.keras").mkdir()
    with zipfile.ZipFile(good) as archive:
        archive.extractall(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", "a folder.*R1")
    shutil.rmtree(tmp_path / "m.keras")
    (tmp_path / "m.keras").symlink_to(good)
    refused(tmp_path / "m.keras", "a link.*R1")
    with pytest.raises(BundleError, match="found none"):
        open_keras(Path("hf://x"))


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".joblib", ".npy"])
def test_m29_pickles_are_never_opened(tmp_path: Path, suffix: str) -> None:
    import pickle

    class Canary:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "canary"),))

    (tmp_path / f"m{suffix}").write_bytes(pickle.dumps(Canary()))
    refused(tmp_path / f"m{suffix}", "runs code.*R19")
    assert not (tmp_path / "canary").exists()
