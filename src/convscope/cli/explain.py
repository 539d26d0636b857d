"""`convscope explain`: heat maps that say why a network says what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter

from convscope.cli.screen import number, percent, progress, prose, say, say_json, table
from convscope.errors import PlanError


def explain(
    run: str | None = None,
    files: list[Path] | None = None,
    /,
    *,
    method: str = "grad-cam",
    target: str = "predicted",
    layer: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    option: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    plane: Literal["axial", "coronal", "sagittal"] | None = None,
    seed: int = 0,
    out: Path = Path("explained"),
    list_methods: bool = False,
    json: bool = False,
) -> None:
    """Explain what a network says of pictures; writes overlays (PNG), numbers (NPZ, JSON) and one page.

    Args:
        run: a run folder, a name below runs/, `last`, a bundle folder or a .keras file.
        files: pictures, or folders of pictures.
        method: one or more, separated by commas: grad-cam,integrated-gradients,occlusion; for masks also
            flip-disagreement and dropout-uncertainty.
        target: `predicted`, or a class name or index; of a segmenter also CLASS@ROW,COLUMN, the region at this pixel.
        layer: names or patterns of layers, or `all`; default: the last with height and width.
        option: of the methods, as name=value: steps=64.
        plane: segmenters: how volumes are cut; default: as for training.
        seed: of everything drawn at random.
        out: folder to write to.
        list_methods: print the methods, their options and sources, and stop.
        json: print JSON instead of tables.
    """
    from convscope.actions.explain import explain_files, option_value

    if list_methods:
        show_methods(json=json)
        return
    if run is None or not files:
        raise PlanError("expected a run and pictures: convscope explain last photo.jpg; see also --list-methods")
    names = [name.strip() for name in method.split(",") if name.strip()]
    options = dict(option_value(text) for text in option or ())
    layers = None if not layer else (layer[0] if len(layer) == 1 else layer)
    with progress() as listen:
        page, found = explain_files(
            run,
            files,
            names,
            target=target,
            layer=layers,
            options=options,
            plane=plane,
            seed=seed,
            out=out,
            progress=listen,
        )
    if json:
        say_json({"page": str(page), "explanations": [one.as_dict() for one in found]})
        return
    rows = [
        (label.rsplit("/", 1)[-1], one.method, t.label, t.kind, number(float(s)))
        for one in found
        for label, t, s in zip(one.labels, one.targets, one.scores)
    ]
    table("Explained", ("picture", "method", "for", "kind", "score"), rows[:50], right=(4,))
    for one in found:
        prose(
            f"{one.method}: {one.facts['words']}"
            + (f" Layer: {one.layers[0]} ({one.layer_reason})." if one.layers else "")
            + _on_region(one.facts)
        )
    say(f"Page: {page}; overlays, NPZ and JSON beside it")


def _on_region(facts: dict[str, object]) -> str:
    """How much of the heat lies in the region that was asked about, for masks."""
    energy = facts.get("energy inside")
    if energy is None:
        return ""
    return f" Inside the region lies {percent(float(np.mean(np.asarray(energy, np.float64))))} of the heat, mean."


def show_methods(*, json: bool = False) -> None:
    """Print every method with what it means, its options and its source."""
    from convscope.explaining.method import METHODS, method

    rows = [method(name) for name in METHODS.names()]
    if json:
        say_json(
            [
                {"name": m.name, "family": m.family, "words": m.words, "options": m.options, "source": m.source}
                for m in rows
            ]
        )
        return
    body = [(m.name, m.family, m.words, ", ".join(f"{k}={v}" for k, v in m.options.items())) for m in rows]
    table("Methods", ("name", "family", "what its heat means", "options"), body)
