"""EfficientNet-Lite0 as plain Keras layers, and the map from the published PyTorch tensors to them.

Source: Tan, Le 2019 (EfficientNet) and the Lite variants of its authors: no squeeze-excite, ReLU6 everywhere, 'same'
padding, batch-norm epsilon 1e-3, pixels as (x - 127) / 128. Blocks are counted from 0 over all stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ModelError

keras = load_keras()

# repeats, kernel, stride of the first repeat, expansion, filters out
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, TOP, CLASSES = 32, 1280, 1000
LAST_LAYER = "head_relu"

Regularized = dict[str, Any]


def _norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(x)


def _conv(x: Any, filters: int, name: str, *, options: Regularized, kernel: int = 1, stride: int = 1) -> Any:
    initializer = keras.initializers.HeNormal(seed=next(options["seeds"]))
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=initializer,
        kernel_regularizer=options["regularizer"],
        name=f"{name}_conv",
    )(x)
    return _norm(x, name)


def _relu6(x: Any, name: str) -> Any:
    return keras.layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)


def _block(x: Any, name: str, *, kernel: int, stride: int, expansion: int, filters: int, options: Regularized) -> Any:
    """[1x1 expand] -> depthwise -> 1x1 project; the input is added where shapes allow."""
    entry, channels = x, x.shape[-1]
    if expansion != 1:
        x = _relu6(_conv(x, channels * expansion, f"{name}_expand", options=options), f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.HeNormal(seed=next(options["seeds"])),
        depthwise_regularizer=options["regularizer"],
        name=f"{name}_depthwise_conv",
    )(x)
    x = _relu6(_norm(x, f"{name}_depthwise"), f"{name}_depthwise")
    x = _conv(x, filters, f"{name}_project", options=options)
    return keras.layers.Add(name=f"{name}_add")([entry, x]) if stride == 1 and channels == filters else x


def lite0_features(rgb: Any, *, regularizer: Any, seeds: Iterator[int]) -> Any:
    """(n, h, w, 3) pixels 0..255 in RGB order -> (n, ceil(h / 32), ceil(w / 32), 1280) in 0..6."""
    options = {"regularizer": regularizer, "seeds": seeds}
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="scale_pixels")(rgb)
    x = _relu6(_conv(x, STEM, "stem", options=options, kernel=3, stride=2), "stem")
    number = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            x = _block(
                x, f"block{number}", kernel=kernel, stride=step, expansion=expansion, filters=filters, options=options
            )
            number += 1
    return _relu6(_conv(x, TOP, "head", options=options), "head")


def _source_names() -> dict[str, str]:
    """Keras layer -> prefix of its tensors in the published file."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1"}
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    for number in range(sum(stage[0] for stage in STAGES)):
        for part, norm in norms.items():
            names[f"block{number}_{part}_conv"] = f"_blocks.{number}._{part}_conv"
            names[f"block{number}_{part}_bn"] = f"_blocks.{number}.{norm}"
    return names


def lite0_layer_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Turn the published tensors into `layer name -> list for layer.set_weights`, head ("outputs") included.

    Raises:
        ModelError: naming a tensor that is missing.
    """
    weights = {}
    for layer, source in _source_names().items():
        if layer.startswith("block0_expand"):
            continue
        try:
            if layer.endswith("_bn"):
                parts = ("weight", "bias", "running_mean", "running_var")
                weights[layer] = [tensors[f"{source}.{part}"] for part in parts]
            else:
                axes = (2, 3, 0, 1) if "depthwise" in layer else (2, 3, 1, 0)
                weights[layer] = [tensors[f"{source}.weight"].transpose(axes)]
        except KeyError as error:
            raise ModelError(f"expected the tensors of EfficientNet-Lite0, found none named {error.args[0]}") from error
    if "_fc.weight" in tensors:
        weights["outputs"] = [tensors["_fc.weight"].T, tensors["_fc.bias"]]
    return weights
