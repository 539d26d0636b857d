"""`convscope visualise` and `dream`: pictures that a network would like to see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from convscope.cli.screen import progress, say, say_json
from convscope.errors import PlanError

Names = Annotated[list[str] | None, Parameter(consume_multiple=True)]


def visualise(
    run: str,
    /,
    *,
    layer: str | None = None,
    channels: str = "",
    classes: Names = None,
    unit: tuple[int, int] | None = None,
    copies: int = 1,
    steps: int = 128,
    pixels: bool = False,
    seed: int = 0,
    out: Path = Path("visualised"),
    json: bool = False,
) -> None:
    """Grow pictures that fire the channels of a layer, one unit, or classes most; PNG files, one page and JSON.

    Args:
        run: a run folder, a name below runs/, `last`, a bundle folder or a .keras file.
        layer: path of a layer; without it pictures of classes are grown.
        channels: their numbers, `0-15` or `3,7,9`; default: all of the layer.
        classes: names or numbers of classes; default: the first 16.
        unit: row and column of one place of the maps; default: their mean.
        copies: pictures for each channel.
        steps: gradient steps.
        pixels: hold pictures as pixels instead of Fourier coefficients.
        seed: of the beginning and of the changes between steps.
        out: folder to write to.
        json: print JSON instead of lines.
    """
    from convscope.actions.visualise import growth
    from convscope.actions.visualise import visualise as grow

    how = growth(run, steps=steps, seed=seed, holding="pixels" if pixels else "fourier", copies=copies)
    with progress() as listen:
        found = grow(how.model, layer, numbers(channels), classes=classes, unit=unit, copies=copies,
                     ascent=how.ascent, progress=listen)  # fmt: skip
    _say(found, out, json=json)


def dream(
    run: str,
    files: list[Path],
    /,
    *,
    layer: str,
    steps: int = 32,
    rate: float = 0.02,
    seed: int = 0,
    out: Path = Path("dreamed"),
    json: bool = False,
) -> None:
    """Change pictures so that a whole layer answers more strongly (deep dream); PNG files, one page and JSON.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        files: pictures, or folders of pictures.
        layer: path of the layer.
        steps: gradient steps.
        rate: step size.
        seed: of the changes between steps.
        out: folder to write to.
        json: print JSON instead of lines.
    """
    from convscope.actions.visualise import dream as grow
    from convscope.actions.visualise import growth

    how = growth(run, steps=steps, seed=seed, holding="pixels", rate=rate)
    with progress() as listen:
        found = grow(how.model, files, layer, ascent=how.ascent, progress=listen)
    _say(found, out, json=json)


def numbers(text: str) -> list[int] | None:
    """Channels written as "0-15" or "3,7,9"; None for none.

    Raises:
        PlanError: anything else.
    """
    found: list[int] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise PlanError(f"expected channels as 0-15 or 3,7,9, got {text!r}")
        found += range(int(first), int(last if dash else first) + 1)
    return found or None


def _say(found: object, out: Path, *, json: bool) -> None:
    from convscope.actions.visualise import Visualised

    assert isinstance(found, Visualised)
    page = found.save(out)
    if json:
        grown = found.grown
        rows = zip(grown.words, grown.history[0].tolist(), grown.history[-1].tolist())
        say_json({"page": str(page), "pictures": [{"for": w, "first": a, "last": b} for w, a, b in rows]})
        return
    say(str(found))
    say(f"Page: {page}; PNG and JSON beside it")
