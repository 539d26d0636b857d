from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.errors import ModelError, PlanError, UnknownNameError, WeightsNotFoundError
from convscope.models.backbones import BACKBONES

pytestmark = [
    pytest.mark.backend,
    # TensorFlow 2.21 says it of itself under NumPy 2 whenever Keras hands a variable over
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

QUICK = ("vgg16", "mobilenet", "efficientnet-b0")


def build(name: str, **changes: Any) -> Any:
    from convscope.models.network import build_network

    options = {"outputs": 3, "output_activation": "softmax", "weights": "none", "input_hw": (32, 32), **changes}
    return build_network(name, **options)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 255, shape).astype(np.float32)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in sorted(BACKBONES)]
)
def test_every_backbone_is_built_with_keras_own_parameters(name: str) -> None:
    import keras

    backbone = BACKBONES[name]
    side = max(32, backbone.minimum_px)
    network = build(name, input_hw=(side, side))
    constructor = getattr(keras.applications, backbone.constructor)
    own = constructor(weights=None, include_top=False, input_shape=(side, side, 3))
    features = network.model.get_layer(network.pooled_layer).output.shape[-1]
    added = {"caffe": 12, "efficientnet": -7}.get(backbone.scaling, 0)  # the colour swap; Normalization's variables
    assert network.parameters == own.count_params() + added + (features + 1) * 3
    grouped = [layer for stage in network.stages for layer in stage]
    weighted = {layer.name for layer in network.model.layers if layer.weights} - {"rgb_to_bgr", "outputs"}
    assert len(grouped) == len(set(grouped)) and set(grouped) == weighted and len(network.stages) >= 5
    assert len(network.model.get_layer(network.feature_layer).output.shape) == 4
    outputs = network.model.predict(pixels(2, side, side, 3), verbose=0)
    assert np.isfinite(outputs).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-5)


def test_names_and_first_weights_do_not_depend_on_what_was_built_before() -> None:
    first, second = build("mobilenet-v3-small", seed=4), build("mobilenet-v3-small", seed=4)
    assert [layer.name for layer in first.model.layers] == [layer.name for layer in second.model.layers]
    assert all(np.array_equal(a, b) for a, b in zip(first.model.get_weights(), second.model.get_weights()))
    other = build("mobilenet-v3-small", seed=5).model.get_weights()
    assert not np.array_equal(first.model.get_weights()[0], other[0])


@pytest.mark.parametrize(
    ("scaling", "module"),
    [("caffe", "resnet50"), ("tf", "mobilenet_v2"), ("torch", "densenet")],
)
def test_value_scaling_equals_keras_preprocess_input(scaling: str, module: str) -> None:
    import keras

    from convscope.models.scaling import scaled

    x = pixels(2, 5, 4, 3)
    inputs = keras.Input((5, 4, 3))
    model = keras.Model(inputs, scaled(inputs, scaling))
    expected = getattr(keras.applications, module).preprocess_input(x.copy())
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=2e-4 if scaling == "caffe" else 3e-6)


@pytest.mark.parametrize("name", QUICK)
def test_the_table_states_the_scaling_that_keras_documents(name: str) -> None:
    """The first values after the scaling layers against preprocess_input, or unchanged where Keras scales inside."""
    import keras

    backbone = BACKBONES[name]
    module = getattr(keras.applications, backbone.constructor).__module__.rsplit(".", 1)[-1]
    x = pixels(1, 4, 4, 3)
    unchanged = np.array_equal(getattr(keras.applications, module).preprocess_input(x.copy()), x)
    assert unchanged == (backbone.scaling in ("included", "efficientnet"))


def test_efficientnet_normalises_as_keras_does_with_imagenet_weights() -> None:
    """Keras divides by sqrt(std) twice (Normalization from the file, then a Rescaling); once by std is the same."""
    import keras

    network = build("efficientnet-b0")
    stem = network.model.get_layer("stem_conv_pad").input
    x = pixels(2, 32, 32, 3)
    got = keras.Model(network.model.input, stem).predict(x, verbose=0)
    expected = (x / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")  # published files are of that format
def test_published_weights_reach_every_layer_of_the_flat_graph(tmp_path: Path) -> None:
    """A no-top .h5 written from Keras' own constructor stands for the published file; here behind grey input."""
    import keras

    own = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3))
    rng = np.random.default_rng(3)
    own.set_weights([w + rng.uniform(0, 0.01, w.shape).astype(w.dtype) for w in own.get_weights()])
    own.save(tmp_path / "notop.h5")
    x = pixels(2, 32, 32, 1)
    network = build("mobilenet", weights=str(tmp_path / "notop.h5"), channels=1)
    tensor = network.model.get_layer(network.feature_layer).output
    got = keras.Model(network.model.input, tensor).predict(x, verbose=0)
    rgb = keras.applications.mobilenet.preprocess_input(np.repeat(x, 3, axis=-1))
    np.testing.assert_allclose(got, own.predict(rgb, verbose=0), rtol=1e-4, atol=1e-4)


