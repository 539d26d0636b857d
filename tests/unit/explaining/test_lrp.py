"""Relevance is conserved, and equals Captum's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from contract.explained import fixed_weights, pictures
from convscope.errors import PlanError, TapUnreachableError
from convscope.explaining.engine import Wish, explain

pytestmark = pytest.mark.backend


def plain_net(use_bias: bool, data_format: str = "channels_last") -> keras.Model:
    first = data_format == "channels_first"
    inputs = L.Input((3, 16, 16) if first else (16, 16, 3))
    shared: dict[str, Any] = {"data_format": data_format, "use_bias": use_bias}
    x = L.Conv2D(4, 3, activation="relu", name="one", **shared)(inputs)
    x = L.MaxPooling2D(2, data_format=data_format, name="max")(x)
    x = L.ReLU(name="relu")(L.Conv2D(5, 3, strides=2, padding="valid", name="two", **shared)(x))
    x = L.Permute((2, 3, 1), name="last")(x) if first else x
    x = L.Dense(6, activation="relu", use_bias=use_bias, name="dense")(L.Flatten(name="flat")(x))
    return fixed_weights(keras.Model(inputs, L.Dense(3, use_bias=use_bias, activation="softmax", name="head")(x)))


def relevance(model: keras.Model, images: np.ndarray, **options: Any) -> Any:
    return explain(model, images, "lrp", 1, wish=Wish(options=options))


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "composite"])
def test_conserved_without_biases(rule: str) -> None:
    """The sum over the picture is the logit."""
    found = relevance(plain_net(use_bias=False), pictures(2), rule=rule, epsilon=1e-9)
    np.testing.assert_allclose(found.heat.sum(axis=(1, 2)), found.scores, rtol=1e-3)
    assert found.facts["completeness_gap"].max() < 1e-3 * np.abs(found.scores).max() + 1e-5


def test_biases_take_their_share() -> None:
    """And the gap says so."""
    found = relevance(plain_net(use_bias=True), pictures(1), rule="epsilon")
    assert found.facts["completeness_gap"][0] > 1e-3


def test_new_weights_are_seen_at_once() -> None:
    """Nothing is baked into the compiled rule."""
    from convscope.scope.tap import Probe

    model, images = plain_net(use_bias=True), pictures(1)
    probe = Probe(model)
    before = explain(probe, images, "lrp", 1).heat
    model.get_layer("one").kernel.assign(model.get_layer("one").kernel * 0.5 + 0.1)
    after = explain(probe, images, "lrp", 1).heat
    assert np.abs(before - after).max() > 1e-4
    np.testing.assert_allclose(after, explain(Probe(model), images, "lrp", 1).heat, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="live comparison needs the PyTorch back end")
@pytest.mark.filterwarnings("ignore:.*")  # the peer's own
def test_captum_epsilon_rule() -> None:
    """On a torch.nn twin with the same weights."""
    attr, torch = pytest.importorskip("captum.attr"), pytest.importorskip("torch")
    from captum.attr._utils.lrp_rules import EpsilonRule

    from convscope.backend.tensors import to_numpy

    model = plain_net(use_bias=True, data_format="channels_first")
    w = {v.path: torch.tensor(to_numpy(v.value)) for v in model.variables}
    nn = torch.nn
    order = torch.arange(5 * 3 * 3).reshape(5, 3, 3).permute(1, 2, 0).reshape(-1)  # ours flattens channels last
    dense = torch.empty(45, 6)
    dense[order] = w["dense/kernel"]

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, stride=2)
            self.dense, self.head = nn.Linear(45, 6), nn.Linear(6, 3)
            self.pool, self.a, self.b, self.c = nn.MaxPool2d(2), nn.ReLU(), nn.ReLU(), nn.ReLU()

        def forward(self, x: Any) -> Any:
            x = self.b(self.two(self.pool(self.a(self.one(x)))))
            return self.head(self.c(self.dense(x.flatten(1))))

    twin, kernels = Twin(), {"dense": dense.T, "head": w["head/kernel"].T}
    kernels |= {name: w[f"{name}/kernel"].permute(3, 2, 0, 1) for name in ("one", "two")}
    for name, kernel in kernels.items():
        module = getattr(twin, name)
        module.weight.data, module.bias.data = kernel.contiguous(), w[f"{name}/bias"]
        module.rule = EpsilonRule(epsilon=1e-6)
    images = np.ascontiguousarray(np.moveaxis(pictures(2), -1, 1))
    # sums near 0 enlarge the last digit of a float32, the more the smaller epsilon is; both tools do so alike
    for epsilon, tolerance in ((1e-6, 1e-4), (1e-2, 1e-5)):
        for name in kernels:
            getattr(twin, name).rule = EpsilonRule(epsilon=epsilon)
        theirs = attr.LRP(twin).attribute(torch.from_numpy(images).requires_grad_(True), target=1).detach().numpy()
        mine = np.moveaxis(relevance(model, images, rule="epsilon", epsilon=epsilon).values, -1, 1)
        np.testing.assert_allclose(mine, theirs, atol=tolerance * np.abs(theirs).max())


def residual_net(*, shift: bool = False) -> keras.Model:
    """A sum, a difference, a joined branch, a depthwise convolution, means, normalisation; no bias unless `shift`."""
    inputs = L.Input((16, 16, 3))
    x = L.Rescaling(0.5)(inputs)
    x = L.ReLU()(L.BatchNormalization(center=shift, name="n1")(L.Conv2D(4, 3, use_bias=False, padding="same")(x)))
    y = L.DepthwiseConv2D(3, use_bias=False, padding="same", name="deep")(x)
    y = L.ReLU()(L.BatchNormalization(center=shift, name="n2")(y))
    x = L.Add(name="sum")([x, y])
    x = L.Concatenate()([x, L.Conv2D(2, 1, use_bias=False, activation="relu")(x)])
    x = L.AveragePooling2D(2)(x)
    x = x + L.Conv2D(6, 3, use_bias=False, padding="same")(x)
    x = L.Subtract()([L.ReLU()(x), L.Conv2D(6, 1, use_bias=False)(x)])
    model = fixed_weights(
        keras.Model(inputs, L.Dense(3, use_bias=False, activation="softmax")(L.GlobalAveragePooling2D()(x)))
    )
    for name in () if shift else ("n1", "n2"):
        layer = model.get_layer(name)
        layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))
    return model


def test_epsilon_rule_is_gradient_times_input_where_there_is_no_bias() -> None:
    """Through sums, differences, joined and depthwise branches (Ancona et al. 2018, proposition 1); conserved."""
    model, images = residual_net(), pictures(2)
    found = relevance(model, images, rule="epsilon", epsilon=1e-9)
    expected = explain(model, images, "gradient-x-input", 1)
    np.testing.assert_allclose(found.heat, expected.heat, atol=2e-3 * np.abs(expected.heat).max())
    np.testing.assert_allclose(found.heat.sum(axis=(1, 2)), found.scores, rtol=2e-3)


@pytest.mark.parametrize("rule", ["composite", "gamma", "epsilon"])
def test_a_normalisation_counts_with_the_layer_before_it(rule: str) -> None:
    """The same as a network whose normalisation was multiplied into the weights by hand."""
    inputs = L.Input((12, 12, 3))
    x = L.ReLU()(L.BatchNormalization(name="n1")(L.Conv2D(4, 3, name="one")(inputs)))
    x = L.ReLU()(L.BatchNormalization(name="n2")(L.DepthwiseConv2D(3, name="two")(x)))
    x = L.BatchNormalization(name="n3")(L.Dense(5, name="three")(L.Flatten()(x)))
    model = fixed_weights(keras.Model(inputs, L.Dense(3, name="head")(L.ReLU()(x))))
    plain = L.Input((12, 12, 3))
    y = L.DepthwiseConv2D(3, activation="relu", name="two")(L.Conv2D(4, 3, activation="relu", name="one")(plain))
    y = L.Dense(3, name="head")(L.Dense(5, activation="relu", name="three")(L.Flatten()(y)))
    folded = keras.Model(plain, y)
    for name, norm in (("one", "n1"), ("two", "n2"), ("three", "n3")):
        gamma, beta, mean, variance = model.get_layer(norm).get_weights()
        kernel, bias = model.get_layer(name).get_weights()
        scale = gamma / np.sqrt(variance + model.get_layer(norm).epsilon)
        scaled = kernel * (scale[:, None] if name == "two" else scale)
        folded.get_layer(name).set_weights([scaled, (bias - mean) * scale + beta])
    folded.get_layer("head").set_weights(model.get_layer("head").get_weights())
    images = pictures(2, side=12)
    one, other = (relevance(m, images, rule=rule, epsilon=1e-3).heat for m in (model, folded))
    np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


def test_networks_of_the_catalogue_have_rules() -> None:
    """The simple network with its normalisation and scaling of pixels; heat and score go together."""
    from convscope.models.network import build_network

    network = build_network("simple-cnn", outputs=3, output_activation="softmax", input_hw=(32, 32), weights="none")
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    found = relevance(network.model, images)
    assert np.isfinite(found.heat).all() and found.heat.any()


def linear_bottlenecks(blocks: int = 8) -> keras.Model:
    """Blocks of wide rectified and narrow linear convolutions with sums around them; values of any sign, no bias."""
    inputs = L.Input((12, 12, 3))
    x = L.Conv2D(4, 3, padding="same", use_bias=False, name="first")(inputs)
    for i in range(blocks):
        wide = L.ReLU(6.0)(L.Conv2D(12, 1, use_bias=False, name=f"wide{i}")(x))
        wide = L.ReLU(6.0)(L.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"deep{i}")(wide))
        x = L.Add()([x, L.Conv2D(4, 1, use_bias=False, name=f"narrow{i}")(wide)])
    return fixed_weights(keras.Model(inputs, L.Dense(3, use_bias=False)(L.GlobalAveragePooling2D()(L.ReLU()(x)))))


def test_default_rule_does_not_grow_through_linear_bottlenecks() -> None:
    """Sums of both signs, as in MobileNet and EfficientNet: what is shared stays within a few times the score."""
    model, images = linear_bottlenecks(), pictures(4, side=12)
    found = relevance(model, images)
    assert found.values is not None
    size = np.abs(found.values).sum(axis=(1, 2, 3))
    assert (size < 10 * np.abs(found.scores)).all(), size / np.abs(found.scores)
    np.testing.assert_allclose(found.heat.sum(axis=(1, 2)), found.scores, rtol=5e-3)


def favoured_by_hand(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """Gamma rule for one dense layer, one input and one output after another: x (i,), weights (i, j), bias (j,)."""
    out = np.zeros(x.shape)
    for j in range(weights.shape[1]):
        sign = 1 if x @ weights[:, j] + bias[j] >= 0 else -1
        parts = [part * (1.25 if part * sign > 0 else 1) for part in (*(x * weights[:, j]), bias[j])]
        for i in range(len(x)):
            out[i] += parts[i] / sum(parts) * relevance[j]
    return out


def test_gamma_favours_the_sign_of_each_sum() -> None:
    """Inputs and sums of both signs, each contribution written out."""
    rng = np.random.default_rng(4)
    weights, bias, head = rng.normal(size=(6, 5)), rng.normal(size=5), rng.normal(size=(5, 2))
    inputs = L.Input((1, 2, 6))
    x = L.GlobalAveragePooling2D()(L.Conv2D(5, 1, name="conv")(inputs))
    model = keras.Model(inputs, L.Dense(2, use_bias=False, name="head")(x))
    model.get_layer("conv").set_weights([weights.reshape(1, 1, 6, 5), bias])
    model.get_layer("head").set_weights([head])
    image = rng.normal(size=(1, 1, 2, 6)).astype("float32")
    sums = image[0, 0] @ weights + bias
    below = sums / 2 * head[:, 1]
    expected = [favoured_by_hand(v, weights, bias, r) for v, r in zip(image[0, 0], below)]
    found = relevance(model, image, rule="gamma", epsilon=1e-9)
    assert (sums < 0).any() and (sums > 0).any() and found.values is not None
    np.testing.assert_allclose(found.values[0, 0], expected, atol=1e-5 * np.abs(expected).max())


# zennit 0.5.1 (Anders et al. 2021), rules Gamma(0.25), ZBox(least, greatest), Epsilon(1e-6); first channel
BY_ZENNIT = {
    "gamma": [
        [0.144573, -0.431497, 0.726573, -0.573992],
        [-3.846137, 3.344494, 2.569652, 0.562235],
        [6.275494, 10.032846, 4.083878, -0.393640],
        [-1.160210, 3.707477, 0.608231, 2.044026],
    ],
    "composite": [
        [-0.351263, -1.101981, 0.250674, -0.441021],
        [0.213474, 0.872857, 1.653810, 0.077591],
        [0.279360, 2.107423, 4.182488, 1.508187],
        [-0.335685, 4.985194, 2.893280, 0.514832],
    ],
}


@pytest.mark.parametrize("rule", BY_ZENNIT)
def test_equals_zennit(rule: str) -> None:
    """Two convolutions and a dense layer with biases, values of both signs; zennit was run on the same weights."""
    rng = np.random.default_rng(0)
    shapes = ((2, 2, 2, 3), 3), ((2, 2, 3, 2), 2)
    weights = [[rng.normal(size=kernel), rng.normal(size=bias) * 0.3] for kernel, bias in shapes]
    weights.append([rng.normal(size=(8, 2)), rng.normal(size=2)])
    image = rng.normal(size=(1, 4, 4, 2)).astype("float32")
    inputs = L.Input((4, 4, 2))
    x = L.Conv2D(2, 2, name="two")(L.Conv2D(3, 2, name="one")(inputs))
    model = keras.Model(inputs, L.Dense(2, name="head")(L.Flatten()(x)))
    for name, values in zip(("one", "two", "head"), weights):
        model.get_layer(name).set_weights(values)
    found = relevance(model, image, rule=rule)
    assert found.values is not None
    np.testing.assert_allclose(found.values[0, :, :, 0], BY_ZENNIT[rule], atol=2e-5)


def test_refuses_what_it_has_no_rule_for() -> None:
    """By name."""
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, name="conv")(inputs)
    gated = L.Multiply(name="gate")([x, L.Conv2D(4, 3, activation="sigmoid")(inputs)])
    images = np.random.default_rng(5).normal(size=(1, 8, 8, 3)).astype("float32")
    with pytest.raises(TapUnreachableError, match="got Multiply in 'gate'"):
        explain(keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(gated))), images, "lrp")
    with pytest.raises(PlanError, match="unknown rule 'epsilo'; did you mean epsilon"):
        relevance(plain_net(use_bias=True), pictures(1), rule="epsilo")
