"""Layer-wise relevance propagation for convolutional graphs: the score is handed down, layer by layer.

Relevance takes the place of the gradient while the model runs backward: each linear layer shares it among its inputs
by what they contributed, a sum (residual connections) among its terms likewise, activations hand it on as it is,
maximum pooling gives it to the winner. A normalisation right after a convolution or dense layer counts as part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convscope.backend.selection import load_keras
from convscope.errors import PlanError, TapUnreachableError
from convscope.explaining.asked import Asked
from convscope.explaining.inner_operations import hidden_operations
from convscope.explaining.method import Answer, Method
from convscope.explaining.relevance import Share, handed_on, norm_handed_on, shared, shared_sum, weighted_changes
from convscope.registry import nearest
from convscope.scope.calls import Call
from convscope.scope.ruled import Change, ruled

RULES = ("composite", "epsilon", "gamma")
_WEIGHTED = ("Dense", "Conv2D", "DepthwiseConv2D")
# affine maps of one tensor, shared by what each input contributed
_AFFINE = ("AveragePooling2D", "GlobalAveragePooling2D", "UpSampling2D")
_PIXELWISE = ("Rescaling", "Normalization")
_SUMS = ("Add", "Subtract", "Average")
_ROUTING = (
    "MaxPooling2D", "GlobalMaxPooling2D", "Flatten", "Reshape", "Permute", "Dropout", "SpatialDropout2D", "Identity",
    "ZeroPadding2D", "Cropping2D", "Concatenate", "InputLayer", "Softmax", "GaussianNoise", "GaussianDropout", "Pad",
    "Transpose", "Maximum",
)  # fmt: skip
_ACTIVATIONS = ("ReLU", "LeakyReLU", "Activation", "Relu", "Relu6", "ELU", "Silu", "Gelu", "Elu", "Selu", "LeakyRelu")


def lrp(asked: Asked, *, rule: str = "composite", epsilon: float = 1e-6, gamma: float = 0.25) -> Answer:
    """Relevance of each number of the picture; without biases it adds up to the score.

    Args:
        asked: the question.
        rule: "epsilon" everywhere; "gamma" for all convolutions; "composite": gamma for convolutions but the first,
            epsilon for dense layers and for normalisation, and for the first convolution, which reads pixels, the
            rule of the box: how far each value lies from the least and the greatest of its channel and picture.
        epsilon: added to each sum with its sign, so that small sums don't explode.
        gamma: how much contributions of a sum's own sign are favoured; above 0 it bounds what a sum of opposite
            signs can enlarge to (2 + gamma) / gamma.

    Facts: "completeness_gap", |sum - score|: what the biases took.

    Source: Bach et al. 2015, eq. 58 (epsilon); Montavon et al. 2019, table 10.1 (gamma, box, composite), section 10.3
        (sums, normalisation counted with the layer before it); Andeol et al. 2023, Learning Domain Invariant
        Representations by Joint Wasserstein Distance Minimization, Neural Networks (gamma for values of any sign, as
        linear bottlenecks have them).
    """
    if rule not in RULES:
        raise PlanError(f"unknown rule {rule!r}; {nearest(str(rule), RULES)}")
    if epsilon <= 0 or gamma < 0:
        raise PlanError(f"expected epsilon above 0 and gamma of at least 0, got {epsilon} and {gamma}")
    if asked.target.function is not None or asked.target.against is not None:
        raise PlanError("expected one class as target for lrp; use integrated-gradients for other targets")
    hidden = hidden_operations(asked.probe, asked.images)
    if hidden:
        raise TapUnreachableError(f"{hidden}, where no rule of lrp reaches; use integrated-gradients")
    scores = asked.scores
    probe = asked.kept(
        ("lrp", rule, epsilon, gamma),
        lambda: ruled(asked.probe, asked.images, _Rules(asked.probe.calls(asked.images), rule, epsilon, gamma)),
    )
    values = asked.under(probe).gradients() * scores[:, None, None, None]
    gap = np.abs(values.sum(axis=(1, 2, 3), dtype=np.float64) - scores).astype(np.float32)
    return Answer(values.astype(np.float32), facts={"completeness_gap": gap}, notes={"rule": rule})


class _Rules:
    """Operations by path -> the changes that put the rules in place of each operation's own gradient."""

    def __init__(self, calls: Sequence[Call], rule: str, epsilon: float, gamma: float) -> None:
        self._rule, self._epsilon, self._gamma = rule, epsilon, gamma
        self._norm_after = folded_norms(calls)
        self._first_conv = next((c.path for c in calls if "Conv" in c.kind), "")

    def __call__(self, by_path: dict[str, Any]) -> list[Change]:
        folded = {id(norm) for norm in self._norm_after.values()}
        changes: list[Change] = []
        for path, operation in by_path.items():
            kind = type(operation).__name__
            if getattr(operation, "_layers", None) and kind in ("Functional", "Sequential"):
                continue
            changes += norm_handed_on(operation) if id(operation) in folded else self._change(path, kind, operation)
        return changes

    def _change(self, path: str, kind: str, operation: Any) -> list[Change]:
        if kind in _WEIGHTED:
            return weighted_changes(operation, self._share(path, kind), self._norm_after.get(path))
        if kind == "BatchNormalization":
            return weighted_changes(operation, Share("epsilon", self._epsilon), None)
        if kind in _PIXELWISE and self._rule == "composite":
            return handed_on(operation)  # the box below has no share for their shift
        if kind in (*_AFFINE, *_PIXELWISE):
            own = operation.call
            return [(operation, "call", lambda x, own=own: shared(own, own, self._epsilon)(x))]
        if kind in _SUMS:
            return [(operation, "call", shared_sum(kind, self._epsilon))]
        if kind in _ACTIVATIONS:
            return [] if _is_head_activation(operation) else handed_on(operation)
        if kind not in _ROUTING:
            raise TapUnreachableError(
                f"expected layers that add, route or rectify for lrp, got {kind} in {path!r}, for which it has no "
                "rule; use integrated-gradients"
            )
        return []

    def _share(self, path: str, kind: str) -> Share:
        if self._rule == "epsilon" or "Conv" not in kind:
            return Share("epsilon", self._epsilon)
        is_pixels = self._rule == "composite" and path == self._first_conv
        return Share("box" if is_pixels else "gamma", self._epsilon, self._gamma)


