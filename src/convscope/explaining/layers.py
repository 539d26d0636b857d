"""Which layer a class activation map is read from, and why: chosen and said, never guessed in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convscope.errors import ModelError
from convscope.records.card import Opened
from convscope.scope.calls import MODEL_INPUT, Call
from convscope.scope.tap import Probe

_NOT_CHOSEN = ("Pooling", "Dropout", "ZeroPadding", "Cropping", "Reshape", "Permute", "Identity", "UpSampling")


def spatial_size(call: Call) -> tuple[int, ...]:
    """The sizes of the first output without its channels; empty below rank 2."""
    shape = call.output_shapes[0] if call.output_shapes else ()
    if call.channel_axis is None or len(shape) < 2:
        return ()
    axis = call.channel_axis + (1 if call.steps > 1 else 0)
    return tuple(d for i, d in enumerate(shape) if i != axis)


def last_spatial_layer(calls: Sequence[Call]) -> tuple[str, str]:
    """The layer that Grad-CAM reads unless told otherwise, and why.

    Raises:
        ModelError: no layer has spatial extent.
    """
    parents = {c.within for c in calls}
    for call in reversed(calls):
        shape = call.output_shapes[0] if len(call.output_shapes) == 1 else ()
        if call.name in parents or len(shape) < 3 or any(word in call.kind for word in _NOT_CHOSEN):
            continue
        if max(spatial_size(call)) > 1 and "float" in call.dtypes[0]:
            return call.name, f"the last layer with spatial extent before pooling ({' x '.join(map(str, shape))})"
    raise ModelError(
        "expected a layer with height and width to read a class activation map from; the model has none. "
        "Methods that need no layer work: integrated-gradients, occlusion"
    )


def all_convolutions(calls: Sequence[Call]) -> list[str]:
    """Every convolution with spatial extent, in order."""
    return [c.name for c in calls if "Conv" in c.kind and max(spatial_size(c), default=0) > 1 and c.steps == 1]


def leading_to(calls: Sequence[Call], end: str) -> Sequence[Call]:
    """The calls on the way to the call `end`; all of them where other code between calls hides the way."""
    by_name = {c.name: c for c in calls}
    todo, found = [end], set()
    while todo:
        name = todo.pop()
        if name in found or name == MODEL_INPUT:
            continue
        if name not in by_name:
            return calls
        found.add(name)
        todo += by_name[name].parents
    return [c for c in calls if c.name in found]


def choose_layers(
    probe: Probe, images: Any, layer: str | Sequence[str] | None, *, saved: str = "", head: str = ""
) -> tuple[tuple[str, ...], str]:
    """Names of the layers to read and the reason, in words.

    Args:
        probe: the model.
        images: as the model takes them.
        layer: a name, a pattern, several, "all" for every convolution, None for the last one with spatial extent.
        saved: path of the last spatial layer where the saved model names it.
        head: name of the call whose output is explained: layers are chosen on the way to it.

    Raises:
        UnknownLayerError: naming the nearest. ModelError: none with spatial extent, or a chosen one without.
    """
    calls = leading_to(probe.calls(images), head)
    if layer is None:
        if saved:
            return (probe.select(saved, images)[0],), "named in the saved model as its last spatial layer"
        name, reason = last_spatial_layer(calls)
        return (name,), reason
    if layer == "all":
        names = all_convolutions(calls)
        if not names:
            raise ModelError("expected at least one convolution for layer='all', the model has none")
        return tuple(names), f"all {len(names)} convolutions"
    names = probe.select(layer, images)
    for name in names:
        call = probe.call(name, images)
        if not spatial_size(call):
            shape = " x ".join(map(str, call.output_shapes[0])) if call.output_shapes else "nothing"
            raise ModelError(
                f"expected a layer with height and width, got {name!r} ({shape}); "
                f"for example {last_spatial_layer(calls)[0]!r} has them"
            )
    return tuple(names), "chosen by name"


def saved_layer(model: Any) -> str:
    """What an Opened's card names as its last spatial layer; empty for anything else."""
    card = model.card if isinstance(model, Opened) else None
    return card.feature_layer if card is not None else ""
