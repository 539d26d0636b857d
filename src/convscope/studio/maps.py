"""Answers of the looking glass: maps of a layer, what the network says, one number, the field, heat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from convscope.actions.changed import numbers_of
from convscope.actions.look import Scope
from convscope.actions.predict import decode, known_card
from convscope.errors import ModelError, TapUnreachableError
from convscope.records.arithmetic import Arithmetic, Step
from convscope.records.card import Opened
from convscope.records.samples import Samples
from convscope.scope.calls import MODEL_INPUT
from convscope.scope.maps import RankBy
from convscope.scope.target import TargetLike
from convscope.studio.packing import pack, unpack
from convscope.studio.pictures import Given

MOST_FACTORS = 20_000
FOLLOWED_BACK = 12


class _Named:
    """The one name that decoding asks a picture source for."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int, channels: int, at_least_hw: tuple[int, int] | None = None) -> Any:
        """Never asked for: the pictures have been read."""
        raise ModelError(f"expected no picture to be read here, got {self.keys[index]}")

    def subset(self, indices: np.ndarray) -> _Named:
        """These names only."""
        return _Named([self.keys[int(i)] for i in indices])


def packed_maps(scope: Scope, given: Given, layer: str, *, rank_by: RankBy, target: TargetLike) -> bytes:
    """All maps of a layer for one picture: float32 (channels, height, width), ranked.

    Of masks the score is that of the largest region. A layer that the answer does not depend on, as its own output, and
    the layers of a detector, which has no one score, are ranked by size; `rank_by` says so.
    """
    task = scope.card.task if scope.card else "classify"
    words = ""
    if rank_by == "relevance" and task == "segment":
        from convscope.studio.marks import largest_region

        target, words = largest_region(scope, given)
    try:
        by: RankBy = "activation" if rank_by == "relevance" and task == "detect" else rank_by
        found = scope.feature_maps(given.inputs, layer, rank_by=by, target=target)[0]
    except TapUnreachableError:
        found = scope.feature_maps(given.inputs, layer, rank_by="activation")[0]
    maps = np.ascontiguousarray(np.moveaxis(found.maps[0], -1, 0), np.float32)
    flat = maps.reshape(len(maps), -1)
    said = vars(found.targets[0]) if found.targets else None
    facts = {
        "layer": found.layer,
        "kind": found.kind,
        "rank_by": found.rank_by,
        "target": {"label": words} if words and said else said,
        "picture": given.label,
        "provenance": found.provenance.line(),
    }
    arrays = {
        "maps": maps,
        "order": found.order[0].astype(np.int32),
        "importance": found.importance[0].astype(np.float32),
        "low": flat.min(axis=1),
        "high": flat.max(axis=1),
    }
    return pack(facts, arrays)


def stepped(body: bytes) -> bytes:
    """The same maps in 256 steps from each one's lowest to its highest value: a quarter of the bytes, enough to colour.

    Where any map of the layer goes below zero, the steps of each run from -end to end, its largest size; so zero has
    the middle. The exact values are in the answer that this one was made from.
    """
    facts, arrays = unpack(body)
    low, high = arrays["low"], arrays["high"]
    if low.min(initial=0.0) < 0:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    width = high - low
    factor = np.divide(255.0, width, out=np.zeros_like(width), where=width > 0)
    maps = arrays.pop("maps")
    steps = (maps - low[:, None, None]) * factor[:, None, None] + np.float32(0.5)
    steps = np.nan_to_num(steps)  # a network whose training diverged
    return pack(facts, {"steps": np.clip(steps, 0, 255).astype(np.uint8), **arrays})


def prediction(scope: Scope, given: Given) -> dict[str, Any]:
    """What the network says of one picture, calibrated, the surest first."""
    card = known_card(Opened(scope.model, scope.card))
    truth = given.truth if given.truth in card.classes else ""  # the folder may name other classes than the network
    facts = {"task": card.task, "label": given.label, "truth": truth, "classes": len(card.classes)}
    if card.task in ("detect", "segment"):
        from convscope.studio.marks import boxes_said, mask_shares

        said = boxes_said(scope, given) if card.task == "detect" else mask_shares(scope, given)
        return {**facts, "unsure_below": card.unsure_below, "rows": [], **said}
    outputs = np.asarray(scope.probe.outputs(given.inputs)[0], np.float32)
    named = Samples(_Named([given.label]), None, card.task, card.classes)
    found = decode(card, outputs, named)
    order = np.argsort(-found.scores[0], kind="stable")
    return {
        **facts,
        "unsure_below": found.unsure_below,
        "rows": [
            {"index": int(i), "name": found.classes[int(i)], "value": float(found.scores[0, i])} for i in order[:10]
        ],
    }


