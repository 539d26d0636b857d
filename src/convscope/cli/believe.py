"""`convscope judge` and `survey`: which explanations can be believed, and where a network looks over a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from convscope.cli.screen import number, percent, progress, prose, say, say_json, table

Names = Annotated[list[str] | None, Parameter(consume_multiple=True)]


def judge(
    run: str,
    files: list[Path],
    /,
    *,
    methods: str = "",
    target: str = "predicted",
    masks: Path | None = None,
    boxes: Path | None = None,
    shuffled_labels: Path | None = None,
    sanity: bool = True,
    layer: Names = None,
    option: Names = None,
    seed: int = 0,
    out: Path = Path("judged"),
    json: bool = False,
) -> None:
    """Run several methods on the same pictures and measure which of them can be believed; one page and JSON.

    Args:
        run: a run folder, a name below runs/, `last`, a bundle folder.
        files: pictures, or folders of pictures; the more, the narrower the intervals.
        methods: names, separated by commas; default: seven of all families.
        target: `predicted`, or a class name or index.
        masks: a folder of mask pictures of the same names and sizes: what is not black is the object.
        boxes: a CSV file with the columns picture, top, left, bottom, right in pixels of the picture.
        shuffled_labels: pictures with labels, on which a twin is trained with shuffled labels to compare its heat.
        sanity: whether to draw the weights anew, layer by layer, and to shake the pictures.
        layer: names or patterns of layers, or `all`, for methods that read one.
        option: of the methods, as name=value: steps=64.
        seed: of everything drawn at random.
        out: folder for judge.html and judge.json.
        json: print JSON instead of tables.
    """
    from convscope.actions.explain import option_value
    from convscope.actions.judge import METHODS
    from convscope.actions.judge import judge as judge_methods

    names = tuple(name.strip() for name in methods.split(",") if name.strip()) or METHODS
    layers = None if not layer else (layer[0] if len(layer) == 1 else layer)
    with progress() as listen:
        found = judge_methods(
            run, files, names, target, masks=masks, boxes=boxes, sanity=sanity, shuffled_labels=shuffled_labels,
            layer=layers, options=dict(option_value(text) for text in option or ()), seed=seed, progress=listen,
        )  # fmt: skip
    page = found.save(out)
    if json:
        say_json({"page": str(page), **found.judgement.as_dict()})
        return
    judged = found.judgement
    body = [
        (m, *(number(judged.table[m][k].value) if k in judged.table[m] else "–" for k in judged.measures))
        for m in judged.methods
    ]
    table("Methods, best first", ("method", *judged.measures), body, right=tuple(range(1, len(judged.measures) + 1)))
    for sentence in judged.words:
        prose(sentence)
    say(f"Page: {page}")


def survey(
    run: str,
    data: str | None = None,
    /,
    *,
    method: str = "grad-cam",
    masks: Path | None = None,
    boxes: Path | None = None,
    layer: str | None = None,
    option: Names = None,
    seed: int = 0,
    out: Path = Path("surveyed"),
    json: bool = False,
) -> None:
    """Explain every picture of a data set: right for the wrong reason first, then class by class; one page and JSON.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        data: pictures with labels; without it the run's own test pictures (validation where there are none).
        method: one method.
        masks: a folder of mask pictures of the same names and sizes: what is not black is the object.
        boxes: a CSV file with the columns picture, top, left, bottom, right in pixels of the picture.
        layer: name of a layer, for methods that read one.
        option: of the method, as name=value: steps=64.
        seed: of everything drawn at random.
        out: folder for survey.html and survey.json.
        json: print JSON instead of a table.
    """
    from convscope.actions.explain import option_value
    from convscope.actions.survey import survey as survey_data

    options = dict(option_value(text) for text in option or ())
    with progress() as listen:
        found = survey_data(
            run, data, method, masks=masks, boxes=boxes, layer=layer, options=options, seed=seed, progress=listen
        )
    page = found.save(out)
    cases = found.survey.cases
    if json:
        say_json({"page": str(page), "words": found.survey.words, "pictures": [vars(case) for case in cases]})
        return
    marked = any(c.energy is not None for c in cases)
    body = [
        (
            Path(c.label).name,
            "right" if c.is_right else "wrong",
            percent(c.confidence),
            percent(c.border),
            *((("" if c.energy is None else percent(c.energy)),) if marked else ()),
        )
        for c in cases[:20]
    ]
    heads = ("picture", "answer", "probability", "heat at the border", *(("heat on the object",) if marked else ()))
    table("Most suspicious first", heads, body, right=tuple(range(2, len(heads))))
    for sentence in found.survey.words:
        prose(sentence)
    say(f"Page: {page}")
