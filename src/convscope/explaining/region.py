"""A segmenter asked about one region of each picture: a model of pictures and regions that gives one score each."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras
from convscope.errors import ModelError

keras = load_keras()
TINY = 1e-7
SOURCE = "Seg-Grad-CAM: Vinogradova, Dibrov and Myers 2020, equation 2"


def region_model(segmenter: Any) -> tuple[Any, str]:
    """A model of (pictures, regions) -> (n, 1): the mean score of a class over a region. Layers are shared.

    The score is the value before a final Softmax layer, as the source has it; where the last layer has its softmax
    inside, it is the logarithm of the probability.

    Args:
        segmenter: (n, h, w, c) -> (n, h, w, k) probabilities, or (n, h, w, slices, k); functional or sequential.

    Returns:
        The model, whose second input are float32 weights of the output's shape, 0 but for the class asked about; and
        what the score is: "logit" or "log probability".

    Raises:
        ModelError: another output.
    """
    shape = tuple(getattr(segmenter, "output_shape", ()))
    if len(shape) not in (4, 5) or None in shape[1:]:
        raise ModelError(f"expected a segmenter with an output (n, height, width, classes), got {shape}")
    output = segmenter.outputs[0]
    last = segmenter.layers[-1]
    if isinstance(last, keras.layers.Softmax) and last.output is output:
        scores, kind = last.input, "logit"
    else:
        scores, kind = keras.ops.log(output + TINY), "log probability"
    regions = keras.Input(shape[1:], name="regions_asked")
    axes = tuple(range(1, len(shape)))
    inside = keras.ops.sum(keras.ops.cast(scores, "float32") * regions, axis=axes)
    whole = keras.ops.maximum(keras.ops.sum(regions, axis=axes), TINY)
    score = keras.ops.expand_dims(inside / whole, -1)
    return keras.Model([segmenter.inputs[0], regions], score, name="region_score"), kind
