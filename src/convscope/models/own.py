"""Builders of the networks that convscope defines itself: the simple CNN and EfficientNet-Lite0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import PlanError
from convscope.models.efficientnet_lite import LAST_LAYER, lite0_features, lite0_layer_weights
from convscope.models.load_weights import load_weights
from convscope.models.network import Network, Wanted, as_network
from convscope.models.parts import OUTPUTS, PIXELS, grey_to_rgb, penalty, pooled_head, seeds_from
from convscope.models.simple_cnn import SimpleCnnOptions, simple_cnn
from convscope.models.stages import stages_of
from convscope.models.torch_file import read_torch_file
from convscope.models.weights import existing_file, lite0_weights

keras = load_keras()

BLOCK = r"^(block\d+|stem|head)_"


def build_simple_cnn(wanted: Wanted) -> Network:
    """The simple CNN; its weights are drawn at random unless a file is named."""
    options = wanted.options or SimpleCnnOptions()
    model = simple_cnn(
        (*wanted.input_hw, wanted.channels),
        outputs=wanted.outputs,
        output_activation=wanted.output_activation,
        options=options,
        dropout=wanted.dropout,
        penalties=wanted.penalties,
        seed=wanted.seed,
    )
    path = wanted.weights_file
    if path is not None:
        load_weights(model, existing_file(path, wanted.name))
    last = [layer.name for layer in model.layers if len(getattr(layer.output, "shape", ())) == 4][-1]
    return as_network(
        wanted,
        model,
        feature_layer=last,
        stages=stages_of(model, BLOCK),
        pretrained=str(path or ""),
        native=options.head == "average",
    )


def build_lite0(wanted: Wanted) -> Network:
    """EfficientNet-Lite0 with a new head; the published weights, a file or random ones."""
    pixels = keras.Input((*wanted.input_hw, wanted.channels), name=PIXELS)
    seeds, regularizer = seeds_from(wanted.seed), penalty(*wanted.penalties)
    rgb = grey_to_rgb(pixels) if wanted.channels == 1 else pixels
    features = lite0_features(rgb, regularizer=regularizer, seeds=seeds)
    outputs = pooled_head(
        features,
        outputs=wanted.outputs,
        activation=wanted.output_activation,
        dropout=wanted.dropout,
        regularizer=regularizer,
        seeds=seeds,
    )
    model = keras.Model(pixels, outputs, name="efficientnet_lite0")
    pretrained = _fill_lite0(model, wanted)
    return as_network(
        wanted, model, feature_layer=LAST_LAYER, stages=stages_of(model, BLOCK), pretrained=pretrained, native=True
    )


def _fill_lite0(model: Any, wanted: Wanted) -> str:
    if wanted.weights == "none":
        return ""
    named = wanted.weights_file
    path = lite0_weights() if named is None else existing_file(named, wanted.name)
    if path.suffix == ".pth":
        _set_published(model, path)
    else:
        load_weights(model, path)
    return "ImageNet" if named is None else str(path)


def _set_published(model: Any, path: Path) -> None:
    for name, values in lite0_layer_weights(read_torch_file(path)).items():
        layer = model.get_layer(name)
        if [tuple(w.shape) for w in layer.weights] == [v.shape for v in values]:
            layer.set_weights(values)
        elif name != OUTPUTS:  # a head for other classes starts anew
            raise PlanError(f"{path}: {name} has other shapes than EfficientNet-Lite0's")


def imagenet_lite0(input_hw: tuple[int, int] = (224, 224)) -> Network:
    """EfficientNet-Lite0 as published, with its own 1,000 ImageNet classes (index = rank of the sorted WordNet ids)."""
    wanted = Wanted(
        name="efficientnet-lite0",
        outputs=1000,
        output_activation="softmax",
        input_hw=input_hw,
        channels=3,
        weights="imagenet",
        download=False,
        dropout=0.2,
        penalties=(0.0, 0.0),
        options=None,
        seed=0,
    )
    return build_lite0(wanted)
