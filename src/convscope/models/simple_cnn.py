"""The plain convolutional network: blocks of convolutions and pooling, any depth and width, and a head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.models.parts import PIXELS, POOLED, dense_head, penalty, seeds_from
from convscope.registry import nearest

keras = load_keras()

Initializer = Literal["he_normal", "he_uniform", "glorot_normal", "glorot_uniform"]
Pooling = Literal["max", "average"]
Padding = Literal["same", "valid"]
Head = Literal["average", "flatten"]
ACTIVATIONS = (
    "relu", "sigmoid", "tanh", "elu", "selu", "gelu", "silu", "relu6", "leaky_relu", "softplus", "softsign", "mish",
    "exponential", "hard_sigmoid", "hard_silu", "hard_tanh", "celu", "glu", "squareplus", "tanh_shrink", "soft_shrink",
    "hard_shrink", "sparse_plus", "threshold", "linear",
)  # fmt: skip


@dataclass(frozen=True)
class SimpleCnnOptions:
    """What the simple CNN is made of.

    Attributes:
        filters: feature maps of each block; its length is the depth.
        convs_per_block: convolutions before each pooling.
        kernel_size: side of each kernel in pixels.
        stride: step of the first convolution of each block in pixels.
        padding: "same" or "valid", for convolutions.
        initializer: "he_normal", "he_uniform" (He et al. 2015), "glorot_normal" or "glorot_uniform"
            (Glorot, Bengio 2010).
        activation: any name of keras.activations that works value by value.
        pooling: "max" or "average"; pool_size its side in pixels, 1 for none.
        batch_norm: normalise after each convolution, before its activation.
        conv_dropout: share of whole feature maps dropped after each block, 0..1.
        head: "average" pools each map to one number and takes any picture size; "flatten" keeps places.
        dense: widths of hidden dense layers before the outputs.
    """

    filters: tuple[int, ...] = (32, 64, 128)
    convs_per_block: int = 1
    kernel_size: int = 3
    stride: int = 1
    padding: Padding = "same"
    initializer: Initializer = "he_normal"
    activation: str = "relu"
    pooling: Pooling = "max"
    pool_size: int = 2
    batch_norm: bool = True
    conv_dropout: float = 0.0
    head: Head = "average"
    dense: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check each field by itself."""
        choices = {"padding": Padding, "initializer": Initializer, "pooling": Pooling, "head": Head}
        known = {name: get_args(choice) for name, choice in choices.items()} | {"activation": ACTIVATIONS}
        for name, names in known.items():
            if getattr(self, name) not in names:
                raise PlanError(f"unknown {name} {getattr(self, name)!r}; {nearest(str(getattr(self, name)), names)}")
        for name in ("convs_per_block", "kernel_size", "stride", "pool_size"):
            if getattr(self, name) < 1:
                raise PlanError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if not self.filters or min((*self.filters, *self.dense)) < 1:
            raise PlanError(f"expected filters and dense widths of at least 1, got {self.filters} and {self.dense}")
        if not 0 <= self.conv_dropout < 1:
            raise PlanError(f"expected conv_dropout in 0..1, got {self.conv_dropout}")

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> SimpleCnnOptions:
        """Read options by name, as from a TOML table.

        Raises:
            PlanError: an unknown option, with the nearest name.
        """
        known = {field.name for field in fields(cls)}
        for name in facts:
            if name not in known:
                raise PlanError(f"unknown option {name!r} of simple-cnn; {nearest(name, known)}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}
        return cls(**values)


def _initializer(options: SimpleCnnOptions, seeds: Iterator[int]) -> Any:
    config = {"seed": next(seeds)}
    return keras.initializers.get({"class_name": options.initializer, "config": config})


def _block(x: Any, number: int, *, options: SimpleCnnOptions, regularizer: Any, seeds: Iterator[int]) -> Any:
    for k in range(1, options.convs_per_block + 1):
        name = f"block{number}_conv{k}"
        x = keras.layers.Conv2D(
            options.filters[number - 1],
            options.kernel_size,
            strides=options.stride if k == 1 else 1,
            padding=options.padding,
            use_bias=not options.batch_norm,
            kernel_initializer=_initializer(options, seeds),
            kernel_regularizer=regularizer,
            name=name,
        )(x)
        if options.batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.9, name=f"block{number}_bn{k}")(x)
        x = keras.layers.Activation(options.activation, name=f"block{number}_{options.activation}{k}")(x)
    if options.pool_size > 1:
        pool = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}[options.pooling]
        x = pool(options.pool_size, name=f"block{number}_pool")(x)
    if options.conv_dropout:
        x = keras.layers.SpatialDropout2D(options.conv_dropout, seed=next(seeds), name=f"block{number}_dropout")(x)
    return x


def simple_cnn(
    input_shape: tuple[int, int, int],
    *,
    outputs: int,
    output_activation: str,
    options: SimpleCnnOptions,
    dropout: float = 0.2,
    penalties: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
) -> Any:
    """Build the network: (n, h, w, c) pixels 0..255 -> (n, outputs).

    Args:
        input_shape: height, width, channels.
        outputs: how many numbers come out.
        output_activation: of the last layer ("softmax", "sigmoid", "linear").
        options: what it is made of.
        dropout: share of features dropped before the last layer.
        penalties: L1 and L2 weight of every kernel.
        seed: of all initial weights and drop-outs.

    Raises:
        PlanError: the picture is too small for this depth.
    """
    seeds, regularizer = seeds_from(seed), penalty(*penalties)
    pixels = keras.Input(input_shape, name=PIXELS)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(pixels)
    try:
        for number in range(1, len(options.filters) + 1):
            x = _block(x, number, options=options, regularizer=regularizer, seeds=seeds)
            if min(x.shape[1:3]) < 1:
                raise ValueError("nothing is left of the picture")
    except ValueError as error:
        raise PlanError(
            f"expected pictures large enough for {len(options.filters)} blocks, got {input_shape[0]}x{input_shape[1]}; "
            "use fewer filters, pool_size=1 or padding='same'"
        ) from error
    pool = keras.layers.GlobalAveragePooling2D if options.head == "average" else keras.layers.Flatten
    x = pool(name=POOLED)(x)
    for k, width in enumerate(options.dense, start=1):
        x = keras.layers.Dense(
            width,
            activation=options.activation,
            kernel_initializer=_initializer(options, seeds),
            kernel_regularizer=regularizer,
            name=f"dense{k}",
        )(x)
    x = dense_head(
        x, outputs=outputs, activation=output_activation, dropout=dropout, regularizer=regularizer, seeds=seeds
    )
    return keras.Model(pixels, x, name="simple_cnn")
