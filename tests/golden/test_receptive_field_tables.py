"""Published receptive fields and FLOPs of whole networks.

Source: google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md at f12ae8e (Apache-2.0): size, stride, padding and
GFLOPs up to an end-point (2 per multiply-add, bias adds counted) for input 224 and 321. The nets there are TF-Slim's;
rows are compared where Keras Applications builds the same thing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import pytest

from convscope.scope.costs import costs_of
from convscope.scope.field.propagate import Fields, propagate
from convscope.scope.field.report import field_of
from convscope.scope.graph import Graph, graph_of

pytestmark = pytest.mark.backend

# layer -> field, stride, padding at 224, padding at 321, GFLOPs at 224, GFLOPs at 321
VGG16 = {
    "block1_conv1": (3, 1, 1, 1, 0.177, 0.363),
    "block1_pool": (6, 2, 2, 2, 3.882, 7.973),
    "block2_conv1": (10, 2, 4, 4, 5.734, 11.751),
    "block2_pool": (16, 4, 6, 6, 9.436, 19.307),
    "block3_conv1": (24, 4, 10, 10, 11.287, 23.084),
    "block3_conv2": (32, 4, 14, 14, 14.987, 30.635),
    "block3_pool": (44, 8, 18, 18, 18.688, 38.188),
    "block4_conv1": (60, 8, 26, 26, 20.538, 41.964),
    "block4_conv2": (76, 8, 34, 34, 24.238, 49.514),
    "block4_pool": (100, 16, 42, 42, 27.938, 57.066),
    "block5_conv1": (132, 16, 58, 58, 28.863, 58.954),
    "block5_conv2": (164, 16, 74, 74, 29.788, 60.841),
    "block5_pool": (212, 32, 90, 90, 30.713, 62.729),
}
STEM = {
    "conv 0": (3, 2, 0, 0, 0.022, 0.045),
    "conv 1": (7, 2, 0, 0, 0.241, 0.506),
    "conv 2": (11, 2, 2, 2, 0.680, 1.428),
    "pool 0": (15, 4, 2, 2, 0.681, 1.431),
    "conv 3": (15, 4, 2, 2, 0.712, 1.494),
    "conv 4": (23, 4, 2, 2, 1.460, 3.092),
    "pool 1": (31, 8, 2, 2, 1.461, 3.095),
}
INCEPTION_V3 = STEM | {
    "mixed0": (63, 8, 18, 18, 1.781, 3.796),
    "mixed1": (95, 8, 34, 34, 2.128, 4.557),
    "mixed2": (127, 8, 50, 50, 2.485, 5.339),
    "mixed3": (159, 16, 58, 58, 2.889, 6.241),
    "mixed4": (351, 16, 154, 154, 3.263, 7.082),
    "mixed5": (543, 16, 250, 250, 3.750, 8.178),
    "mixed6": (735, 16, 346, 346, 4.237, 9.275),
    "mixed7": (927, 16, 442, 442, 4.854, 10.663),
    "mixed8": (1055, 32, 490, 490, 5.132, 11.303),
    "mixed9": (1183, 32, 554, 554, 5.385, 11.948),
    "mixed10": (1311, 32, 618, 618, 5.689, 12.727),
}
INCEPTION_RESNET_V2 = STEM | {
    "mixed_5b": (63, 8, 18, 18, 1.796, 3.829),
    "mixed_6a": (415, 16, 186, 186, 4.745, 10.323),
    "block17_20_ac": (2335, 16, 1146, 1146, 11.230, 24.913),
    "mixed_7a": (2399, 32, 1162, 1162, 11.781, 26.190),
    "conv_7b_ac": (3039, 32, 1482, 1482, 12.958, 29.203),
}
# Keras pads 0 before and 1 after whatever the size; at 224 that is TensorFlow's "same", at 321 it is not
MOBILENET = {
    "conv1_relu": (3, 2, 0, None, 0.022, None),
    "conv_pw_1_relu": (7, 2, 2, None, 0.082, None),
    "conv_pw_2_relu": (11, 4, 2, None, 0.137, None),
    "conv_pw_3_relu": (19, 4, 6, None, 0.248, None),
    "conv_pw_4_relu": (27, 8, 6, None, 0.302, None),
    "conv_pw_5_relu": (43, 8, 14, None, 0.409, None),
    "conv_pw_6_relu": (59, 16, 14, None, 0.461, None),
    "conv_pw_7_relu": (91, 16, 30, None, 0.566, None),
    "conv_pw_8_relu": (123, 16, 46, None, 0.671, None),
    "conv_pw_9_relu": (155, 16, 62, None, 0.775, None),
    "conv_pw_10_relu": (187, 16, 78, None, 0.880, None),
    "conv_pw_11_relu": (219, 16, 94, None, 0.985, None),
    "conv_pw_12_relu": (251, 32, 94, None, 1.037, None),
    "conv_pw_13_relu": (315, 32, 126, None, 1.140, None),
}
NETS = {"VGG16": VGG16, "InceptionV3": INCEPTION_V3, "InceptionResNetV2": INCEPTION_RESNET_V2, "MobileNet": MOBILENET}


@cache
def network(name: str) -> Any:
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(None, None, 3))


@cache
def fields(name: str, size: int) -> Fields:
    return propagate(graph_of(network(name), (size, size, 3)))


def layer_named(graph: Graph, name: str) -> str:
    """The path of "conv 2", the end of the third convolution with its activation, or the name itself."""
    kind, _, number = name.partition(" ")
    if not number:
        return name
    wanted = {"conv": "Activation", "pool": "MaxPooling2D"}[kind]
    return [c.path for c in graph.calls if c.kind == wanted][int(number)]


def flops_up_to(graph: Graph, path: str) -> int:
    """Operations of the call and of everything that it depends on, without activations' and paddings' own."""
    wanted, reached = [graph.find(path).index], set()
    while wanted:
        index = wanted.pop()
        if index not in reached:
            reached.add(index)
            wanted.extend(s.call for s in graph.calls[index].inputs)
    table = costs_of(graph)
    return sum(table.rows[i].flops or 0 for i in reached)


@pytest.mark.parametrize("size", [224, 321])
@pytest.mark.parametrize("name", NETS)
def test_fields_strides_and_paddings_are_the_published_ones(name: str, size: int) -> None:
    found = fields(name, size)
    for layer, row in NETS[name].items():
        padding = row[2] if size == 224 else row[3]
        field = field_of(found, layer_named(found.graph, layer))
        for axis in field.axes:
            assert (axis.size, axis.stride) == row[:2], layer
            assert padding is None or axis.offset == -padding, layer
            assert axis.is_aligned
            assert axis.is_dense


# Keras' own padding makes smaller maps than "same" at odd sizes, so that MobileNet is compared at 224 only
@pytest.mark.parametrize(("name", "size"), [(n, s) for n in NETS for s in (224, 321) if (n, s) != ("MobileNet", 321)])
def test_flops_are_the_published_ones(name: str, size: int) -> None:
    graph = fields(name, size).graph
    for layer, row in NETS[name].items():
        published = row[4] if size == 224 else row[5]
        ours = flops_up_to(graph, layer_named(graph, layer)) / 1e9
        # half a per cent, and half a unit of the last printed digit
        assert abs(ours - published) <= 0.005 * published + 0.0005, (layer, ours, published)


# the last unit of each of the four stages, and its field
RESNETS = {
    "ResNet50": (("2_block3", 35), ("3_block4", 99), ("4_block6", 291), ("5_block3", 483)),
    "ResNet101": (("2_block3", 35), ("3_block4", 99), ("4_block23", 835), ("5_block3", 1027)),
    "ResNet152": (("2_block3", 35), ("3_block8", 163), ("4_block36", 1315), ("5_block3", 1507)),
}


@pytest.mark.parametrize("name", RESNETS)
def test_resnet_blocks_end_with_the_published_fields(name: str) -> None:
    """Keras puts the stride at the start of a stage: block ends have strides 4, 8, 16, 32 instead of 8, 16, 32, 32."""
    found = fields(name, 224)
    for stride, (unit, size) in zip((4, 8, 16, 32), RESNETS[name], strict=True):
        for axis in field_of(found, f"conv{unit}_out").axes:
            assert (axis.size, axis.stride) == (size, stride)
    assert (
        field_of(found, "conv5_block3_out").axes[0].offset
        == {
            "ResNet50": -241,
            "ResNet101": -513,
            "ResNet152": -753,
        }[name]
    )
