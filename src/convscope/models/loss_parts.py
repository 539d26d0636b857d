"""A keras.Model whose loss is a sum of named parts, each logged as a metric; and one whose output is that loss."""

from __future__ import annotations

from typing import Any

from convscope.backend.selection import load_keras

keras = load_keras()
ops = keras.ops
_Model: Any = keras.Model


class LossParts(_Model):
    """Base of the training models of detectors.

    Args:
        detector: the functional inference model; its layers learn.
        names: of the parts; a metric "<part>_loss" tells each one's mean.
        name: of the model.
    """

    def __init__(self, detector: Any, names: tuple[str, ...], *, name: str) -> None:
        """Hold the detector and one mean for each part."""
        super().__init__(name=name)
        self.detector = detector
        self.part_means = [keras.metrics.Mean(name=f"{part}_loss") for part in names]
        self.built = True  # its layers are

    def parts(self, y: Any, y_pred: Any, training: bool) -> dict[str, Any]:
        """Each part's weighted loss, a scalar; its order is the order of the names."""
        raise TypeError(f"expected a model that defines its loss parts, got {type(self).__name__}")

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The sum of the parts and of the layers' own penalties; called by `fit` and `evaluate`."""
        values = self.parts(y, y_pred, training)
        total = ops.sum(ops.stack(list(values.values())))
        for mean, value in zip(self.part_means, values.values()):
            mean.update_state(ops.stop_gradient(value))
        for penalty in self.losses:
            total = total + penalty
        return total


class LossOutput(_Model):
    """A training model whose one output is its loss, so that layers which only the loss runs can be looked at too.

    Takes {"images", "boxes", "labels"} and gives (n,) times the loss of the batch. It shares all layers and is never
    saved.

    Args:
        training: the training model of a detector.
    """

    def __init__(self, training: LossParts) -> None:
        """Hold the training model."""
        super().__init__(name="loss_output")
        self.inner = training
        self.built = True  # its layers are

    def call(self, given: dict[str, Any]) -> Any:
        """The sum of the parts as in inference, without penalties on weights."""
        found = self.inner(given["images"], training=False)
        parts = self.inner.parts(given, found, False)
        return ops.broadcast_to(ops.sum(ops.stack(list(parts.values()))), (given["images"].shape[0],))
