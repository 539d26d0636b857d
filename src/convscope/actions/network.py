"""From a plan, or from a user's own Keras model, to a network that can be trained on given samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from convscope.backend.selection import load_keras
from convscope.data.arrays import check_pixels
from convscope.draw.numbers import count
from convscope.errors import ModelError, PlanError
from convscope.models.catalogue import MODELS
from convscope.models.network import Network, build_network
from convscope.models.simple_cnn import SimpleCnnOptions
from convscope.records.geometry import Preprocess
from convscope.records.samples import Samples, Task
from convscope.tasks.recover import recover_task
from convscope.tasks.rules import TASKS
from convscope.training.plan import Plan

OWN = "user's own model"


@dataclass(frozen=True, eq=False)
class Prepared:
    """What will be trained.

    Attributes:
        trained: a Network of the catalogue, or the user's own keras.Model.
        preprocess: how pictures become its input.
        name: catalogue name, or OWN.
        notes: what was decided and should be said.
        output_kind: what its outputs are, where its end does not say it (boxes, masks); "" where it does.
    """

    trained: Any
    preprocess: Preprocess
    name: str
    notes: tuple[str, ...] = ()
    output_kind: Literal["", "boxes", "masks"] = ""

    @property
    def model(self) -> Any:
        """The keras.Model."""
        return self.trained.model if isinstance(self.trained, Network) else self.trained

    @property
    def without_training(self) -> Any:
        """The same layers as a model that was never compiled: its file needs no class of convscope.

        One's own model stays as it is, with its own optimizer and loss.
        """
        if not isinstance(self.trained, Network):
            return self.trained
        model = self.trained.model
        return load_keras().Model(model.input, model.output, name=model.name)

    @property
    def feature_layer(self) -> str:
        """Name of the last layer with spatial extent, "" when there is none."""
        if isinstance(self.trained, Network):
            return self.trained.feature_layer
        spatial = [layer.name for layer in self.model.layers if _is_spatial(layer)]
        return spatial[-1] if spatial else ""


def _is_spatial(layer: Any) -> bool:
    shape = getattr(getattr(layer, "output", None), "shape", ())
    return len(shape) == 4 and not getattr(layer, "layers", None)


def prepare(plan: Plan, samples: Samples, own: Any = None) -> Prepared:
    """Build the plan's network for these samples, or take the user's own model as it is.

    Raises:
        PlanError, ModelError, WeightsNotFoundError: what can't be built, and why.
    """
    return take_own(own, plan, samples) if own is not None else _build(plan, samples)


def _build(plan: Plan, samples: Samples) -> Prepared:
    entry = MODELS.get(plan.model)
    options = None
    if entry.name == "simple-cnn":
        options = SimpleCnnOptions(**plan.simple_cnn_options())
    rules = TASKS[samples.task]
    network = build_network(
        entry.name,
        outputs=rules.units(samples.classes),
        output_activation=rules.activation,
        input_hw=plan.size_hw,
        channels=plan.channels or 3,
        weights=plan.weights if entry.weights or plan.weights != "imagenet" else "none",
        download=plan.download,
        dropout=plan.dropout,
        l1=plan.l1,
        l2=plan.l2,
        options=options,
        seed=plan.seed,
    )
    preprocess = replace(network.preprocess, fit=plan.fit)
    check_pixels(samples, preprocess)
    words = network.pretrained or "random weights"
    return Prepared(
        network, preprocess, entry.name, (f"{entry.name}, {count(network.parameters)} parameters, {words}",)
    )


def take_own(model: Any, plan: Plan, samples: Samples) -> Prepared:
    """A user's own model, with how pictures become its input.

    Raises:
        ModelError, PlanError: what it does not say of itself.
    """
    if not hasattr(samples.pictures, "path"):
        _, _, channels = _input_shape(model)
        plain = Preprocess(None, None, channels or 3, fit="as-is")
        return Prepared(model, plain, OWN, ("arrays are given to the model exactly as they are",))
    preprocess, words = own_preprocess(model, plan)
    return Prepared(model, preprocess, OWN, (f"pixels are given to the model as {words}",))


def own_preprocess(model: Any, plan: Plan) -> tuple[Preprocess, str]:
    """How picture files become the input of a user's own model, and the range of its values in words.

    Raises:
        ModelError, PlanError: what it does not say of itself.
    """
    height, width, channels = _input_shape(model)
    if height is None or width is None:
        if plan.size_hw is None:
            raise PlanError(f"expected image_size in the plan: {model.name} takes pictures of any size")
        height, width = plan.size_hw
    scale, offset, words = _value_scale(model, plan)
    return Preprocess(height, width, channels or 3, plan.fit, scale=scale, offset=offset), words


def _input_shape(model: Any) -> tuple[int | None, int | None, int | None]:
    if not isinstance(model, load_keras().Model):
        raise ModelError(f"expected model as a name or a keras.Model, got {type(model).__name__}")
    if not getattr(model, "inputs", None):
        raise ModelError(
            f"expected a model whose input shape is known, {model.name} has none yet; begin it with keras.Input, "
            "or call it once on a batch"
        )
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ModelError(
            f"expected a model with one input of shape (n, height, width, channels), {model.name} takes "
            f"{[tuple(i.shape) for i in model.inputs]}; train it with its own fit and convscope.callbacks"
        )
    _, height, width, channels = model.inputs[0].shape
    if channels not in (1, 3, None):
        raise ModelError(f"expected 1 or 3 channels, last, for pictures from files; {model.name} takes {channels}")
    return height, width, channels


def _value_scale(model: Any, plan: Plan) -> tuple[float, float, str]:
    """Pixel values for a user's own model: the plan's value_range, else 0..255 if it rescales itself, else 0..1."""
    if plan.value_range is not None:
        low, high = plan.value_range
        return (high - low) / 255.0, low, f"{low:g}..{high:g} (value_range)"
    rescales = any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in model.layers[:3])
    if rescales:
        return 1.0, 0.0, "0..255, because it begins with a layer that rescales"
    return 1.0 / 255.0, 0.0, "0..1, the usual range; set value_range in the plan for another one"


def own_task(model: Any, plan: Plan) -> Task | None:
    """The task of a user's own model: the plan's, else read from its loss and last layer."""
    if plan.task != "auto":
        return plan.task
    return recover_task(model) if getattr(model, "loss", None) is not None else None


def as_model_input(images: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Pixels 0..255 (n, h, w, c) to what the model takes, float32."""
    values = np.asarray(images, np.float32)
    if (preprocess.scale, preprocess.offset) == (1, 0):
        return values
    return values * np.float32(preprocess.scale) + np.float32(preprocess.offset)
