"""Which phases a run has: the head on a frozen network, then its last stages; or everything at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from convscope.backend.selection import load_keras
from convscope.models.network import Network, freeze_backbone, head_of, unfreeze_last
from convscope.training.plan import Plan
from convscope.training.schedule import curve_for, learning_rate

keras = load_keras()

What = Literal["head-on-features", "head", "stages", "all", "own"]


@dataclass(frozen=True)
class Phase:
    """A part of a run with its own trainable layers and optimizer.

    Attributes:
        name: as written in the journal: "head", "fine-tune" or "train".
        what: which weights are trained; "own" keeps the user's own compile.
        epochs: planned passes; rate: full learning rate (of no meaning for "own").
    """

    name: str
    what: What
    epochs: int
    rate: float


def plan_phases(network: Network | Any, plan: Plan, *, has_features: bool = True) -> tuple[Phase, ...]:
    """The phases of a run; those without epochs are left out.

    Without `has_features` a frozen backbone can't be run once for all: its outputs are whole maps.
    """
    if not isinstance(network, Network):
        what: What = "own" if getattr(network, "compiled", False) else "all"
        return (Phase("train", what, plan.epochs, plan.learning_rate),)
    if not network.pretrained:
        return (Phase("train", "all", plan.epochs, plan.learning_rate),)
    head: What = "head-on-features" if plan.cache_features and has_features else "head"
    phases = (
        Phase("head", head, plan.head_epochs, plan.learning_rate),
        Phase("fine-tune", "stages", plan.epochs if plan.unfreeze else 0, plan.fine_tune_learning_rate),
    )
    return tuple(p for p in phases if p.epochs)


def set_trainable(network: Network | Any, phase: Phase, plan: Plan) -> None:
    """Freeze and thaw the layers of a network for one phase."""
    if phase.what in ("head", "head-on-features"):
        freeze_backbone(network)
    elif phase.what == "stages":
        unfreeze_last(network, len(network.stages) if plan.unfreeze < 0 else plan.unfreeze)


def fitted_model(network: Network | Any, phase: Phase) -> Any:
    """The model that `fit` is called on; it shares its weights with the whole one."""
    if phase.what == "head-on-features":
        return head_of(network)
    return network.model if isinstance(network, Network) else network


def rate_of(plan: Plan, phase: Phase, steps: int, rate: float) -> Any:
    """The learning rate of a phase as its optimizer takes it: a number, or the plan's schedule."""
    return learning_rate(curve_for(plan, rate, phase.epochs, steps), plan.schedule == "plateau")
