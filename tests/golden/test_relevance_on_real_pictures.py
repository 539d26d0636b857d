"""Relevance finds the channels that matter: EfficientNet-Lite0 with its ImageNet weights on 50 real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convscope.data.decode import decode_file
from convscope.data.fit import fit_picture
from convscope.models.network import build_network
from convscope.records.geometry import Preprocess
from convscope.scope.calls import Call
from convscope.scope.editing import Edited
from convscope.scope.maps import feature_maps
from convscope.scope.tap import Probe

pytestmark = [pytest.mark.backend, pytest.mark.slow, pytest.mark.real_data]


def _photographs(folder: Path, count: int) -> np.ndarray:
    how = Preprocess(224, 224, fit="crop")
    files = sorted((folder / "cls-dog-cat").rglob("*.jpg"))
    files = [files[i] for i in np.linspace(0, len(files) - 1, count).astype(int)]
    return np.stack([fit_picture(decode_file(f, 3, (224, 224)), how)[0] for f in files]).astype(np.float32)


def _wide(calls: tuple[Call, ...]) -> str:
    """The last convolution that has a map of its own and at least 50 channels."""
    return [c.name for c in calls if c.kind == "Conv2D" and c.output_shapes[0][-1] >= 50][-1]


def test_silencing_the_top_five_lowers_the_target_more_than_five_random_ones(real_data: Path) -> None:
    network = build_network("efficientnet-lite0", outputs=1000, output_activation="softmax", weights="imagenet")
    images, rng = _photographs(real_data, 50), np.random.default_rng(0)
    probe = Probe(network.model, batch_size=10)
    layer = _wide(probe.calls())
    (maps,) = feature_maps(probe, images, layer)
    classes = np.array([t.index for t in maps.targets])
    channels = maps.maps.shape[-1]
    whole, top, other = (np.ones((50, 1, 1, channels), np.float32) for _ in range(3))
    for i in range(50):
        top[i, ..., maps.order[i, :5]] = 0
        other[i, ..., rng.choice(channels, 5, replace=False)] = 0
    edited = Edited(probe.place(layer))
    base, without_top, without_other = (edited.scores(probe, images, classes, f) for f in (whole, top, other))
    assert np.mean(base - without_top > base - without_other) >= 0.9
