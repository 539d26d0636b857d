"""3-D U-Net: blocks of neighbouring slices, convolved along all three axes, every voxel of the block answered.

Source: Cicek et al. 2016; here with "same" padding, batch or group norm after each convolution as they have it, and
enlarging by repetition instead of learned up-convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.models.decoding import DECODER_SEED, GROUPS
from convscope.models.parts import OUTPUTS, PIXELS, seeds_from
from convscope.models.segmenter import MaskWish, Segmenter, SegmenterOptions
from convscope.records.geometry import Preprocess

keras = load_keras()


def build_unet_3d(wish: MaskWish) -> Segmenter:
    """(n, h, w, slices) float32 pixels 0..255 -> (n, h, w, slices, classes) probabilities.

    Raises:
        PlanError: a backbone, or fewer than 2 slices.
    """
    options = wish.options
    if wish.backbone:
        raise PlanError(f"expected {wish.name} without a backbone, those of the catalogue see single pictures")
    if options.slices < 2:
        raise PlanError(f"expected blocks of at least 2 slices, got {options.slices}")
    seeds = seeds_from(options.seed + DECODER_SEED)
    pixels = keras.Input((*wish.frame_hw, options.slices), name=PIXELS)
    outputs = _class_maps(_decoded(pixels, options, seeds), wish, seeds)
    model = keras.Model(pixels, outputs, name=wish.name.replace("-", "_"))
    height, width = wish.frame_hw
    return Segmenter(
        model=model,
        name=wish.name,
        feature_layer="",  # its maps have three axes, which no heat map of a picture shows
        pooled_layer="",
        stages=(),
        preprocess=Preprocess(height, width, options.slices),
        native_size_ok=False,
        pretrained="",
        head=tuple(layer.name for layer in model.layers),
        kind=wish.name,
        classes=wish.classes,
        backbone="",
        skips=tuple(f"down{level}b_relu" for level in range(options.depth)),
    )


def _decoded(pixels: Any, options: SegmenterOptions, seeds: Iterator[int]) -> Any:
    """The contracting and the expanding path: (n, h, w, slices, width)."""
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(pixels)
    x = keras.layers.Reshape((*pixels.shape[1:], 1), name="as_voxels")(x)
    skips: list[Any] = []
    for level in range(options.depth + 1):
        if level:
            skips.append(x)
            x = keras.layers.MaxPooling3D(2, padding="same", name=f"down{level}_pool")(x)
        x = _double(x, options.width * 2**level, f"down{level}", norm=options.norm, seeds=seeds)
    if options.dropout:
        x = keras.layers.SpatialDropout3D(options.dropout, seed=next(seeds), name="middle_dropout")(x)
    for level in reversed(range(options.depth)):
        x = _enlarged(x, skips[level], f"up{level}")
        x = keras.layers.Concatenate(name=f"up{level}_join")([x, skips[level]])
        x = _double(x, options.width * 2**level, f"up{level}", norm=options.norm, seeds=seeds)
    return x


def _class_maps(x: Any, wish: MaskWish, seeds: Iterator[int]) -> Any:
    """Drop-out, 1 x 1 x 1 convolution and softmax: (n, h, w, slices, classes) float32 that sum to 1."""
    if wish.options.dropout:
        x = keras.layers.SpatialDropout3D(wish.options.dropout, seed=next(seeds), name="dropout")(x)
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    x = keras.layers.Conv3D(wish.classes, 1, kernel_initializer=start, dtype="float32", name="class_maps")(x)
    return keras.layers.Softmax(dtype="float32", name=OUTPUTS)(x)


def _double(x: Any, filters: int, name: str, *, norm: str, seeds: Iterator[int]) -> Any:
    """Twice a 3 x 3 x 3 convolution with its norm and ReLU; He initialisation."""
    for part in "ab":
        start = keras.initializers.HeNormal(seed=next(seeds))
        x = keras.layers.Conv3D(
            filters, 3, padding="same", use_bias=norm == "none", kernel_initializer=start, name=f"{name}{part}_conv"
        )(x)
        if norm == "batch":
            x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}{part}_bn")(x)
        elif norm == "group":
            x = keras.layers.GroupNormalization(GROUPS, name=f"{name}{part}_gn")(x)
        x = keras.layers.ReLU(name=f"{name}{part}_relu")(x)
    return x


def _enlarged(x: Any, like: Any, name: str) -> Any:
    """Twice as large along each axis, cut to the size of `like`, which pooling may have rounded up."""
    x = keras.layers.UpSampling3D(2, name=f"{name}_up")(x)
    over = [(0, int(a) - int(b)) for a, b in zip(x.shape[1:4], like.shape[1:4], strict=True)]
    return keras.layers.Cropping3D(tuple(over), name=f"{name}_cut")(x) if any(o for _, o in over) else x
