"""Backbones of KerasHub, built small and without downloads: every layer read, fields, costs, nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from convscope.scope.fingerprint import model_fingerprint
from convscope.scope.front import Scope

hub = pytest.importorskip("keras_hub")
pytestmark = [pytest.mark.backend, pytest.mark.slow]

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype("float32")


def resnet() -> Any:
    return hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 16],
        stackwise_num_blocks=[2, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )


def vit() -> Any:
    return hub.models.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=(8, 8),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    )


def mit() -> Any:
    return hub.models.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        hidden_dims=[8, 16],
        image_shape=(32, 32, 3),
    )


def vgg() -> Any:
    return hub.models.VGGBackbone(stackwise_num_repeats=[1, 2], stackwise_num_filters=[8, 16], image_shape=(32, 32, 3))


def densenet() -> Any:
    return hub.models.DenseNetBackbone(
        stackwise_num_repeats=[2, 2], compression_ratio=0.5, growth_rate=4, image_shape=(32, 32, 3)
    )


@pytest.mark.parametrize("make", [resnet, vit, mit, vgg, densenet])
def test_every_layer_of_a_backbone_can_be_read(make: Callable[[], Any]) -> None:
    model = make()
    before = model_fingerprint(model)
    scope = Scope(model)
    names = scope.probe.select("**", IMAGES)
    seen = scope.probe.activations(IMAGES, names)
    assert len(seen) == len(names) > 4
    assert str(scope.layers()).count("\n") > 4
    outputs = model(IMAGES, training=False)
    for mine, own in zip(scope.probe.outputs(IMAGES), keras.tree.flatten(outputs), strict=True):
        np.testing.assert_allclose(mine, keras.ops.convert_to_numpy(own), rtol=1e-4, atol=1e-4)
    assert model_fingerprint(model) == before
