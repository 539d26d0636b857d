from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convscope.records.card import Card
from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance


@pytest.fixture
def card() -> Card:
    return Card(
        task="classify",
        classes=("cat", "dog"),
        preprocess=Preprocess(8, 8, 3),
        network="user's own model",
        output_kind="logits",
        temperature=1.25,
        unsure_below=0.6,
        feature_layer="conv",
        scores={"accuracy": 0.5},
        provenance=Provenance(data="two pictures", seed=3, versions=(("keras", "3"),)),
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A good archive with one dense layer "d": kernel (10, 2), bias (2,)."""
    import keras

    inputs = keras.Input((10,))
    keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs)).save(tmp_path / "good.keras")
    return tmp_path / "good.keras"


class Attack:
    """Makes changed copies of a good archive."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.target = source.with_name("bad.keras")

    def rewrite(
        self,
        config: Callable[[dict], Any] | None = None,
        weights: bytes | None = None,
        extra: tuple[tuple[str, bytes], ...] = (),
        drop: tuple[str, ...] = (),
    ) -> Path:
        with zipfile.ZipFile(self.source) as a, zipfile.ZipFile(self.target, "w") as b:
            for name in a.namelist():
                if name in drop:
                    continue
                data = a.read(name)
                if name == "config.json" and config:
                    data = json.dumps(config(json.loads(data))).encode()
                if name == "model.weights.h5" and weights is not None:
                    data = weights
                b.writestr(name, data)
            for name, data in extra:
                b.writestr(name, data)
        return self.target

    def layer(self, node: dict) -> Path:
        """A further layer node."""

        def change(config: dict) -> dict:
            config["config"]["layers"].append(node)
            return config

        return self.rewrite(config=change)

    def dense(self, **changes: Any) -> Path:
        """The dense layer's node with some keys changed; keys of its config go by `config_...`."""

        def change(config: dict) -> dict:
            node = config["config"]["layers"][1]
            for key, value in changes.items():
                if key.startswith("config_"):
                    node["config"][key.removeprefix("config_")] = value
                else:
                    node[key] = value
            return config

        return self.rewrite(config=change)

    def h5(self, change: Callable[[h5py.File], None]) -> Path:
        """Weights after change(file); the kernel is layers/dense/vars/0."""
        buffer = io.BytesIO(zipfile.ZipFile(self.source).read("model.weights.h5"))
        with h5py.File(buffer, "a") as file:
            change(file)
        return self.rewrite(weights=buffer.getvalue())


@pytest.fixture
def attack(good: Path) -> Attack:
    return Attack(good)


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
