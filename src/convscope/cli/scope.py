"""`convscope layers`, `arithmetic`, `field`, `units`, `store` and `compare`: the scope from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from convscope.cli.screen import progress, say, say_json

Names = Annotated[list[str] | None, Parameter(consume_multiple=True)]


def layers(run: str, /, *, json: bool = False) -> None:
    """List every layer call: shape, kernel, stride, receptive field, parameters, multiply-adds, memory.

    Args:
        run: a run folder, a name below runs/, `last`, a bundle folder or a .keras file.
        json: print JSON instead of a table.
    """
    from convscope.actions.look import Scope

    table = Scope(run).layers()
    if json:
        say_json([dict(zip(table.headings, row, strict=True)) for row in table.rows])
        return
    say(str(table))


def arithmetic(
    run: str, picture: Path, layer: str, /, *, at: tuple[int, int] | None = None, channel: int | None = None
) -> None:
    """Show the sum behind one value: patch x kernel + bias, batch norm, activation, with every factor.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        picture: one picture.
        layer: path of the layer ("block2_conv1", "conv1#1" for a shared layer's second call).
        at: row and column of the value in the layer's map; leave it out for Dense.
        channel: which channel or unit.
    """
    from convscope.actions.look import Scope

    say(str(Scope(run).arithmetic(str(picture), layer, at=at or (), channel=channel)))


def field(run: str, layer: str, /, *, at: tuple[int, int] | None = None) -> None:
    """Say which pixels a layer, or one of its values, can see: the exact receptive field.

    Args:
        run: a run folder, a name below runs/, `last`, a bundle folder or a .keras file.
        layer: path of the layer.
        at: row and column of one value; its field is clipped at the border.
    """
    from convscope.actions.look import Scope

    say(str(Scope(run).receptive_field(layer, at=at)))


def units(
    run: str,
    data: str,
    layer: str,
    /,
    *,
    channel: int | None = None,
    silence: bool = True,
) -> None:
    """Say what the filters of a layer do over a data set: dead, saturated and twin ones, and what each is worth.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        data: pictures with labels: a folder of class folders or a table.
        layer: path of the layer.
        channel: list instead the pictures that fire this filter most and least.
        silence: also measure the accuracy lost when each filter is silenced.
    """
    from convscope.actions.inspect import fitting_samples
    from convscope.actions.look import Scope

    scope = Scope(run)
    samples = fitting_samples(scope, data)
    with progress() as listen:
        if channel is not None:
            found: Any = scope.top_activations(samples, layer, channel, progress=listen)
        else:
            found = scope.filters(layer, samples, truth=samples.truth if silence else None)
    say(str(found))


def store(
    run: str,
    data: str,
    out: Path,
    /,
    *,
    layers: Names = None,
    dtype: Literal["float16", "float32"] = "float16",
    pool: int = 1,
    memory_mb: int = 512,
) -> None:
    """Write the feature maps of a whole data set (Zarr v3); run again, it goes on where it stopped.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        data: pictures: a folder of class folders or a table.
        out: the store, a folder.
        layers: names or patterns: `block2*` stays within a level, `**` crosses levels; default: every convolution.
        dtype: float16 halves the space.
        pool: keep means over pool x pool cells; 0 for one number per channel.
        memory_mb: memory for maps, above what the model itself needs.
    """
    from convscope.actions.inspect import fitting_samples
    from convscope.actions.look import Scope
    from convscope.scope.store import Keeping

    scope = Scope(run)
    samples = fitting_samples(scope, data)
    keeping = Keeping(dtype=dtype, pool=pool or "whole", memory_mb=memory_mb)
    with progress() as listen:
        stored = scope.store(samples, out, layers or ["**conv*"], truth=samples.truth, keeping=keeping, progress=listen)
    say(str(stored))


def compare(
    run: str,
    other: str,
    files: list[Path],
    /,
    *,
    layers: Names = None,
) -> None:
    """Give the same pictures to two models, layer by layer; or to one model on two back ends.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        other: another of those; or tensorflow, jax or torch, to compare this model with itself on that back end.
        files: pictures, or folders of pictures.
        layers: names or patterns; default: all.
    """
    from convscope.actions.inspect import compare_models

    with progress() as listen:
        found = compare_models(run, other, files, layers=layers or ["**"], progress=listen)
    say(str(found))