def number(scope: Scope, given: Given, layer: str, *, at: Sequence[int], channel: int) -> dict[str, Any]:
    """One value, and the sum behind it: values of a layer that has one factor are followed back to that sum.

    Returns:
        `asked` (the value that was clicked), `worked` (the layer with the sum, whose `following` steps lead on to the
        value), `final` by hand after these steps.
    """
    asked = scope.arithmetic(given.inputs, layer, at=at, channel=channel)
    worked, way = asked, [asked.layer]
    while worked.products.size == 1 and not worked.is_padding.any() and len(way) <= FOLLOWED_BACK:
        link = worked.link(*(0,) * worked.patch.ndim)
        if link.layer == MODEL_INPUT or _is_input(scope, link.layer):
            break
        before = scope.arithmetic(given.inputs, link.layer, at=link.at, channel=link.channel)
        steps = [s.layer for s in before.following]
        if layer not in steps and asked.layer not in steps:
            break
        worked, way = before, [before.layer, *way]
    return {
        "asked": {"layer": asked.layer, "at": list(asked.at), "channel": asked.channel, "value": asked.computed},
        "way": way,
        "worked": as_facts(joined(worked), until=asked.layer) | editing(scope, worked),
    }


def editing(scope: Scope, worked: Arithmetic) -> dict[str, Any]:
    """What of the sum can be typed over: `editable` and `bias_editable`; of a separable layer its two kernels.

    `depthwise` is the window's number behind each factor (whatever `channels` says is shown), `pointwise` the weight
    that this filter gives to each input channel x multiplier.
    """
    layer = scope.probe.by_path.get(worked.layer.split("#")[0])
    windows, weights = numbers_of(layer, "depthwise"), numbers_of(layer, "pointwise")
    facts = {
        "editable": numbers_of(layer) is not None or windows is not None,
        "bias_editable": worked.bias is not None and numbers_of(layer, "bias") is not None,
        "multiplier": worked.patch.shape[-1] if windows else 1,
    }
    if windows is None or weights is None:
        return facts
    return facts | {"depthwise": windows.read(), "pointwise": weights.read()[:, worked.channel]}


def joined(worked: Arithmetic) -> Arithmetic:
    """A separable layer's factors with input channel and multiplier as one last axis; others as they are."""
    if worked.axes[-1:] != ("multiplier",):
        return worked

    def flat(array: np.ndarray | None, keep: int = 0) -> Any:
        if array is None:
            return None
        end = array.ndim - keep
        return array.reshape(*array.shape[: end - 2], -1, *array.shape[end:])

    parts = {name: flat(getattr(worked, name)) for name in ("patch", "kernel", "products", "is_padding", "places")}
    source = flat(np.broadcast_to(worked.source, worked.patch.shape))
    return replace(worked, **parts, source=source, positions=flat(worked.positions, 1), axes=worked.axes[:-1])


def _is_input(scope: Scope, name: str) -> bool:
    return all(call.name != name for call in scope.probe.calls())


def as_facts(worked: Arithmetic, *, until: str = "") -> dict[str, Any]:
    """An Arithmetic as plain JSON values; of very many factors the channels that weigh most."""
    patch, products = worked.patch, worked.products
    channels = np.arange(patch.shape[-1]) if patch.ndim else np.arange(0)
    if patch.size > MOST_FACTORS:
        weight = np.abs(np.where(np.isfinite(products), products, 0)).reshape(-1, patch.shape[-1]).sum(axis=0)
        most = max(1, MOST_FACTORS // max(1, patch.size // patch.shape[-1]))
        channels = np.sort(np.argsort(-weight, kind="stable")[:most])
    cut = (..., channels)
    following = list(worked.following)
    reached = [i for i, step in enumerate(following) if step.layer == until]
    following = following[: reached[-1] + 1] if reached else []
    return {
        "layer": worked.layer,
        "kind": worked.kind,
        "at": list(worked.at),
        "channel": worked.channel,
        "operation": worked.operation,
        "shape": list(patch.shape),
        "channels": channels.tolist(),
        "patch": patch[cut],
        "kernel": None if worked.kernel is None else worked.kernel[cut],
        "places": None if worked.places is None else worked.places[cut],
        "products": products[cut],
        "is_padding": worked.is_padding[cut],
        "sources": list(worked.sources),
        "source": np.broadcast_to(worked.source, patch.shape)[cut],
        "positions": worked.positions[(..., channels, slice(None))],
        "partial_sums": [list(p) for p in worked.partial_sums],
        "bias": worked.bias,
        "total": worked.total,
        "steps": [_step(s) for s in worked.steps],
        "following": [_step(s) for s in following],
        "shown": worked.shown,
        "computed": worked.computed,
        "final": following[-1].after if following else worked.shown,
        "final_computed": following[-1].computed if following else worked.computed,
        "bound": worked.bound,
        "agrees": worked.agrees,
        "dtype": worked.dtype,
        "facts": worked.facts,
    }


def _step(step: Step) -> dict[str, Any]:
    return vars(step)