def test_weights_of_a_trained_network_are_read_by_name_and_another_head_starts_anew(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from convscope.models.variables import named_variables

    trained = build("simple-cnn", outputs=4)
    values = {name: np.asarray(v.numpy()) + 1 for name, v in named_variables(trained.model).items()}
    save_file(values, tmp_path / "w.safetensors")
    again = named_variables(build("simple-cnn", weights=str(tmp_path / "w.safetensors")).model)
    for name, variable in again.items():
        same = np.array_equal(variable.numpy(), values[name])
        assert same != name.startswith("outputs/"), name
    with pytest.raises(ModelError, match="expected stem_conv/kernel"):
        build("efficientnet-lite0", weights=str(tmp_path / "w.safetensors"))


def test_keras_own_weight_files_are_read_and_other_networks_refused(tmp_path: Path) -> None:
    trained = build("simple-cnn", seed=9)
    trained.model.save_weights(tmp_path / "w.weights.h5")
    trained.model.save(tmp_path / "w.keras")
    for name in ("w.weights.h5", "w.keras"):
        got = build("simple-cnn", weights=str(tmp_path / name)).model.get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(got, trained.model.get_weights()))
        with pytest.raises(ModelError, match="this very network"):
            build("efficientnet-lite0", weights=str(tmp_path / name))
    with pytest.raises(PlanError, match=r"\.safetensors"):
        (tmp_path / "w.bin").write_bytes(b"")
        build("simple-cnn", weights=str(tmp_path / "w.bin"))
    with pytest.raises(WeightsNotFoundError, match="found none"):
        build("simple-cnn", weights=str(tmp_path / "absent.keras"))


def test_features_and_head_together_are_the_network_and_share_its_layers() -> None:
    from convscope.models.network import feature_extractor, head_of

    network = build("efficientnet-lite0", channels=1)
    x = pixels(2, 32, 32, 1)
    head = head_of(network)
    together = head.predict(feature_extractor(network).predict(x, verbose=0), verbose=0)
    np.testing.assert_allclose(together, network.model.predict(x, verbose=0), atol=1e-6)
    head.set_weights([w + 1 for w in head.get_weights()])
    assert np.array_equal(network.model.get_layer("outputs").get_weights()[0], head.get_weights()[0])


def test_statistics_of_frozen_batch_norm_stay_and_of_thawed_ones_move() -> None:
    import keras

    from convscope.models.network import freeze_backbone, unfreeze_last

    network = build("simple-cnn")
    x, y = pixels(8, 32, 32, 3), np.eye(3, dtype=np.float32)[np.arange(8) % 3]

    def moved() -> set[str]:
        network.model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy")
        before = {layer.name: layer.get_weights() for layer in network.model.layers if layer.weights}
        network.model.fit(x, y, epochs=1, verbose=0)
        return {
            n for n, w in before.items() for a, b in zip(w, network.model.get_layer(n).get_weights()) if (a != b).any()
        }

    freeze_backbone(network)
    assert moved() == {"outputs"}
    assert unfreeze_last(network, 1) == 1
    assert moved() == {"outputs", "block3_conv1"}
    assert unfreeze_last(network, 2, batch_norm=True) == 2
    assert moved() == {"outputs", "block3_conv1", "block3_bn1", "block2_conv1", "block2_bn1"}
    assert unfreeze_last(network, 99) == 3 and unfreeze_last(network, 0) == 0
    with pytest.raises(PlanError, match="at least 0"):
        unfreeze_last(network, -1)


def test_the_colour_swap_stays_frozen_when_everything_is_thawed() -> None:
    from convscope.models.network import unfreeze_last

    network = build("vgg16")
    unfreeze_last(network, 99)
    assert not network.model.get_layer("rgb_to_bgr").trainable and network.model.get_layer("block1_conv1").trainable


def test_pictures_of_other_sizes() -> None:
    from convscope.models.network import any_size
    from convscope.models.simple_cnn import SimpleCnnOptions

    network = build("efficientnet-lite0")
    assert any_size(network).predict(pixels(1, 50, 70, 3), verbose=0).shape == (1, 3)
    x = pixels(2, 32, 32, 3)
    np.testing.assert_allclose(any_size(network).predict(x, verbose=0), network.model.predict(x, verbose=0), atol=1e-6)
    with pytest.raises(ModelError, match="any size"):
        any_size(build("simple-cnn", options=SimpleCnnOptions(head="flatten")))


def test_penalties_reach_every_kernel() -> None:
    for name in ("simple-cnn", "mobilenet"):
        model = build(name, l1=0.001, l2=0.01).model
        kernels = [np.asarray(v.numpy(), np.float64) for v in model.trainable_variables if v.name.endswith("kernel")]
        expected = sum(0.001 * np.abs(k).sum() + 0.01 * (k**2).sum() for k in kernels)
        got = float(sum(np.asarray(loss.detach() if hasattr(loss, "detach") else loss) for loss in model.losses))
        assert np.isclose(got, expected, rtol=1e-4), name
        assert build(name).model.losses == []


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"outputs": 0}, PlanError, "1 output"),
        ({"dropout": 1.0}, PlanError, "dropout"),
        ({"l2": -1.0}, PlanError, "l1 and l2"),
        ({"channels": 4}, PlanError, "channels"),
        ({"input_hw": (31, 64)}, PlanError, "32x32.*31x64"),
    ],
)
def test_requests_that_cannot_work(changes: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        build("efficientnet-lite0", **changes)
    with pytest.raises(UnknownNameError, match="did you mean"):
        build("efficientnet-lite1")
