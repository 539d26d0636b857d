"""A method as data: a small function, where it comes from, and the facts that the engine and the tests rely on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from convscope.errors import PlanError
from convscope.registry import Registry, nearest

Family = Literal["cam", "gradient", "perturbation"]
Join = Literal["sum", "largest size"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method found for the pictures it was asked about.

    Attributes:
        values: (n, height, width) heat at the method's own resolution, or (n, height, width, channels) of the input,
            which the engine joins into heat; signed, before any cut.
        layers: names of the layers that were read.
        facts: further numbers, one per picture: name -> (n,).
        notes: what should be said of all pictures, in words.
    """

    values: np.ndarray
    layers: tuple[str, ...] = ()
    facts: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Method:
    """One way to explain a score.

    Attributes:
        name: as registered ("grad-cam").
        function: (Asked, keyword options) -> Answer.
        family: "cam", "gradient" or "perturbation".
        source: who described it, where, which equation.
        words: one plain sentence on what its heat means.
        needs_gradients: whether the score must be differentiable.
        needs_layer: whether it reads maps of a layer.
        is_signed: whether negative heat means evidence against; else the engine cuts negative heat to 0.
        uses_target: False when the heat does not depend on the target at all.
        join: how channels become one heat: "sum" keeps the sign, "largest size" is the largest absolute value.
    """

    name: str
    function: Callable[..., Answer]
    family: Family
    source: str
    words: str
    needs_gradients: bool = True
    needs_layer: bool = False
    is_signed: bool = False
    uses_target: bool = True
    join: Join = "sum"

    @property
    def options(self) -> dict[str, Any]:
        """Name -> default of each option."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options, or an error for one that the method does not have, or of another kind than its default.

        Raises:
            PlanError: naming the nearest option, or what kind of value is expected.
        """
        known = self.options
        for name, value in options.items():
            if name not in known:
                has = nearest(name, known) if known else f"{self.name} has no options"
                raise PlanError(f"unknown option {name!r} of {self.name}; {has}")
            kind = str(inspect.signature(self.function).parameters[name].annotation)
            wanted = _wanted(known[name], kind, value)
            if wanted:
                raise PlanError(f"expected {wanted} for option {name!r} of {self.name}, got {value!r}")
        return dict(options)


def _wanted(default: Any, kind: str, value: Any) -> str:
    """What kind of value an option of this default and annotation takes, where `value` is none; else empty."""
    is_truth = isinstance(value, bool | np.bool_)
    if isinstance(default, bool):
        return "" if is_truth else "true or false"
    if isinstance(default, float):
        fits = isinstance(value, Real) and not is_truth and np.isfinite(float(value))
        return "" if fits else "a number"
    if isinstance(default, int) or (default is None and kind == "int | None"):
        fits = (isinstance(value, Integral) and not is_truth) or (value is None and default is None)
        return "" if fits else "a whole number"
    return ""


METHODS = Registry(
    "method",
    {
        "cam": "convscope.explaining.cam:CAM",
        "grad-cam": "convscope.explaining.cam:GRAD_CAM",
        "grad-cam++": "convscope.explaining.cam:GRAD_CAM_PLUS",
        "hires-cam": "convscope.explaining.cam:HIRES_CAM",
        "xgrad-cam": "convscope.explaining.cam:XGRAD_CAM",
        "layer-cam": "convscope.explaining.cam:LAYER_CAM",
        "eigen-cam": "convscope.explaining.cam:EIGEN_CAM",
        "score-cam": "convscope.explaining.masking_cam:SCORE_CAM",
        "ablation-cam": "convscope.explaining.masking_cam:ABLATION_CAM",
        "full-grad": "convscope.explaining.full_grad:FULL_GRAD",
        "saliency": "convscope.explaining.gradient:SALIENCY",
        "gradient-x-input": "convscope.explaining.gradient:GRADIENT_X_INPUT",
        "smooth-grad": "convscope.explaining.noise:SMOOTH_GRAD",
        "var-grad": "convscope.explaining.noise:VAR_GRAD",
        "integrated-gradients": "convscope.explaining.integrated:INTEGRATED_GRADIENTS",
        "guided-backprop": "convscope.explaining.guided:GUIDED_BACKPROP",
        "deconvolution": "convscope.explaining.guided:DECONVOLUTION",
        "guided-grad-cam": "convscope.explaining.guided:GUIDED_GRAD_CAM",
        "lrp": "convscope.explaining.lrp:LRP",
        "occlusion": "convscope.explaining.occlusion:OCCLUSION",
        "rise": "convscope.explaining.rise:RISE",
        "shapley": "convscope.explaining.superpixels:SHAPLEY",
        "lime": "convscope.explaining.superpixels:LIME",
    },
    "convscope.methods",
)


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        UnknownNameError: naming the nearest.
    """
    found: Method = METHODS.get(name)
    return found
