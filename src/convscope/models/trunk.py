"""A backbone for a detector: of the catalogue, with its weights, or the detectors' own; always three maps."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.models.csp import SIZES, csp_maps, pixels_input
from convscope.models.detector import Trunk, Wish
from convscope.models.network import build_network
from convscope.models.parts import seeds_from
from convscope.models.pyramid import conv_bn_silu
from convscope.models.stages import stages_of
from convscope.models.taps import STRIDES, find_taps

keras = load_keras()

NECK_SEED = 7_919  # the neck draws other numbers than the backbone


def build_trunk(wish: Wish) -> Trunk:
    """Build the backbone that `wish` names and take its maps at strides 8, 16 and 32.

    A backbone that ends before stride 32 is lengthened by convolutions of stride 2, which belong to the neck.

    Raises:
        UnknownNameError, WeightsNotFoundError, PlanError: as `build_network`.
        ModelError: the backbone has no map at stride 8.
    """
    return _own(wish) if wish.backbone in SIZES else _of_catalogue(wish)


def _own(wish: Wish) -> Trunk:
    pixels = pixels_input(wish.frame_hw, wish.channels)
    maps = csp_maps(pixels, SIZES[wish.backbone], seed=wish.options.seed)
    graph = keras.Model(pixels, maps)
    first, second, third = maps
    names = [x._keras_history.operation.name for x in maps]
    stages = tuple(tuple(stage) for stage in stages_of(graph, r"^(stem|stage\d)_"))
    seeds = seeds_from(wish.options.seed + NECK_SEED)
    return Trunk(pixels, (first, second, third), (names[0], names[1], names[2]), stages, "", seeds)


def _of_catalogue(wish: Wish) -> Trunk:
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
    taps = find_taps(network.model, wish.frame_hw, wish.backbone)
    seeds = seeds_from(wish.options.seed + NECK_SEED)
    maps, names = [], []
    for stride in STRIDES:
        if stride in taps:
            maps.append(network.model.get_layer(taps[stride]).output)
        else:
            maps.append(conv_bn_silu(maps[-1], wish.options.pyramid_channels, f"neck_more{stride}", seeds=seeds,
                                     kernel=3, stride=2))  # fmt: skip
        names.append(taps.get(stride, f"neck_more{stride}_silu"))
    first, second, third = maps
    used = {layer.name for layer in keras.Model(network.model.input, maps).layers}
    stages = tuple(s for s in (tuple(n for n in stage if n in used) for stage in network.stages) if s)
    return Trunk(network.model.input, (first, second, third), (names[0], names[1], names[2]), stages,
                 network.pretrained, seeds)  # fmt: skip


def layers_after(model: Any, trunk: Trunk) -> tuple[str, ...]:
    """Names of the layers of `model` that its backbone does not own."""
    backbone = {layer.name for layer in keras.Model(trunk.pixels, list(trunk.maps)).layers}
    return tuple(layer.name for layer in model.layers
                 if layer.name not in backbone or layer.name.startswith("neck_more"))  # fmt: skip