def folded_norms(calls: Sequence[Call]) -> dict[str, Any]:
    """Path of a convolution or dense layer -> the normalisation that alone takes its output, called as often."""
    by_name = {c.name: c for c in calls}
    takers: dict[str, list[Call]] = {}
    for call in calls:
        for parent in call.parents:
            takers.setdefault(parent, []).append(call)
    found: dict[str, Any] = {}
    for name, call in by_name.items():
        mine = takers.get(name, [])
        plain = getattr(call.layer, "activation", None) in (None, load_keras().activations.linear)
        alone = len(mine) == 1 and mine[0].kind == "BatchNormalization" and call.number == mine[0].number == 0
        several = sum(c.path == call.path or (alone and c.path == mine[0].path) for c in calls) > 2
        if call.kind in _WEIGHTED and plain and alone and not several:
            found[call.path] = mine[0].layer
    return found


def _is_head_activation(operation: Any) -> bool:
    activations = load_keras().activations
    return getattr(operation, "activation", None) in (activations.softmax, activations.sigmoid)


LRP = Method(
    "lrp",
    lrp,
    "gradient",
    "Bach et al. 2015, On Pixel-Wise Explanations, PLoS ONE, eq. 58; Montavon et al. 2019, LRP, table 10.1; "
    "Andeol et al. 2023, Neural Networks (gamma for values of any sign)",
    "The score handed down layer by layer, each input getting the share that it contributed.",
    is_signed=True,
)
