"""`convscope look`: the maps, filters and heat behind the answers on given pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from convscope.cli.screen import number, progress, say, say_json, table

MOST_TOLD = 4  # pictures whose channels stand on the screen


def look(
    run: str,
    files: list[Path],
    /,
    *,
    layers: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    out: Path = Path("look.html"),
    json: bool = False,
) -> None:
    """Write a page with the Grad-CAM, the strongest feature maps and the first filters for some pictures.

    For a detector: its boxes, the targets that the truth gives, anchors and proposals, what suppression removed and
    why, and the maps that its heads read. The truth is known for pictures of the run's own data, or of a marked
    data folder.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        files: pictures, or folders of pictures, or for a detector a marked data set; the first 12 are looked at.
        layers: names or patterns of layers: `block2*` stays within a level, `**` crosses levels; default: four.
        out: the HTML file to write.
        json: print JSON instead of tables.
    """
    from convscope.actions.box_files import box_rows
    from convscope.actions.look import look as look_into
    from convscope.actions.look_boxes import LookedBoxes
    from convscope.cli.results import show_predictions, show_rows

    with progress() as listen:
        found = look_into(run, files, layers=layers or (), out=out, progress=listen)
    if isinstance(found, LookedBoxes):
        rows = box_rows(found.detections)
        if json:
            say_json({"page": str(found.page), "boxes": rows})
            return
        show_rows(rows)
        say(f"Page: {found.page}")
        return
    if json:
        rows = [
            {
                "layer": m.layer,
                "picture": label,
                "channels": m.order[i][:8],
                "relevance": m.importance[i][m.order[i][:8]],
            }
            for m in found.maps
            for i, label in enumerate(m.labels)
        ]
        say_json({"page": str(found.page), "maps": rows})
        return
    show_predictions(found.predictions)
    labels = found.maps[0].labels if found.maps else ()
    body = [
        (Path(label).name, m.layer, ", ".join(f"{c} ({number(float(m.importance[i][c]))})" for c in m.order[i][:5]))
        for i, label in enumerate(labels[:MOST_TOLD])
        for m in found.maps
    ]
    table("\nChannels that mattered most: gradient × activation, summed", ("picture", "layer", "channels"), body)
    if len(labels) > MOST_TOLD:
        say(f"... and {len(labels) - MOST_TOLD} pictures more on the page")
    looked_at = len(found.predictions.keys)
    say(f"Page: {found.page}" + (f" ({looked_at} of the {found.given} pictures)" if looked_at < found.given else ""))
