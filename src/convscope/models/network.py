"""Network: a built model and what others must know of it; frozen and thawed by stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError, PlanError
from convscope.models.catalogue import MODELS
from convscope.models.parts import OUTPUTS, POOLED
from convscope.models.simple_cnn import SimpleCnnOptions
from convscope.models.sizes import takes_any_size
from convscope.records.geometry import Preprocess

keras = load_keras()


@dataclass(frozen=True)
class Wanted:
    """A request to a builder of the catalogue; the fields of `build_network`, checked."""

    name: str
    outputs: int
    output_activation: str
    input_hw: tuple[int, int]
    channels: int
    weights: str
    download: bool
    dropout: float
    penalties: tuple[float, float]
    options: SimpleCnnOptions | None
    seed: int

    @property
    def weights_file(self) -> Path | None:
        """The file of weights when one was named."""
        return None if self.weights in ("imagenet", "none") else Path(self.weights)


@dataclass(frozen=True, eq=False)
class Network:
    """A built network.

    Attributes:
        model: a flat, plain keras.Model: (n, h, w, channels) float32 pixels 0..255 -> (n, outputs).
        name: its catalogue name.
        feature_layer: name of the last layer with spatial extent.
        pooled_layer: name of the layer whose output the head reads, (n, features).
        stages: layers of the backbone that hold weights, grouped from input to output.
        preprocess: the frame it was built for.
        native_size_ok: whether it takes pictures of other sizes (it ends in global pooling, and its branches fit).
        pretrained: where its weights came from, in words; "" when drawn at random.
        head: names of the layers after `pooled_layer`.
    """

    model: Any
    name: str
    feature_layer: str
    pooled_layer: str
    stages: tuple[tuple[str, ...], ...]
    preprocess: Preprocess
    native_size_ok: bool
    pretrained: str
    head: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many numbers its weights hold."""
        return int(self.model.count_params())


def build_network(
    name: str,
    *,
    outputs: int,
    output_activation: str,
    input_hw: tuple[int, int] | None = None,
    channels: int = 3,
    weights: str = "imagenet",
    download: bool = False,
    dropout: float = 0.2,
    l1: float = 0.0,
    l2: float = 0.0,
    options: SimpleCnnOptions | None = None,
    seed: int = 0,
) -> Network:
    """Build a network of the catalogue.

    Args:
        name: catalogue name ("simple-cnn", "efficientnet-lite0", "resnet50", ...).
        outputs: how many numbers come out, at least 1.
        output_activation: of the last layer: "softmax", "sigmoid" or "linear".
        input_hw: picture height and width in pixels; None for the network's own.
        channels: 3 for RGB, 1 for grey (repeated to 3 inside pretrained networks).
        weights: "imagenet", "none", or the path of a file of weights. simple-cnn has no "imagenet": random instead.
        download: fetch missing weights from Keras' own addresses.
        dropout: share of features dropped before the last layer, 0..1.
        l1: penalty on the absolute value of every kernel weight.
        l2: penalty on its square.
        options: for simple-cnn only.
        seed: of everything drawn at random.

    Raises:
        UnknownNameError: no such network.
        WeightsNotFoundError: weights that are not on this machine.
        PlanError: options that can't work.
    """
    entry = MODELS.get(name)
    height, width = input_hw if input_hw is not None else entry.default_hw
    hw = (height, width)
    _check(entry.name, (outputs, dropout, l1, l2), hw=hw, minimum=entry.minimum_px, channels=channels)
    if options is not None and entry.name != "simple-cnn":
        raise PlanError(f"expected options of simple-cnn only with simple-cnn, got them with {entry.name}")
    wanted = Wanted(
        name=entry.name,
        outputs=outputs,
        output_activation=output_activation,
        input_hw=hw,
        channels=channels,
        weights=str(weights),
        download=download,
        dropout=dropout,
        penalties=(l1, l2),
        options=options,
        seed=seed,
    )
    return entry.load_builder()(wanted)


def _check(
    name: str, numbers: tuple[int, float, float, float], *, hw: tuple[int, int], minimum: int, channels: int
) -> None:
    outputs, dropout, l1, l2 = numbers
    if outputs < 1:
        raise PlanError(f"expected at least 1 output, got {outputs}")
    if not 0 <= dropout < 1:
        raise PlanError(f"expected dropout in 0..1, below 1, got {dropout}")
    if l1 < 0 or l2 < 0:
        raise PlanError(f"expected l1 and l2 of at least 0, got {l1} and {l2}")
    if min(hw) < minimum:
        raise PlanError(f"expected pictures of at least {minimum}x{minimum} pixels for {name}, got {hw[0]}x{hw[1]}")
    if channels not in (1, 3):
        raise PlanError(f"expected 1 (grey) or 3 (RGB) channels, got {channels}")


def as_network(
    wanted: Wanted, model: Any, *, feature_layer: str, stages: Any, pretrained: str, native: bool
) -> Network:
    """Wrap a model that ends in `pooled` and a dense head, as all builders make it."""
    names = [layer.name for layer in model.layers]
    height, width = wanted.input_hw
    return Network(
        model=model,
        name=wanted.name,
        feature_layer=feature_layer,
        pooled_layer=POOLED,
        stages=tuple(tuple(stage) for stage in stages),
        preprocess=Preprocess(height, width, wanted.channels),
        native_size_ok=native,
        pretrained=pretrained,
        head=tuple(names[names.index(POOLED) + 1 :]),
    )


def feature_extractor(network: Network) -> Any:
    """The network up to its pooled features, layers shared: pixels -> (n, features)."""
    pooled = network.model.get_layer(network.pooled_layer)
    return keras.Model(network.model.input, pooled.output, name=f"{network.model.name}_features")


def head_of(network: Network) -> Any:
    """The network after its pooled features, layers shared: (n, features) -> (n, outputs)."""
    pooled = network.model.get_layer(network.pooled_layer).output
    x = features = keras.Input(pooled.shape[1:], dtype=pooled.dtype, name="features")
    for name in network.head:
        x = network.model.get_layer(name)(x)
    return keras.Model(features, x, name=f"{network.model.name}_head")


def any_size(network: Network) -> Any:
    """The same model for pictures of any size, layers shared: (n, any h, any w, channels) -> (n, outputs).

    Raises:
        ModelError: the network takes one size only.
    """
    if not network.native_size_ok:
        raise ModelError(f"expected a network that takes pictures of any size, {network.name} does not")
    return takes_any_size(network.model)


def freeze_backbone(network: Network) -> None:
    """Let only the head learn; batch norm of the backbone then runs in inference mode (Keras' own rule)."""
    for layer in network.model.layers:
        layer.trainable = layer.name in network.head or layer.name == OUTPUTS


def unfreeze_last(network: Network, depth: int, *, batch_norm: bool = False) -> int:
    """Let the head and the last `depth` stages learn, the rest stay frozen.

    Args:
        network: as built.
        depth: how many stages, from the output; 0 for the head alone, more than there are for all of them.
        batch_norm: let batch norm learn there too. By default it stays in inference mode with its statistics fixed,
            since small batches would ruin the ones that came with the weights.

    Returns:
        How many stages learn now.
    """
    if depth < 0:
        raise PlanError(f"expected a depth of at least 0 stages, got {depth}")
    freeze_backbone(network)
    chosen = network.stages[len(network.stages) - min(depth, len(network.stages)) :]
    for name in (name for stage in chosen for name in stage):
        layer = network.model.get_layer(name)
        layer.trainable = batch_norm or not isinstance(layer, keras.layers.BatchNormalization)
    return len(chosen)
