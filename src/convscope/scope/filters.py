"""The kernels of one layer as arrays that can be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.records.features import Filters
from convscope.records.provenance import Provenance
from convscope.scope.paths import operations_by_path, select


def filters(model: Any, layer: str, *, provenance: Provenance | None = None) -> Filters:
    """The kernels of the layer at this path, one per filter, channels last.

    A depthwise layer has one filter per input channel and multiplier, each seeing one channel; of a separable layer
    the depthwise kernels are meant; the depth of Conv3D is laid out along the height; Dense has 1 x 1 kernels.

    Raises:
        UnknownLayerError: no such layer. ModelError: the layer has no kernel, or no weights yet.
    """
    by_path = operations_by_path(model)
    name = select(layer, by_path, by_path)[0]
    found = by_path[name.split("#")[0]]
    if not getattr(found, "built", True):
        raise ModelError(f"layer {name!r} has no weights yet; call the model on pictures or model.build(shape) first")
    kernels = kernel_array(found)
    if kernels is None:
        kinds = "convolution and dense layers"
        raise ModelError(f"expected a layer with kernels ({kinds}), got {type(found).__name__} {name!r}")
    bias = getattr(found, "bias", None)
    return Filters(
        layer=name,
        kind=type(found).__name__,
        kernels=kernels,
        bias=None if bias is None else to_numpy(load_keras().ops.convert_to_tensor(bias)).astype(np.float32),
        norms=np.sqrt((kernels.astype(np.float64) ** 2).sum(axis=(1, 2, 3))).astype(np.float32),
        provenance=provenance or Provenance(),
    )


def kernel_array(layer: Any) -> np.ndarray | None:
    """(filters, height, width, input channels) float32, or None for a layer without kernels."""
    name = "depthwise_kernel" if hasattr(layer, "depthwise_kernel") else "kernel"
    variable = getattr(layer, name, None)
    if variable is None:
        return None
    kernel = to_numpy(load_keras().ops.convert_to_tensor(variable)).astype(np.float32)
    kind = type(layer).__name__
    if kernel.ndim == 2:  # Dense: inputs, units
        return kernel.T[:, None, None, :].copy()
    if kernel.ndim < 3 or kernel.ndim > 5:
        return None
    if "Transpose" in kind:
        kernel = np.swapaxes(kernel, -1, -2)  # Keras keeps (..., output, input) there
    if "Depthwise" in kind or "Separable" in kind:
        kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)  # each filter sees one input channel
    *space, channels, count = kernel.shape
    height = int(np.prod(space[:-1])) if len(space) > 1 else 1
    return np.moveaxis(kernel.reshape(height, space[-1], channels, count), -1, 0).copy()
