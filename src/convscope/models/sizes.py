"""The same network for pictures of any size, where it ends in global pooling."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError

keras = load_keras()

# their output depends on the picture's size in a way that the layers after them can't take
FIXED = ("Flatten", "Reshape", "Permute", "Cropping2D", "CenterCrop", "Resizing")


def takes_any_size(model: Any) -> Any:
    """Rewire a model on an input without height and width, layers shared: (n, any h, any w, c) -> its outputs.

    Padding that Keras chose for the size the network was built for (stems of MobileNet, EfficientNet) stays as it is.

    Raises:
        ModelError: the model has several inputs, or a layer that fixes the size.
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ModelError(f"expected a model of one picture (n, height, width, channels), got inputs {shape}")
    for layer in model.layers:
        if type(layer).__name__ in FIXED:
            raise ModelError(
                f"expected a network that ends in global pooling, {model.name} has {layer.name} "
                f"({type(layer).__name__}), which fixes the size to {shape[1]}x{shape[2]}; predict at that size"
            )
    pixels = keras.Input((None, None, shape[3]), name="pixels_any_size")
    return keras.models.clone_model(model, input_tensors=pixels, clone_function=lambda layer: layer)
