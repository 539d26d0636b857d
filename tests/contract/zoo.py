"""Small tricky models: each broke some tool that looks into networks, or is the smallest of a kind that must work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras import ops


@dataclass(frozen=True)
class Specimen:
    """A model, its input, a layer whose gradient is checked, and the target where there is no rank-2 output."""

    name: str
    build: Callable[[], keras.Model]
    shape: Any = (8, 8, 3)
    layer: str = "conv"
    target: Callable[[Any], Any] | None = None
    on: tuple[str, ...] = ("tensorflow", "jax", "torch")

    def images(self, n: int = 3) -> Any:
        """Float pictures of the right nesting."""
        rng = np.random.default_rng(5)

        def one(shape: tuple[int, ...]) -> np.ndarray:
            return rng.normal(size=(n, *shape)).astype("float32")

        if isinstance(self.shape, dict):
            return {k: one(s) for k, s in self.shape.items()}
        if isinstance(self.shape, list):
            return [one(s) for s in self.shape]
        return one(self.shape)


ZOO: list[Specimen] = []


def specimen(**facts: Any) -> Callable[[Callable[[], keras.Model]], Callable[[], keras.Model]]:
    """Enter a builder into the zoo under its own name."""

    def enter(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        ZOO.append(Specimen(build.__name__, build, **facts))
        return build

    return enter


def _head(x: Any, units: int = 3, activation: str = "softmax") -> Any:
    return L.Dense(units, activation=activation, name="head")(L.GlobalAveragePooling2D(name="gap")(x))


@specimen()
def sequential_built() -> keras.Model:
    return keras.Sequential(
        [L.Input((8, 8, 3)), L.Conv2D(4, 3, activation="relu", name="conv"), L.Flatten(), L.Dense(3, "softmax")]
    )


@specimen()
def sequential_unbuilt() -> keras.Model:
    return keras.Sequential([L.Conv2D(4, 3, activation="tanh", name="conv"), L.GlobalAveragePooling2D(), L.Dense(3)])


@specimen()
def loaded_from_file() -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.keras"
        sequential_built().save(path)
        return keras.saving.load_model(path)


@specimen()
def functional_batch_normalised() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="bn")(x))
    return keras.Model(inputs, _head(L.MaxPooling2D(name="pool")(x)))


@specimen()
def binary_sigmoid() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, _head(L.Conv2D(4, 3, name="conv")(inputs), 1, "sigmoid"))


@specimen()
def activation_as_layer() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = _head(L.Conv2D(4, 3, name="conv")(inputs), 3, "linear")
    return keras.Model(inputs, L.Activation("softmax", name="probabilities")(x))


@specimen()
def softmax_as_layer() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, L.Softmax(name="softmax")(_head(L.Conv2D(4, 3, name="conv")(inputs), 3, "linear")))


@specimen(layer="outer/inner/conv")
def nested_two_levels() -> keras.Model:
    inner = keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3, activation="elu", name="conv")], name="inner")
    outer_in = L.Input((8, 8, 3))
    outer = keras.Model(outer_in, L.MaxPooling2D(name="pool")(inner(outer_in)), name="outer")
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, _head(outer(inputs)))


@specimen(layer="backbone/conv")
def frozen_backbone() -> keras.Model:
    backbone_in = L.Input((8, 8, 3))
    x = L.BatchNormalization(name="bn")(L.Conv2D(4, 3, activation="relu", name="conv")(backbone_in))
    backbone = keras.Model(backbone_in, x, name="backbone")
    backbone.trainable = False
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, _head(backbone(inputs, training=False)))


@specimen(layer="down", target=lambda outputs: ops.mean(outputs[..., 1], axis=(1, 2)))
def u_net_skip() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    skip = L.Conv2D(4, 3, padding="same", activation="elu", name="down")(inputs)
    x = L.Conv2D(4, 3, padding="same", activation="elu", name="bottom")(L.MaxPooling2D()(skip))
    x = L.Concatenate(name="join")([skip, L.UpSampling2D(interpolation="bilinear", name="up")(x)])
    return keras.Model(inputs, L.Conv2D(2, 1, activation="softmax", name="out")(x))


@specimen(shape=[(8, 8, 3), (8, 8, 3)], layer="backbone/conv#1")
def shared_backbone_two_inputs() -> keras.Model:
    backbone = keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3, activation="elu", name="conv")], name="backbone")
    left, right = L.Input((8, 8, 3), name="left"), L.Input((8, 8, 3), name="right")
    x = L.Subtract(name="difference")([backbone(left), backbone(right)])
    return keras.Model([left, right], _head(x))


@specimen(layer="conv#1")
def shared_layer_twice() -> keras.Model:
    conv = L.Conv2D(3, 3, padding="same", activation="tanh", name="conv")
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, _head(conv(conv(inputs))))


@specimen()
def several_outputs() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, name="conv")(inputs)
    return keras.Model(inputs, {"map": L.Conv2D(1, 1, name="map")(x), "label": _head(x)})


@specimen(shape={"picture": (8, 8, 3), "age": (2,)})
def inputs_by_name() -> keras.Model:
    picture, age = L.Input((8, 8, 3), name="picture"), L.Input((2,), name="age")
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="conv")(picture))
    return keras.Model({"picture": picture, "age": age}, L.Dense(3, name="head")(L.Concatenate()([x, age])))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv = L.Conv2D(4, 3, activation="relu", name="conv")
        self.bn = L.BatchNormalization(name="bn")
        self.drop = L.Dropout(0.5, name="drop")
        self.dense = L.Dense(3, activation="softmax", name="head")
        self.unused = L.Dense(3, name="unused")

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.bn(self.conv(x), training=training)
        return self.dense(self.drop(ops.mean(x, axis=(1, 2)), training=training))


@specimen()
def subclassed() -> keras.Model:
    return Subclassed()


class NoTrainingArgument(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = [L.Conv2D(4, 3, name="conv"), L.Conv2D(4, 3, name="conv")]  # two layers of one name

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = ops.relu(block(x))
        return ops.mean(x, axis=(1, 2))


@specimen(layer="conv~1")
def subclassed_two_of_one_name() -> keras.Model:
    return NoTrainingArgument()


@keras.saving.register_keras_serializable(package="zoo")
class _Block(L.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = {"first": L.Conv2D(4, 3, padding="same", name="a"), "second": L.Conv2D(4, 1, name="b")}

    def call(self, x: Any) -> Any:
        return ops.gelu(self.steps["second"](self.steps["first"](x))) + self.steps["first"](x)

    def compute_output_shape(self, shape: tuple) -> tuple:
        return (*shape[:-1], 4)


@specimen(layer="block/a#1")
def inside_a_custom_layer() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, _head(_Block(name="block")(inputs)))


@specimen(shape=(2, 8, 8, 3), layer="time/conv")
def time_distributed() -> keras.Model:
    inputs = L.Input((2, 8, 8, 3))
    x = L.TimeDistributed(L.Conv2D(4, 3, activation="relu", name="conv"), name="time")(inputs)
    x = L.TimeDistributed(L.GlobalAveragePooling2D(name="gap"), name="pooled")(x)
    return keras.Model(inputs, L.Dense(3, name="head")(L.Flatten()(x)))


@specimen(shape=(5, 3), layer="lstm/cell:0")
def inside_an_lstm() -> keras.Model:
    lstm = L.LSTM(4, name="lstm")
    lstm.cell.name = "cell"
    inputs = L.Input((5, 3))
    return keras.Model(inputs, L.Dense(3, name="head")(lstm(inputs)))


@specimen(shape=(3, 8, 8))
def channels_first() -> keras.Model:
    inputs = L.Input((3, 8, 8))
    x = L.Conv2D(4, 3, data_format="channels_first", activation="elu", name="conv")(inputs)
    x = L.Activation("relu", name="relu")(L.BatchNormalization(axis=1, name="bn")(x))
    x = L.GlobalAveragePooling2D(data_format="channels_first", name="gap")(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(x))


def _with_policy(policy: str) -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, activation="relu", dtype=policy, name="conv")(inputs)
    x = L.BatchNormalization(dtype=policy, name="bn")(x)
    x = L.GlobalAveragePooling2D(dtype=policy, name="gap")(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", dtype="float32", name="head")(x))


@specimen()
def mixed_precision() -> keras.Model:
    return _with_policy("mixed_bfloat16")


@specimen()
def pure_bfloat16() -> keras.Model:
    return _with_policy("bfloat16")


@specimen(layer="first")
def residual_by_operators() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same", name="first")(inputs)
    y = L.Conv2D(4, 3, padding="same", name="second")(ops.relu(x))
    return keras.Model(inputs, _head(ops.relu(x + y) * 0.5))


@specimen(layer="conv0")
def dense_net() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = inputs
    for i in range(3):
        y = L.Conv2D(2, 3, padding="same", name=f"conv{i}")(L.ReLU(name=f"relu{i}")(x))
        x = L.Concatenate(name=f"concat{i}")([x, y])
    return keras.Model(inputs, _head(x))


@specimen(layer="block.1.conv", on=("tensorflow", "jax"))  # Keras can't build it on PyTorch
def names_with_dots() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, _head(L.Conv2D(4, 3, name="block.1.conv")(inputs)))


@specimen(layer="right/conv")
def one_name_in_two_parents() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    sides = [
        keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3, name="conv")], name=name)(inputs)
        for name in ("left", "right")
    ]
    return keras.Model(inputs, _head(L.Maximum(name="most")(sides)))


@specimen()
def random_preprocessing_inside() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Rescaling(0.5, name="scale")(L.RandomFlip(seed=3, name="flip")(inputs))
    x = L.Conv2D(4, 3, name="conv")(L.GaussianNoise(0.3, name="noise")(x))
    return keras.Model(inputs, _head(L.SpatialDropout2D(0.5, name="drop")(x)))


@keras.saving.register_keras_serializable(package="zoo")
class _Counter(L.Layer):
    """Changes its own state in each call, as a careless layer does."""

    def build(self, shape: tuple) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x * 1.0


@specimen()
def state_changes_in_every_call() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Dropout(0.5, seed=1, name="always")(_Counter(name="counter")(inputs), training=True)
    return keras.Model(inputs, _head(L.Conv2D(4, 3, name="conv")(x)))


@specimen(layer="depthwise")
def strided_depthwise_even() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, name="depthwise")(inputs)
    return keras.Model(inputs, _head(L.SeparableConv2D(4, 3, padding="same", name="separable")(x)))


@specimen(layer="transposed", target=lambda outputs: ops.max(outputs, axis=(1, 2, 3)))
def transposed() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    return keras.Model(inputs, L.Conv2DTranspose(2, 3, strides=2, activation="sigmoid", name="transposed")(inputs))


@specimen(shape=(4, 8, 8, 2))
def three_dimensional() -> keras.Model:
    inputs = L.Input((4, 8, 8, 2))
    x = L.Conv3D(3, 3, activation="relu", name="conv")(inputs)
    return keras.Model(inputs, L.Dense(3, name="head")(L.GlobalAveragePooling3D(name="gap")(x)))


@specimen(shape=(9, 3))
def masked_sequence() -> keras.Model:
    inputs = L.Input((9, 3))
    x = L.Conv1D(4, 3, name="conv")(inputs)
    return keras.Model(inputs, L.Dense(3, name="head")(L.GRU(4, name="gru")(L.Masking(0.0, name="mask")(x))))


@specimen(layer="attention/query")
def attention() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Reshape((36, 4), name="tokens")(L.Conv2D(4, 3, name="conv")(inputs))
    x = L.LayerNormalization(name="norm")(x)
    x = L.MultiHeadAttention(2, 2, name="attention")(x, x)
    return keras.Model(inputs, L.Dense(3, name="head")(L.GlobalAveragePooling1D(name="gap")(x)))


@keras.saving.register_keras_serializable(package="zoo")
class _Split(L.Layer):
    def call(self, x: Any) -> Any:
        return {"one": x[..., :2], "two": x[..., 2:]}


@specimen(layer="split:1")
def layer_with_two_outputs() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    parts = _Split(name="split")(L.Conv2D(4, 3, name="conv")(inputs))
    return keras.Model(inputs, _head(parts["one"] * parts["two"]))


@specimen()
def fixed_batch() -> keras.Model:
    inputs = L.Input(batch_shape=(2, 8, 8, 3))
    return keras.Model(inputs, _head(L.Conv2D(4, 3, name="conv")(inputs)))


@specimen()
def rematerialised() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    with keras.RematScope(mode="full"):
        x = L.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    return keras.Model(inputs, _head(x))


@specimen(layer="conv")
def activity_regularised() -> keras.Model:
    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, activation=L.LeakyReLU(0.1), activity_regularizer="l2", name="conv")(inputs)
    return keras.Model(inputs, _head(L.GroupNormalization(2, name="norm")(x)))


@specimen(layer="conv", on=("torch",))
def in_place_relu() -> keras.Model:
    import torch

    inputs = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.TorchModuleWrapper(torch.nn.ReLU(inplace=True), name="relu", output_shape=(None, 6, 6, 4))(x)
    return keras.Model(inputs, _head(x))


def compiled(model: keras.Model, images: Any) -> keras.Model:
    """With an optimizer that has state, so that it can be seen to stay."""
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model
