"""Feature pyramid for masks: every level is brought to a quarter of the picture, and all are added.

Source: Lin et al. 2017 (FPN); Kirillov et al. 2019 (Panoptic FPN), section 3.
"""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.models.decoding import as_segmenter, class_layer, conv_norm_relu, encoder_of, enlarged
from convscope.models.segmenter import Encoder, MaskWish, Segmenter

keras = load_keras()


def build_fpn(wish: MaskWish) -> Segmenter:
    """A feature pyramid on the backbone that `wish` names."""
    encoder = encoder_of(wish)
    strides = sorted((s for s in encoder.maps if s >= 4), reverse=True)
    levels = _pyramid(wish, encoder, strides)
    finest = levels[strides[-1]].shape[1:3]
    parts = []
    for stride in strides:
        x = conv_norm_relu(levels[stride], wish.options.pyramid_channels, f"level{stride}", seeds=encoder.seeds,
                           norm=wish.options.norm)  # fmt: skip
        parts.append(enlarged(x, finest, f"level{stride}"))
    x = keras.layers.Add(name="levels_add")(parts)
    x = conv_norm_relu(x, wish.options.pyramid_channels, "merged", seeds=encoder.seeds, norm=wish.options.norm)
    return as_segmenter(wish, encoder, class_layer(x, wish, encoder.seeds))


def _pyramid(wish: MaskWish, encoder: Encoder, strides: list[int]) -> dict[int, Any]:
    """Coarse levels added to finer ones, all of one width."""
    levels: dict[int, Any] = {}
    above = None
    for stride in strides:
        x = keras.layers.Conv2D(
            wish.options.pyramid_channels,
            1,
            kernel_initializer=keras.initializers.HeNormal(seed=next(encoder.seeds)),
            name=f"lateral{stride}",
        )(encoder.maps[stride])
        if above is not None:
            x = keras.layers.Add(name=f"lateral{stride}_add")([x, enlarged(above, x.shape[1:3], f"lateral{stride}")])
        levels[stride] = above = x
    return levels
