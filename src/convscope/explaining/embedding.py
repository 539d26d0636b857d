"""A model cut off at an inner layer: what it makes of a picture there, to explain likeness to another picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ModelError
from convscope.records.card import Opened
from convscope.scope.calls import around_calls
from convscope.scope.tap import Probe

keras = load_keras()
_Model: Any = keras.Model


class Embedding(_Model):
    """Any Keras model, nested and shared layers included, whose output is one inner layer's values, flat (n, d).

    Explain it with `convscope.scope.aims.similarity(embedding.of(picture))` as target; the model inside stays as it is.

    Args:
        model: a Keras model, or an Opened.
        layer: path of the layer; of a shared layer the first call counts.
        images: pictures, where the model does not say its input shape.

    Raises:
        UnknownLayerError: no such layer. ModelError: not a Keras model, or a layer that gives several tensors.
    """

    def __init__(self, model: Any, layer: str, images: Any = None) -> None:
        """Find the layer; nothing is run but the trace."""
        probe = Probe(model)
        call = probe.call(layer, images)
        if len(call.output_shapes) != 1 or call.steps != 1:
            raise ModelError(f"expected a layer that gives one tensor once per picture, got {call.name!r}")
        super().__init__(name=f"{probe.model.name}_at_{call.path.replace('/', '_')}")
        self.inner = model.model if isinstance(model, Opened) else model
        self._path, self._chosen, self._number = call.path, call.layer, call.number
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Run the model as it is and hand out what the layer gave."""
        found: list[Any] = []

        def around(path: str, layer: Any, original: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
            result = original(*args, **kwargs)
            found.append(result)
            return result

        with around_calls({self._path: self._chosen}, around):
            takes = getattr(self.inner, "_call_has_training_arg", False)
            self.inner(inputs, training=False) if takes else self.inner(inputs)
        values = keras.tree.flatten(found[self._number])[0]
        return keras.ops.reshape(values, (keras.ops.shape(values)[0], -1)) if len(values.shape) > 2 else values

    def of(self, picture: Any) -> np.ndarray:
        """(d,) the embedding of one picture (h, w, c) as the model takes it."""
        found = Probe(self).outputs(np.asarray(picture, np.float32)[None])[0]
        return np.asarray(found[0], np.float32)
