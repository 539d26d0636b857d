"""`convscope layers`, `arithmetic`, `change`, `field`, `units`, `store`, `compare`: the scope from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from cyclopts import Parameter

from convscope.cli.screen import progress, say, say_json
from convscope.draw.numbers import THIN
from convscope.errors import PlanError

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
        say_json([{k: _number(k, v) for k, v in zip(table.headings, row, strict=True)} for row in table.rows])
        return
    say(str(table))


def _number(heading: str, cell: str) -> int | str:
    """A count as a number ("18 432"); anything else as it is."""
    plain = cell.replace(THIN, "")
    return int(plain) if heading in ("parameters", "MACs", "bytes") and plain.isdecimal() else cell


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


def change(
    run: str, out: Path, /, *, set: Names = None, draw: str = "", epoch: int | None = None, json: bool = False
) -> None:
    """Write a copy of a network with some numbers changed: a bundle that every other command opens. RUN stays as it is.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        out: the bundle folder to write.
        set: LAYER~FILTER~CELL~VALUE, as the studio's address has it behind `edits=`; a cell counts along rows, columns,
            input channels. Behind it ~bias, ~depthwise or ~pointwise for what is no kernel. Several with `;` between.
        draw: draw all kernels anew first: he_normal, glorot_uniform, small, large, zeros ...
        epoch: begin with the weights after this epoch, where its checkpoint is kept.
        json: print JSON instead of a line.
    """
    from convscope.actions.changed import KernelValue, write_changed

    # copied from the address bar it is quoted once more
    texts = [text if "~" in text else unquote(text) for text in set or ()]
    values = [KernelValue.parse(one) for text in texts for one in text.split(";") if one]
    folder = write_changed(run, out, values, initializer=draw, epoch=epoch)
    if json:
        say_json({"bundle": str(folder), "numbers": len(values), "draw": draw, "epoch": epoch})
        return
    say(f"Changed copy: {folder}; open it in place of a run, or see both: convscope studio {run} {folder}")


def field(
    run: str,
    layer: str,
    files: list[Path] | None = None,
    /,
    *,
    at: tuple[int, int] | None = None,
    channel: int | None = None,
    out: Path | None = None,
) -> None:
    """Say which pixels a layer, or one of its values, can see: the exact receptive field, or with FILES the effective.

    Args:
        run: a run folder, a name below runs/, `last`, a bundle folder or a .keras file.
        layer: path of the layer.
        files: pictures: then how much each pixel really moves the value, and the box that holds 95 % of it.
        at: row and column of one value; its field is clipped at the border.
        channel: its channel, with pictures; default: all together.
        out: an HTML file for the heat map of the effective field.
    """
    from convscope.actions.look import Scope

    scope = Scope(run)
    say(str(scope.receptive_field(layer, at=at)))
    if not files:
        if out is not None:
            raise PlanError("expected pictures for --out: the heat map of a field is measured on some")
        return
    from convscope.actions.inspect import picture_paths, write_page
    from convscope.reporting.comparing import field_section

    found = scope.effective_field(layer, picture_paths(files), at=at, channel=channel)
    say(str(found))
    if out is not None:
        write_page(out, f"field of {layer}", [field_section(found)], provenance=scope.provenance())
        say(f"Page: {out}")


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
    processes: int = 1,
    launcher: Literal["local", "ray"] = "local",
) -> None:
    """Write the feature maps of a whole data set (Zarr v3); run again, it goes on where it stopped.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        data: pictures: a folder of class folders or a table.
        out: the store, a folder.
        layers: names or patterns: `block2*` stays within a level, `**` crosses levels; default: every convolution.
        dtype: float16 halves the space.
        pool: keep means over pool x pool cells; 0 for one number per channel.
        memory_mb: memory for maps, above what the model itself needs, in each process.
        processes: how many write at once, each its own blocks of pictures.
        launcher: where they run; ray for a Ray cluster whose machines share the disk.
    """
    from convscope.actions.store import store_data

    keeping = {"dtype": dtype, "pool": pool or "whole", "memory_mb": memory_mb}
    with progress() as listen:
        stored = store_data(
            run, data, out, layers or ["**conv*"], keeping=keeping, processes=processes, launcher=launcher,
            progress=listen,
        )  # fmt: skip
    say(str(stored))


def compare(
    run: str,
    files: list[Path],
    /,
    *,
    epochs: tuple[int, int] | None = None,
    layers: Names = None,
    out: Path | None = None,
) -> None:
    """Give the same pictures to two models, layer by layer; or to one on two back ends, or at two epochs.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        files: first the other model: another of those; or tensorflow, jax or torch, to compare this model with itself
            on that back end. Then pictures, or folders of pictures; with --epochs only these.
        epochs: two epochs of the run, whose checkpoints are kept.
        layers: names or patterns; default: all.
        out: an HTML file for the chart and the table.
    """
    from convscope.actions.inspect import compare_models, comparison_page

    other = None if epochs else str(files[0])
    pictures = files if epochs else files[1:]
    if not pictures:
        raise PlanError("expected another model and then pictures, got no picture; see convscope compare --help")
    with progress() as listen:
        found = compare_models(run, other, pictures, epochs=epochs, layers=layers or ["**"], progress=listen)
    say(str(found))
    if out is not None:
        what = f"epochs {epochs[0]} and {epochs[1]} of {run}" if epochs else f"{run} and {other}"
        comparison_page(found, out, title=f"compare {what}")
        say(f"Page: {out}")


def embed(
    run: str,
    data: str,
    layer: str,
    /,
    *,
    method: Literal["pca", "tsne"] = "pca",
    out: Path = Path("embed.html"),
) -> None:
    """Write a page with every picture as a point, as one layer sees it, coloured by class.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        data: pictures with labels: a folder of class folders or a table.
        layer: path of the layer.
        method: pca, or tsne for up to 3,000 pictures.
        out: the HTML file to write.
    """
    from convscope.actions.inspect import fitting_samples, write_page
    from convscope.actions.look import Scope
    from convscope.reporting.comparing import embedding_section

    scope = Scope(run)
    with progress() as listen:
        found = scope.embedding(fitting_samples(scope, data), layer, method=method, progress=listen)
    say(str(found))
    write_page(out, "embedding", [embedding_section(found)], provenance=found.provenance)
    say(f"Page: {out}")
