"""DeepLabV3+: dilated convolutions side by side on coarse maps, then a small decoder with fine ones.

Source: Chen et al. 2018, sections 3.1 and 3.2; the backbones of the catalogue keep their own strides, so the coarse map
is the one at stride 16.
"""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.models.decoding import as_segmenter, class_layer, conv_norm_relu, encoder_of, enlarged
from convscope.models.segmenter import Encoder, MaskWish, Segmenter

keras = load_keras()

RATES = (6, 12, 18)
FINE_CHANNELS = 48


def build_deeplab(wish: MaskWish) -> Segmenter:
    """DeepLabV3+ on the backbone that `wish` names.

    Raises:
        ModelError: the backbone has no map at stride 4 or 16.
    """
    encoder = encoder_of(wish)
    if 4 not in encoder.maps or 16 not in encoder.maps:
        raise ModelError(f"expected a backbone with maps at strides 4 and 16, {wish.backbone} has {list(encoder.maps)}")
    coarse, fine = encoder.maps[16], encoder.maps[4]
    used = {4: encoder.layers[4], 16: encoder.layers[16]}
    encoder = Encoder(encoder.pixels, {4: fine, 16: coarse}, used, encoder.stages, encoder.pretrained, encoder.seeds)
    x = enlarged(_side_by_side(coarse, wish, encoder), fine.shape[1:3], "context")
    thin = conv_norm_relu(fine, FINE_CHANNELS, "fine", seeds=encoder.seeds, norm=wish.options.norm, kernel=1)
    x = keras.layers.Concatenate(name="decoder_join")([x, thin])
    for k in (1, 2):
        x = conv_norm_relu(x, wish.options.pyramid_channels, f"decoder{k}", seeds=encoder.seeds, norm=wish.options.norm)
    return as_segmenter(wish, encoder, class_layer(x, wish, encoder.seeds))


def _side_by_side(x: Any, wish: MaskWish, encoder: Encoder) -> Any:
    """Atrous spatial pyramid pooling: 1 x 1, three dilated 3 x 3, and the mean of the whole map."""
    filters, norm, seeds = wish.options.pyramid_channels, wish.options.norm, encoder.seeds
    parts = [
        conv_norm_relu(x, filters, "context1", seeds=seeds, norm=norm, kernel=1),
        *(conv_norm_relu(x, filters, f"context{r}", seeds=seeds, norm=norm, dilation=r) for r in RATES),
    ]
    whole = keras.layers.GlobalAveragePooling2D(keepdims=True, name="context_mean")(x)
    # one value per map: a norm over places would leave nothing of it
    whole = conv_norm_relu(whole, filters, "context_whole", seeds=seeds, norm="none", kernel=1)
    parts.append(enlarged(whole, x.shape[1:3], "context_whole"))
    joined = keras.layers.Concatenate(name="context_join")(parts)
    return conv_norm_relu(joined, filters, "context_out", seeds=seeds, norm=norm, kernel=1)
