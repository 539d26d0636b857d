"""What all decoders of masks are made of: encoder taps, convolutions with a norm, and the last layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.models.network import build_network
from convscope.models.parts import OUTPUTS, PIXELS, seeds_from
from convscope.models.segmenter import Encoder, MaskWish, Segmenter
from convscope.models.taps import find_taps
from convscope.records.geometry import Preprocess

keras = load_keras()

STRIDES = (2, 4, 8, 16, 32)
DECODER_SEED = 104_729  # the decoder draws other numbers than the backbone
GROUPS = 4


def conv_norm_relu(x: Any, filters: int, name: str, *, seeds: Iterator[int], norm: str, kernel: int = 3,
                   dilation: int = 1) -> Any:  # fmt: skip
    """Convolution, norm ("batch", "group" or "none"), ReLU; He initialisation, "same" padding."""
    x = keras.layers.Conv2D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        use_bias=norm == "none",
        kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
        name=f"{name}_conv",
    )(x)
    if norm == "batch":
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    elif norm == "group":
        x = keras.layers.GroupNormalization(GROUPS, name=f"{name}_gn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def enlarged(x: Any, hw: tuple[int, int], name: str) -> Any:
    """The map brought to another size, bilinearly."""
    if tuple(x.shape[1:3]) == tuple(hw):
        return x
    return keras.layers.Resizing(*hw, interpolation="bilinear", name=f"{name}_up")(x)


def class_layer(x: Any, wish: MaskWish, seeds: Iterator[int]) -> Any:
    """Drop-out, 1 x 1 convolution and softmax at the frame's size: (n, h, w, classes) float32 that sum to 1."""
    if wish.options.dropout:
        x = keras.layers.SpatialDropout2D(wish.options.dropout, seed=next(seeds), name="dropout")(x)
    x = keras.layers.Conv2D(
        wish.classes,
        1,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        dtype="float32",
        name="class_maps",
    )(x)
    x = enlarged(x, wish.frame_hw, "class_maps")
    return keras.layers.Softmax(dtype="float32", name=OUTPUTS)(x)


def encoder_of(wish: MaskWish) -> Encoder:
    """The backbone that `wish` names with its maps at strides 2 to 32, as far as it has them.

    Raises:
        UnknownNameError, WeightsNotFoundError, PlanError: as `build_network`.
        ModelError: fewer than three such maps.
    """
    network = build_network(
        wish.backbone,
        outputs=1,
        output_activation="linear",
        input_hw=wish.frame_hw,
        channels=wish.channels,
        weights=wish.weights,
        download=wish.download,
        dropout=0.0,
        seed=wish.options.seed,
    )
    layers = find_taps(network.model, wish.frame_hw, wish.backbone, strides=STRIDES)
    if len(layers) < 3:
        raise ModelError(f"expected a backbone with maps at three strides or more, {wish.backbone} has {len(layers)}")
    maps = {stride: network.model.get_layer(layers[stride]).output for stride in sorted(layers)}
    used = {layer.name for layer in keras.Model(network.model.input, list(maps.values())).layers}
    stages = tuple(s for s in (tuple(n for n in stage if n in used) for stage in network.stages) if s)
    seeds = seeds_from(wish.options.seed + DECODER_SEED)
    return Encoder(network.model.input, maps, layers, stages, network.pretrained, seeds)


def pixels_of(wish: MaskWish) -> Any:
    """The input of a network without a backbone."""
    return keras.Input((*wish.frame_hw, wish.channels), name=PIXELS)


def as_segmenter(wish: MaskWish, encoder: Encoder, outputs: Any) -> Segmenter:
    """Wrap the graph from the encoder's pixels to `outputs`."""
    model = keras.Model(encoder.pixels, outputs, name=wish.name.replace("-", "_").replace("+", "_on_"))
    backbone = {layer.name for layer in keras.Model(encoder.pixels, list(encoder.maps.values())).layers}
    decoder = tuple(layer.name for layer in model.layers if layer.name not in backbone or not wish.backbone)
    height, width = wish.frame_hw
    kind = wish.name.partition("+")[0]
    deepest = encoder.layers[max(encoder.layers)]
    return Segmenter(
        model=model,
        name=wish.name,
        feature_layer=_last_map(model),
        pooled_layer="",
        stages=encoder.stages if wish.backbone else (),
        preprocess=Preprocess(height, width, wish.channels),
        native_size_ok=False,
        pretrained=encoder.pretrained,
        head=decoder,
        kind=kind,
        classes=wish.classes,
        backbone=wish.backbone,
        skips=tuple(encoder.layers[s] for s in sorted(encoder.layers) if encoder.layers[s] != deepest),
    )


def _last_map(model: Any) -> str:
    """The last activation before the class maps: what Grad-CAM looks at."""
    names = [layer.name for layer in model.layers]
    before = model.layers[: names.index("class_maps")]
    return str(next(layer.name for layer in reversed(before) if isinstance(layer, keras.layers.ReLU)))
