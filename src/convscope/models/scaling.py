"""Pixel values 0..255 to what pretrained weights want, as plain Keras layers inside the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import load_keras

keras = load_keras()

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of x / 255, RGB, as torchvision and Keras state them
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # of x in 0..255
RGB_TO_BGR = "rgb_to_bgr"


def normalization(*, of_255: bool = True) -> Any:
    """(x / 255 - mean) / deviation per channel as one layer without weights; x in 0..255, else already in 0..1."""
    unit = 255.0 if of_255 else 1.0
    mean, variance = [unit * m for m in IMAGENET_MEAN], [(unit * s) ** 2 for s in IMAGENET_STD]
    return keras.layers.Normalization(mean=mean, variance=variance, name="normalize_pixels")


def _caffe(rgb: Any) -> Any:
    """A frozen 1x1 convolution, open to the scope: its kernel swaps red and blue, its bias takes the mean off."""
    layer = keras.layers.Conv2D(3, 1, trainable=False, name=RGB_TO_BGR)
    x = layer(rgb)
    layer.set_weights([np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -np.asarray(CAFFE_MEAN_BGR, np.float32)])
    return x


def scaled(rgb: Any, scaling: str) -> Any:
    """(n, h, w, 3) pixels 0..255 in RGB order -> the same shape in the values that `scaling` names."""
    if scaling == "caffe":
        return _caffe(rgb)
    if scaling == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(rgb)
    if scaling == "torch":
        return normalization()(rgb)
    return rgb
