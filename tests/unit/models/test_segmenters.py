"""Segmenters: shape, range, learning, freezing, saving; on every kind and several backbones."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from convscope.bundle.opening import open_bundle
from convscope.bundle.saving import save_bundle
from convscope.errors import ConvscopeError
from convscope.layers.mask_losses import mask_loss
from convscope.models.network import freeze_backbone, unfreeze_last
from convscope.models.segmenter import SegmenterOptions
from convscope.models.segmenters import build_segmenter
from convscope.records.card import Card

pytestmark = pytest.mark.backend

SMALL = SegmenterOptions(depth=2, width=8, pyramid_channels=16)
CASES = ("unet", "unet+mobilenetv2", "fpn+mobilenetv2", "deeplab+mobilenetv2")


def built(name: str, **options: object):
    frame = options.pop("frame_hw", (64, 96))
    return build_segmenter(name, 3, frame_hw=frame, weights="none", options=SMALL, **options)


@pytest.mark.parametrize("name", CASES)
def test_probabilities_at_every_pixel(name: str) -> None:
    network = built(name)
    out = np.asarray(network.model.predict_on_batch(np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))))
    assert out.shape == (2, 64, 96, 3) and out.dtype == np.float32
    assert np.allclose(out.sum(axis=-1), 1, atol=1e-5)
    assert np.abs(out[1] - out[0]).max() > 1e-6, "the answer depends on the picture"
    assert network.kind == name.partition("+")[0]
    assert network.model.get_layer(network.feature_layer).output.shape[1] in (16, 64)


@pytest.mark.parametrize("frame", [(37, 50), (64, 41)])
def test_odd_frames(frame: tuple[int, int]) -> None:
    assert built("unet", frame_hw=frame, channels=1).model.output_shape == (None, *frame, 3)
    assert built("unet+mobilenetv2", frame_hw=frame).model.output_shape == (None, *frame, 3)


def test_the_backbone_freezes_and_thaws_by_stages() -> None:
    network = built("unet+mobilenetv2")
    freeze_backbone(network)
    frozen = {w.path for w in network.model.trainable_weights}
    assert frozen and all(path.split("/")[0] in network.head for path in frozen)
    assert unfreeze_last(network, 2) == 2
    assert len(network.model.trainable_weights) > len(frozen)


def test_the_skips_reach_the_answer() -> None:
    """Cut off the coarsest map and fine detail still gets through."""
    network = built("unet")
    assert network.skips == ("down0b_relu", "down1b_relu")
    x = np.zeros((2, 64, 96, 3), np.float32)
    x[1, 20, 30] = 255.0
    out = np.asarray(network.model.predict_on_batch(x))
    changed = np.abs(out[1] - out[0]).max(axis=-1) > 1e-6
    assert changed[20, 30] and not changed[60, 90]


def test_it_learns_a_bright_square() -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 60, (8, 32, 32, 1)).astype(np.float32)
    truth = np.zeros((8, 32, 32), np.int32)
    for k, (y, x) in enumerate(rng.integers(2, 18, (8, 2))):
        images[k, y : y + 12, x : x + 12] += 150
        truth[k, y : y + 12, x : x + 12] = 1
    network = build_segmenter("unet", 2, frame_hw=(32, 32), channels=1, weights="none", options=SMALL)
    network.model.compile(keras.optimizers.Adam(3e-3), loss=mask_loss("auto", 2))
    network.model.fit(images, truth, epochs=25, batch_size=4, verbose=0)
    said = np.asarray(network.model.predict_on_batch(images)).argmax(-1)
    both = 2 * (said & truth).sum() / (said.sum() + truth.sum())
    assert both > 0.9


@pytest.mark.parametrize("name", ["unet", "fpn+mobilenetv2"])
def test_a_bundle_opens_bit_identically(name: str, tmp_path: Path) -> None:
    network = built(name)
    x = np.random.default_rng(3).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    before = np.asarray(network.model.predict_on_batch(x))
    card = Card("segment", ("background", "a", "b"), network.preprocess, network.name, output_kind="masks")
    save_bundle(tmp_path / "m.cvs", network.model, card)
    assert np.array_equal(before, np.asarray(open_bundle(tmp_path / "m.cvs").model.predict_on_batch(x)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "unett"}, "did you mean unet"),
        ({"name": "unet+resnet5"}, "did you mean resnet"),
        ({"name": "unet", "classes": 1}, "at least 2 classes"),
        ({"name": "unet", "weights": "some.h5"}, "weights 'none'"),
        ({"name": "unet", "frame_hw": (12, 12)}, "at least 16 pixels"),
        ({"name": "unet", "options": SegmenterOptions(width=6)}, "multiple of 4"),
    ],
)
def test_what_cannot_be_built(options: dict, words: str) -> None:
    with pytest.raises(ConvscopeError, match=words):
        build_segmenter(options.pop("name"), options.pop("classes", 2), **options)
