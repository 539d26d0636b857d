from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convscope.errors import PlanError

pytestmark = [
    pytest.mark.backend,
    # TensorFlow 2.21 says it of itself under NumPy 2 whenever Keras hands a variable over
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def build(hw: tuple[int, int] = (16, 16), seed: int = 0, dropout: float = 0.2, **options: Any) -> Any:
    from convscope.models.simple_cnn import SimpleCnnOptions, simple_cnn

    chosen = SimpleCnnOptions(**options)
    return simple_cnn((*hw, 3), outputs=2, output_activation="softmax", options=chosen, dropout=dropout, seed=seed)


def output_hw(model: Any, layer: str) -> tuple[int, int]:
    return tuple(model.get_layer(layer).output.shape[1:3])


def test_every_option_is_in_the_graph() -> None:
    import keras

    model = build(
        filters=(4, 6),
        convs_per_block=2,
        kernel_size=5,
        stride=2,
        padding="valid",
        initializer="glorot_normal",
        activation="tanh",
        pooling="average",
        pool_size=1,
        batch_norm=False,
        conv_dropout=0.25,
        head="flatten",
        dense=(7,),
        hw=(64, 64),
    )
    conv = model.get_layer("block1_conv1")
    assert conv.kernel_size == (5, 5) and conv.strides == (2, 2) and conv.padding == "valid" and conv.use_bias
    assert isinstance(conv.kernel_initializer, keras.initializers.GlorotNormal)
    assert model.get_layer("block1_conv2").strides == (1, 1)
    assert model.get_layer("block2_tanh2").activation is keras.activations.tanh
    assert model.get_layer("block1_dropout").rate == 0.25 and model.get_layer("dense1").units == 7
    names = [layer.name for layer in model.layers]
    assert "block1_pool" not in names and "block1_bn1" not in names
    # valid 5x5 stride 2 then 5x5: (64 - 5) // 2 + 1 = 30, 26; then 11, 7
    assert [output_hw(model, f"block{b}_conv{k}")[0] for b in (1, 2) for k in (1, 2)] == [30, 26, 11, 7]


def test_same_padding_keeps_the_size_and_pools_divide_it() -> None:
    model = build(filters=(3, 3), pool_size=2, pooling="max")
    assert output_hw(model, "block1_conv1") == (16, 16) and output_hw(model, "block2_pool") == (4, 4)


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        ("he_normal", 2 / 576),
        ("he_uniform", 2 / 576),
        ("glorot_normal", 2 / (576 + 1152)),
        ("glorot_uniform", 2 / (576 + 1152)),
    ],
)
def test_initialisers_have_the_variance_of_their_papers(initializer: str, variance: float) -> None:
    """He: 2 / fan_in; Glorot: 2 / (fan_in + fan_out); here 3 x 3 x 64 = 576 in and 3 x 3 x 128 = 1,152 out."""
    kernel = build(filters=(64, 128), initializer=initializer).get_layer("block2_conv1").get_weights()[0]
    assert np.isclose(kernel.var(), variance, rtol=0.03)


def test_the_network_equals_its_literal_twin() -> None:
    """One block by hand: scaled pixels, 'same' convolution, batch norm at rest, ReLU, max pooling, mean, dense."""
    model = build(hw=(4, 4), filters=(2,))
    x = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
    kernel = model.get_layer("block1_conv1").get_weights()[0]
    padded = np.pad(x[0] / 127.5 - 1, ((1, 1), (1, 1), (0, 0)))
    conv = np.array(
        [[(padded[r : r + 3, c : c + 3, :, None] * kernel).sum((0, 1, 2)) for c in range(4)] for r in range(4)]
    )
    rested = np.maximum(conv / np.sqrt(1 + 1e-3), 0)
    pooled = rested.reshape(2, 2, 2, 2, 2).max((1, 3)).mean((0, 1))
    weight, bias = model.get_layer("outputs").get_weights()
    logits = np.exp(pooled @ weight + bias)
    np.testing.assert_allclose(model.predict(x, verbose=0)[0], logits / logits.sum(), rtol=1e-4)


def test_equal_seeds_give_equal_weights() -> None:
    first, again, other = build(seed=1), build(seed=1), build(seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights()))
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_every_listed_activation_works() -> None:
    from convscope.models.simple_cnn import ACTIVATIONS

    x = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
    for activation in ("relu", "sigmoid", "tanh", "gelu", "leaky_relu", "mish"):
        assert np.isfinite(build(filters=(2,), activation=activation).predict(x, verbose=0)).all()
    import keras

    for activation in ACTIVATIONS:
        assert callable(keras.activations.get(activation))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"activation": "rellu"}, "did you mean relu"),
        ({"pooling": "avg"}, "average"),
        ({"filters": ()}, "filters"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"conv_dropout": 1.0}, "conv_dropout"),
        ({"filters": (2,) * 6}, "16x16.*fewer filters"),
        ({"kernel_size": 17, "padding": "valid"}, "large enough"),
    ],
)
def test_options_that_cannot_work(options: dict, match: str) -> None:
    with pytest.raises(PlanError, match=match):
        build(**options)


def test_options_from_a_table_name_the_nearest() -> None:
    from convscope.models.simple_cnn import SimpleCnnOptions

    assert SimpleCnnOptions.from_dict({"filters": [8, 16]}).filters == (8, 16)
    with pytest.raises(PlanError, match="did you mean filters"):
        SimpleCnnOptions.from_dict({"filter": [8]})
