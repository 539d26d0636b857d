"""Builder of the keras.applications networks: backbone, its value scaling and a new head in one flat graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convscope.backend.selection import load_keras
from convscope.models.backbones import BACKBONES, Backbone
from convscope.models.load_weights import load_weights
from convscope.models.network import Network, Wanted, as_network
from convscope.models.parts import PIXELS, POOLED, grey_to_rgb, penalty, pooled_head, seeds_from
from convscope.models.scaling import normalization, scaled
from convscope.models.stages import stages_of
from convscope.models.weights import existing_file, keras_weights

keras = load_keras()

PENALIZED = ("kernel_regularizer", "depthwise_regularizer", "pointwise_regularizer")


def build(wanted: Wanted) -> Network:
    """A network of keras.applications without its top, with a new head."""
    backbone = BACKBONES[wanted.name]
    notop, whole = _weight_files(wanted, backbone)
    source = _source(backbone, wanted.input_hw, notop)
    pixels = keras.Input((*wanted.input_hw, wanted.channels), name=PIXELS)
    rgb = grey_to_rgb(pixels) if wanted.channels == 1 else pixels
    seeds, regularizer = seeds_from(wanted.seed), penalty(*wanted.penalties)
    copy = _Copy(backbone, seeds, regularizer)
    features = copy.onto(source, pixels, scaled(rgb, backbone.scaling))
    outputs = pooled_head(
        features,
        outputs=wanted.outputs,
        activation=wanted.output_activation,
        dropout=wanted.dropout,
        regularizer=regularizer,
        seeds=seeds,
    )
    model = keras.Model(pixels, outputs, name=wanted.name.replace("-", "_"))
    if notop is not None:
        copy.take_weights(source)
    if whole is not None:
        load_weights(model, whole)
    names = [layer.name for layer in model.layers]
    return as_network(
        wanted,
        model,
        feature_layer=names[names.index(POOLED) - 1],
        stages=stages_of(model, backbone.stage),
        pretrained="ImageNet" if wanted.weights == "imagenet" else str(notop or whole or ""),
        native=not wanted.name.startswith("nasnet"),  # its branches meet only at sizes it was built for
    )


def _weight_files(wanted: Wanted, backbone: Backbone) -> tuple[Path | None, Path | None]:
    """The no-top file as Keras publishes it, or a file of this very network; at most one of them."""
    if wanted.weights == "none":
        return None, None
    if wanted.weights_file is None:
        return keras_weights(wanted.name, backbone.weights, download=wanted.download), None
    path = existing_file(wanted.weights_file, wanted.name)
    published = path.suffix == ".h5" and not path.name.endswith(".weights.h5")
    return (path, None) if published else (None, path)


def _source(backbone: Backbone, hw: tuple[int, int], path: Path | None) -> Any:
    """The backbone as Keras builds it, on its own input."""
    model = getattr(keras.applications, backbone.constructor)(weights=None, include_top=False, input_shape=(*hw, 3))
    if path is not None:
        load_weights(model, path)
    return model


class _Copy:
    """Replays a backbone layer by layer on another input; the copies keep to plain Keras.

    Three things change: automatic names ("conv2d_93") count from 1, so that a network always has the same names;
    initialisers get seeds and kernels their penalty; EfficientNet's learned Normalization becomes its constants.
    """

    def __init__(self, backbone: Backbone, seeds: Iterator[int], regularizer: Any) -> None:
        self._constants = backbone.scaling == "efficientnet"
        self._seeds = seeds
        self._regularizer = keras.regularizers.serialize(regularizer) if regularizer else None
        self._counts: Counter[str] = Counter()
        self._copies: dict[str, Any] = {}

    def onto(self, source: Any, pixels: Any, values: Any) -> Any:
        """Replay `source` on `values`, which were made from the input tensor `pixels`; returns its last tensor."""

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            args = tuple(values if arg is pixels else arg for arg in args)
            if args and isinstance(args[0], (list, tuple)):
                args = ([values if arg is pixels else arg for arg in args[0]], *args[1:])
            return layer(*args, **kwargs)

        copied = keras.models.clone_model(source, input_tensors=pixels, clone_function=self._layer, call_function=call)
        return copied.output

    def take_weights(self, source: Any) -> None:
        """Give each copy the values of the layer it was made from."""
        for layer in source.layers:
            copy = self._copies.get(layer.name)
            if copy is not None and copy.weights:
                copy.set_weights(layer.get_weights())

    def _layer(self, layer: Any) -> Any:
        if self._constants and isinstance(layer, keras.layers.Normalization):
            copy = normalization(of_255=False)  # Keras' own Rescaling before it has divided by 255
        else:
            config = self._edited(layer.get_config())
            config["name"] = self._stable_name(layer)
            copy = type(layer).from_config(config)
        self._copies[layer.name] = copy
        return copy

    def _stable_name(self, layer: Any) -> str:
        kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()  # as Keras makes names from classes
        if not re.fullmatch(rf"{kind}(_\d+)?", layer.name):
            return str(layer.name)
        self._counts[kind] += 1
        return f"{kind}_{self._counts[kind]}"

    def _edited(self, config: Any) -> Any:
        """The config with a seed for each initialiser and drop-out that has none, and with the penalty."""
        if isinstance(config, list):
            return [self._edited(value) for value in config]
        if not isinstance(config, dict):
            return config
        edited = {key: self._edited(value) for key, value in config.items()}
        for key in edited:
            if key == "seed" and edited[key] is None:
                edited[key] = next(self._seeds)
            if key in PENALIZED and edited[key] is None:
                edited[key] = self._regularizer
        return edited
