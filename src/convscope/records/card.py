"""What a saved model knows of itself besides its weights, and the opened thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from convscope.records.geometry import Preprocess
from convscope.records.provenance import Provenance
from convscope.records.samples import Task

OutputKind = Literal["probabilities", "logits", "values", "boxes", "masks"]
OUTPUT_KINDS: tuple[str, ...] = get_args(OutputKind)


@dataclass(frozen=True)
class Card:
    """The facts of a bundle.

    Attributes:
        task, classes: as in Samples.
        preprocess: how pictures become network input.
        output_kind: what the outputs are: "probabilities", "logits" or "values" per picture, "boxes" (a detector's
            raw maps) or "masks" (probabilities per pixel).
        network: catalogue name ("efficientnet-lite0") or "user's own model".
        temperature: divides the logits before the softmax, or each label's (Guo et al. 2017); 1 for none.
        unsure_below: a top probability below this is reported as unsure.
        feature_layer: path of the last layer with spatial extent, for Grad-CAM; "" when there is none.
        plane, window: how volumes were cut and which values became black and white, as in Plan; "" where the network
            was trained on none.
        scores: headline numbers as written by Scores.as_dict()["values"].
        provenance: where it comes from.
    """

    task: Task
    classes: tuple[str, ...]
    preprocess: Preprocess
    network: str
    output_kind: OutputKind = "probabilities"
    temperature: float = 1.0
    unsure_below: float = 0.0
    feature_layer: str = ""
    plane: str = ""
    window: tuple[float, float] | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, eq=False)
class Opened:
    """A model ready to look into: from a run, a bundle or a .keras file.

    Attributes:
        model: a keras.Model (kept untyped: records know no Keras).
        card: None for a bare model, of which neither classes nor preprocessing are known.
        where: the path it came from, in words.
        neck: of a detector made elsewhere the layers that its heads read, fine to coarse; empty where names say it.
    """

    model: Any
    card: Card | None
    where: str = ""
    neck: tuple[str, ...] = ()
