"""Plan: every choice of a training run, once; the command's options, the TOML file and the docs are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from convscope.errors import PlanError
from convscope.records.augmentation import Augmentation
from convscope.registry import nearest
from convscope.training import plan_text

GROUPS = ("recipe", "data", "network", "training", "schedule", "stopping", "head", "saving", "watch")


def _option(group: str, default: Any, words: str, **rules: Any) -> Any:
    """One field: its group, default, description and range; pydantic's Field with the group kept beside it."""
    return Field(default=default, description=words, json_schema_extra={"group": group}, **rules)


class Plan(BaseModel):
    """Every choice of a training run, frozen; all fields have defaults.

    Raises:
        PlanError: an unknown field (the nearest name is said) or a value out of its range, in one line.

    Example:
        >>> Plan(epochs=20, schedule="one-cycle").epochs
        20
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    # recipe
    recipe: Literal["", "quick", "balanced", "best"] = _option(
        "recipe",
        "",
        "A tried plan by task and number of pictures (docs/recipes.md); what you set yourself wins.",
    )

    # data
    task: Literal["auto", "classify", "multilabel", "regress", "detect", "segment"] = _option(
        "data", "auto", "What the truth means; auto takes what the data itself says."
    )
    image_size: int | tuple[int, int] | None = _option(
        "data", None, "Network frame in pixels: one side or [height, width]; unset takes the network's own size."
    )
    channels: Literal[1, 3] | None = _option("data", None, "3 for RGB, 1 for grey; unset takes the network's own.")
    fit: Literal["letterbox", "crop", "stretch"] = _option(
        "data",
        "letterbox",
        "How a picture fills the frame: letterbox keeps the aspect and pads, crop cuts the middle, stretch distorts.",
    )
    value_range: tuple[float, float] | None = _option(
        "data", None, "Darkest and brightest value of arrays given from Python, e.g. [0, 1]; files need none."
    )
    plane: Literal["axial", "coronal", "sagittal"] = _option(
        "data", "axial", "DICOM, NIfTI, NRRD: how volumes are cut, by the patient's axes; the network keeps it."
    )
    window: tuple[float, float] | None = _option(
        "data", None, "DICOM, NIfTI, NRRD: values that become black and white; unset: see docs/segmentation.md."
    )
    val_share: float = _option("data", 0.15, "Share of the pictures kept for validation.", ge=0, lt=1)
    test_share: float = _option("data", 0.15, "Share of the pictures kept for the final test.", ge=0, lt=1)
    leave_out: tuple[str, ...] = _option(
        "data", (), "Names of pictures to leave out, as the scan shows them; nothing is changed on disk."
    )
    folds: int = _option("data", 0, "Cross-validation with this many folds; 0 for one split.", ge=0, le=100)
    seed: int = _option("data", 0, "Seed of the split, the weights, the order and all augmentation.", ge=0, lt=2**31)
    strict: bool = _option("data", False, "Stop at the first bad picture instead of setting it aside by name.")
    reduced_decoding: bool = _option(
        "data", True, "Decode large JPEGs at a reduced size (up to 1/255 off on average, several times faster)."
    )
    cache_mb: int | None = _option(
        "data", None, "Memory for decoded pictures in MB; 0 for none; unset takes a quarter of what is free.", ge=0
    )
    workers: int = _option("data", 0, "Threads that decode pictures; 0 for one per processor.", ge=0, le=256)

    # network
    model: str = _option(
        "network",
        "efficientnet-lite0",
        "Name of the network; see `convscope models`. For boxes yolo-n, yolo-s, yolo-m, yolo or faster-rcnn, for masks "
        "unet, fpn or deeplab, each with +BACKBONE, or unet-3d for volumes; a classifier's name alone stands for "
        "yolo+NAME or unet+NAME.",
        min_length=1,
    )
    weights: str = _option("network", "imagenet", "imagenet, none, or a file with weights.", min_length=1)
    download: bool = _option("network", False, "Allow downloading pretrained weights.")
    dropout: float = _option("network", 0.2, "Share of features dropped before the last layer.", ge=0, lt=1)
    l1: float = _option("network", 0.0, "L1 penalty on the weights that convscope adds.", ge=0)
    l2: float = _option("network", 0.0, "L2 penalty on the weights that convscope adds.", ge=0)
    filters: tuple[int, ...] = _option("network", (32, 64, 128), "simple-cnn: filters of each block.", min_length=1)
    convs_per_block: int = _option("network", 1, "simple-cnn: convolutions before each pooling.", ge=1, le=8)
    kernel_size: int = _option("network", 3, "simple-cnn: side of the kernels in pixels.", ge=1, le=31)
    stride: int = _option("network", 1, "simple-cnn: step of each block's first convolution in pixels.", ge=1, le=8)
    padding: Literal["same", "valid"] = _option("network", "same", "simple-cnn: what happens at the border.")
    activation: str = _option("network", "relu", "simple-cnn: any Keras activation (relu, sigmoid, tanh, gelu ...).")
    initializer: Literal["he_normal", "he_uniform", "glorot_normal", "glorot_uniform"] = _option(
        "network", "he_normal", "simple-cnn: how kernels are drawn; glorot is also called Xavier."
    )
    pooling: Literal["max", "average"] = _option("network", "max", "simple-cnn: pooling after each block.")
    pool_size: int = _option("network", 2, "simple-cnn: side of the pooling window in pixels; 1 for none.", ge=1, le=8)
    batch_norm: bool = _option("network", True, "simple-cnn: batch normalisation after each convolution.")
    conv_dropout: float = _option("network", 0.0, "simple-cnn: share of maps dropped after each block.", ge=0, lt=1)
    cnn_head: Literal["average", "flatten"] = _option(
        "network", "average", "simple-cnn: average takes pictures of any size, flatten keeps places."
    )
    dense: tuple[int, ...] = _option("network", (), "simple-cnn: widths of hidden dense layers before the last.")

    pyramid_channels: int = _option("network", 96, "Boxes, fpn, deeplab: width of the neck's maps.", ge=8, le=1024)
    unet_depth: int = _option("network", 4, "unet without a backbone: how often the picture is halved.", ge=1, le=8)
    unet_width: int = _option("network", 16, "unet: maps of the finest level, doubled at each halving.", ge=4, le=256)
    unet_slices: int = _option("network", 16, "unet-3d: neighbouring slices of a block.", ge=2, le=256)
    decoder_norm: Literal["batch", "group", "none"] = _option(
        "network", "batch", "Masks: what follows each convolution of the decoder."
    )

    # training
    epochs: int = _option("training", 20, "Passes in which the network (or its last stages) is trained.", ge=0)
    batch_size: int = _option("training", 32, "Pictures per step.", ge=1, le=65536)
    optimizer: str = _option("training", "adam", "Any Keras optimizer by name (adam, adamw, sgd, lion ...).")
    learning_rate: float = _option("training", 1e-3, "Step size for the head and for training from scratch.", gt=0)
    fine_tune_learning_rate: float = _option("training", 1e-4, "Step size when pretrained stages are trained.", gt=0)
    find_learning_rate: bool = _option(
        "training", False, "Sweep the learning rate first and take the suggested one (Smith 2017)."
    )
    weight_decay: float = _option("training", 0.0, "Decoupled weight decay; biases and norms are left out.", ge=0)
    momentum: float = _option("training", 0.9, "Momentum, for sgd and rmsprop only.", ge=0, lt=1)
    clipnorm: float | None = _option("training", None, "Each gradient is shortened to at most this norm.", gt=0)
    loss: str = _option(
        "training",
        "auto",
        "Any Keras loss by name; auto takes the task's own. For masks cross_entropy, dice, tversky, focal, boundary or "
        "a sum such as dice+focal.",
    )
    label_smoothing: float = _option("training", 0.0, "Share of certainty taken from the labels.", ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = _option(
        "training", "none", "balanced: pictures of rare classes count more, each class the same in sum."
    )
    ema: float = _option("training", 0.0, "Average the weights with this momentum (0.99 ...); 0 for off.", ge=0, lt=1)
    mixed_precision: Literal["off", "float16", "bfloat16"] = _option(
        "training", "off", "Compute in 16 bits, keep weights in 32; for GPUs and TPUs."
    )
    deterministic: bool = _option("training", True, "Use operations that give the same bits in every run.")

    # schedule
    schedule: Literal["constant", "cosine", "step", "one-cycle", "plateau"] = _option(
        "schedule", "constant", "How the learning rate moves over the epochs of each phase."
    )
    warmup_epochs: float = _option("schedule", 0.0, "Epochs in which the rate rises from 0 to full.", ge=0)
    final_share: float = _option("schedule", 0.0, "cosine: share of the rate that is left at the end.", ge=0, le=1)
    step_epochs: int = _option("schedule", 10, "step: the rate falls every so many epochs.", ge=1)
    step_factor: float = _option("schedule", 0.1, "step: by this factor.", gt=0, lt=1)
    plateau_patience: int = _option("schedule", 3, "plateau: epochs without gain before the rate falls.", ge=1)
    plateau_factor: float = _option("schedule", 0.5, "plateau: by this factor.", gt=0, lt=1)
    calm_epochs: int = _option(
        "schedule",
        10,
        "Boxes: the last so many epochs, at most half of the last phase, run without mosaic, MixUp and CutMix.",
        ge=0,
    )

    # stopping
    patience: int = _option("stopping", 8, "Stop after this many epochs without gain; 0 never stops early.", ge=0)
    monitor: str = _option("stopping", "val_loss", "What must gain, as the log names it (val_loss, val_accuracy ...).")
    min_delta: float = _option("stopping", 0.0, "A smaller change is no gain.", ge=0)
    keep_best: bool = _option("stopping", True, "End with the weights of the best epoch instead of the last.")

    # head
    head_epochs: int = _option("head", 10, "Passes that train only the head on a frozen pretrained network.", ge=0)
    unfreeze: int = _option("head", 1, "Then train this many of the last stages; -1 for all, 0 for none.", ge=-1)
    cache_features: bool = _option(
        "head", True, "Run the frozen network once per picture (10x faster); the head then sees no augmentation."
    )

    # saving
    keep_checkpoints: int = _option("saving", 3, "How many checkpoints are kept besides the best.", ge=1)
    track: tuple[str, ...] = _option(
        "saving", (), "Follow the run elsewhere as well: tensorboard, mlflow, wandb, csv, jsonl."
    )
    checkpoint_minutes: float = _option("saving", 5.0, "At least one checkpoint in this many minutes.", gt=0)

    # watch
    watch_pictures: int = _option(
        "watch",
        4,
        "Pictures whose heat is drawn after each epoch, as a film strip in the report; 0 for none. Classifiers with at "
        "least 4 epochs only.",
        ge=0,
        le=32,
    )
    watch_method: str = _option("watch", "grad-cam", "How they are explained; see `convscope explain --list-methods`.")
    watch_every: int = _option("watch", 1, "Epochs between two looks.", ge=1)
    watch_layers: bool = _option(
        "watch",
        True,
        "Note once per epoch how each layer learns: gradient, saturation, size of a step. Runs with at least 4 "
        "epochs only.",
    )

    augment: Augmentation = Field(
        default_factory=Augmentation,
        description="Random changes of training pictures, drawn per sample; 0 or false is off.",
        json_schema_extra={"group": "augment"},
    )

    def __init__(self, **options: Any) -> None:
        """Check the options; pydantic's own error, which fills a screen, becomes one line."""
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise PlanError(plan_text.one_line(error, list(type(self).model_fields))) from error

    @field_validator("image_size")
    @classmethod
    def _positive_size(cls, value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        sides = (value,) if isinstance(value, int) else value or (1,)
        if min(sides) < 1 or max(sides) > 16384:
            raise PlanError(f"expected image_size between 1 and 16384 pixels, got {value}")
        return value

    @field_validator("channels", "image_size", "filters", "dense", mode="before")
    @classmethod
    def _typed_numbers(cls, value: Any) -> Any:
        return plan_text.numbers(value)

    @field_validator("filters", "dense")
    @classmethod
    def _positive_units(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(units < 1 for units in value):
            raise PlanError(f"expected every number of filters and units to be at least 1, got {list(value)}")
        return value

    @field_validator("value_range")
    @classmethod
    def _rising_range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise PlanError(f"expected value_range as [darkest, brightest] with darkest below brightest, got {value}")
        return value

    @field_validator("test_share")
    @classmethod
    def _shares_leave_training(cls, value: float, info: Any) -> float:
        val = info.data.get("val_share", 0.0)
        if val + value >= 1:
            raise PlanError(
                f"expected val_share + test_share below 1, got {val:g} + {value:g}; nothing is left to train"
            )
        return value

    @field_validator("augment", mode="before")
    @classmethod
    def _known_changes(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            known = [f.name for f in fields(Augmentation)]
            for name in value:
                if name not in known:
                    raise PlanError(f"unknown plan field 'augment.{name}'; {nearest(str(name), known)}")
        return value

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """A plan with some fields changed, checked like a new one; fields that were never set stay unset."""
        return type(self)(**{**{name: getattr(self, name) for name in self.model_fields_set}, **changes})

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """(height, width) in pixels, or None for the network's own."""
        if isinstance(self.image_size, int):
            return self.image_size, self.image_size
        return self.image_size

    def simple_cnn_options(self) -> dict[str, Any]:
        """The fields that `SimpleCnnOptions.from_dict` takes."""
        names = (
            "filters convs_per_block kernel_size stride padding initializer activation pooling pool_size batch_norm "
            "conv_dropout dense"
        )
        return {"head": self.cnn_head, **{name: getattr(self, name) for name in names.split()}}

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """Read a plan file.

        Raises:
            PlanError: not TOML, an unknown field or a value out of range; names the file.
            DataNotFoundError: no such file.
        """
        values = plan_text.read_toml(Path(path))
        try:
            return cls(**values)
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error

    def to_toml(self) -> str:
        """All set fields as TOML; `from_toml` of it gives an equal plan."""
        return plan_text.dump_toml(plan_text.toml_values(self))


def template() -> str:
    """A TOML file with every field, its default and what it means; reading it gives `Plan()`."""
    return plan_text.commented_toml(Plan)
