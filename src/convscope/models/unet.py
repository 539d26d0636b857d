"""U-Net: a contracting path, an expanding path, and skips between them; alone or on any backbone.

Source: Ronneberger, Fischer and Brox 2015; here with "same" padding, so that the mask has the picture's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convscope.backend.selection import load_keras
from convscope.models.decoding import (
    DECODER_SEED,
    as_segmenter,
    class_layer,
    conv_norm_relu,
    encoder_of,
    enlarged,
    pixels_of,
)
from convscope.models.parts import seeds_from
from convscope.models.segmenter import Encoder, MaskWish, Segmenter

keras = load_keras()


def build_unet(wish: MaskWish) -> Segmenter:
    """A U-Net on the backbone that `wish` names, or on its own encoder."""
    encoder = encoder_of(wish) if wish.backbone else _own_encoder(wish)
    strides = sorted(encoder.maps, reverse=True)
    x = encoder.maps[strides[0]]
    if wish.options.dropout:
        x = keras.layers.SpatialDropout2D(wish.options.dropout, seed=next(encoder.seeds), name="middle_dropout")(x)
    for stride in strides[1:]:
        skip = encoder.maps[stride]
        x = enlarged(x, skip.shape[1:3], f"up{stride}")
        x = keras.layers.Concatenate(name=f"up{stride}_join")([x, skip])
        x = _double(x, _width(wish, stride), f"up{stride}", norm=wish.options.norm, seeds=encoder.seeds)
    if strides[-1] > 1:  # a backbone's finest map is coarser than the picture
        x = enlarged(x, wish.frame_hw, "up1")
        x = conv_norm_relu(x, _width(wish, 1), "up1", seeds=encoder.seeds, norm=wish.options.norm)
    return as_segmenter(wish, encoder, class_layer(x, wish, encoder.seeds))


def _width(wish: MaskWish, stride: int) -> int:
    """Maps at this stride: doubled at each halving, at most 256 on a backbone."""
    width = wish.options.width * stride
    return min(width, 256) if wish.backbone else width


def _double(x: Any, filters: int, name: str, *, norm: str, seeds: Iterator[int]) -> Any:
    x = conv_norm_relu(x, filters, f"{name}a", seeds=seeds, norm=norm)
    return conv_norm_relu(x, filters, f"{name}b", seeds=seeds, norm=norm)


def _own_encoder(wish: MaskWish) -> Encoder:
    """Two convolutions a level, max pooling between levels; the finest level has the picture's own size."""
    options, seeds = wish.options, seeds_from(wish.options.seed + DECODER_SEED)
    pixels = pixels_of(wish)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_pixels")(pixels)
    maps, layers = {}, {}
    for level in range(options.depth + 1):
        if level:
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"down{level}_pool")(x)
        x = _double(x, options.width * 2**level, f"down{level}", norm=options.norm, seeds=seeds)
        maps[2**level], layers[2**level] = x, f"down{level}b_relu"
    return Encoder(pixels, maps, layers, (), "", seeds)
