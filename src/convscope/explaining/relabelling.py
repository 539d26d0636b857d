"""A network that learned nothing true: the same layers trained anew on shuffled labels, for the check of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import ModelError, PlanError
from convscope.records.progress import Progress, silent
from convscope.scope.batches import model_input_shapes

keras = load_keras()


@dataclass(frozen=True)
class Budget:
    """How long the twin learns: it stops at `enough` of the shuffled labels known by heart, or after `epochs`."""

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    enough: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0 or not 0 < self.enough <= 1:
            raise PlanError("expected epochs and batch_size of at least 1, learning_rate above 0, enough in 0..1")


@dataclass(frozen=True, eq=False)
class Relabelled:
    """The twin, the share of shuffled labels that it knows by heart, and how it came to be, in words."""

    model: Any
    accuracy: float
    words: str


def learned_shuffled_labels(
    model: Any, images: Any, truth: np.ndarray, *, budget: Budget | None = None, progress: Progress = silent
) -> Relabelled:
    """Train the model's layers from new weights on the same pictures with their labels shuffled.

    Args:
        model: a functional or sequential classifier; it stays as it was.
        images: (n, h, w, c) as the model takes them.
        truth: (n,) class indices; a one-unit head takes 0 and 1.
        budget: how long.
        progress: told after every epoch.

    Raises:
        ModelError: not a classifier with one output, or layers that can't be made anew.
        PlanError: truth that does not fit.

    Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, section 4.
    """
    how = budget or Budget()
    units = _units(model)
    labels = np.asarray(truth)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise PlanError(f"expected one class index for each of {len(images)} pictures, got shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= max(units, 2):
        raise PlanError(f"expected class indices from 0 to {max(units, 2) - 1}, got {labels.min()} to {labels.max()}")
    rng = np.random.Generator(np.random.Philox(key=how.seed))
    wrong = rng.permutation(labels)
    twin = _made_anew(model, rng)
    logits = _says_logits(model)
    loss = (keras.losses.BinaryCrossentropy if units == 1 else keras.losses.SparseCategoricalCrossentropy)(
        from_logits=logits
    )
    twin.compile(optimizer=keras.optimizers.Adam(how.learning_rate), loss=loss)
    known = 0.0
    for epoch in range(how.epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), how.batch_size):
            rows = order[start : start + how.batch_size]
            twin.train_on_batch(images[rows], wrong[rows].astype("float32" if units == 1 else "int32"))
        known = _accuracy(twin, images, wrong, units, logits, how.batch_size)
        progress("epochs on shuffled labels", epoch + 1, how.epochs)
        if known >= how.enough:
            progress("epochs on shuffled labels", how.epochs, how.epochs)
            break
    words = f"{epoch + 1} epochs on {len(labels)} pictures, {known:.0%} of the shuffled labels known by heart"
    return Relabelled(twin, known, words)


def _units(model: Any) -> int:
    outputs = getattr(model, "outputs", None)
    if not outputs or len(outputs) != 1 or len(outputs[0].shape) != 2 or len(model_input_shapes(model) or ()) != 1:
        raise ModelError("expected a functional classifier with one input and one output (n, classes) to train anew")
    return int(outputs[0].shape[1])


def _made_anew(model: Any, rng: np.random.Generator) -> Any:
    """The same architecture; kernels by He's rule from this seed, biases and norms as their layers begin."""
    try:
        twin = keras.models.clone_model(model)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ModelError(f"expected layers that can be made anew from their settings: {error}") from error
    twin.trainable = True
    for variable in twin.weights:
        name = variable.path.rpartition("/")[2]
        if "kernel" in name:
            inputs = variable.shape[:2] if "depthwise" in variable.path else variable.shape[:-1]
            variable.assign(rng.normal(0, np.sqrt(2 / max(1, int(np.prod(inputs)))), variable.shape))
    return twin


def _says_logits(model: Any) -> bool:
    last = model.layers[-1]
    shares = (keras.activations.softmax, keras.activations.sigmoid)
    return getattr(last, "activation", None) not in shares and not isinstance(last, keras.layers.Softmax)


def _accuracy(model: Any, images: Any, labels: np.ndarray, units: int, logits: bool, size: int) -> float:
    right = 0
    for start in range(0, len(labels), size):
        out = np.asarray(model.predict_on_batch(images[start : start + size]))
        says = (out[:, 0] > (0 if logits else 0.5)) if units == 1 else out.argmax(axis=1)
        right += int((says == labels[start : start + size]).sum())
    return right / len(labels)
