"""`convscope.explain` and `convscope explain`: why does the network say that?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.asking import aim_of, files_among, for_people, given_pictures, opened_model, provenance_of
from convscope.arrays.orientation import Plane
from convscope.draw.numbers import percent
from convscope.errors import PlanError
from convscope.explaining import engine
from convscope.explaining.engine import Limits, Wish
from convscope.explaining.layers import saved_layer
from convscope.explaining.method import Method
from convscope.explaining.shown import Explanation, shown
from convscope.files.atomic import write_text
from convscope.records.card import Opened
from convscope.records.progress import Progress, silent
from convscope.records.report import Report, Words
from convscope.reporting.looking import attribution_section
from convscope.reporting.render import render_report
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike

MOST_ON_PAGE = 24
_DOUBT_WORDS: Words = (
    ("Yellow is where it is unsure.", "Borders always are, a little. A doubtful middle is worth a look by a person."),
)


def explain(
    model: Any,
    images: Any,
    method: str = "grad-cam",
    target: TargetLike = None,
    layer: str | Sequence[str] | None = None,
    *,
    signed: bool | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    preprocess: Any = None,
    labels: Sequence[str] = (),
    limits: Limits | None = None,
    progress: Progress = silent,
) -> Explanation:
    """Why a network says what it says, one heat map per picture.

    Args:
        model: a keras.Model, a Probe (keeps compiled functions), a Scope, an Opened, a Run, or the path of a run, a
            bundle or a .keras file.
        images: (n, height, width, channels) as the model takes them; or files, folders, PIL pictures.
        method: "grad-cam", "integrated-gradients", ...; see `convscope.explaining.method.METHODS`.
        target: None for the highest class, a class index or name, one per picture, a function of the outputs, or a
            Target (`convscope.scope.aims` has more: log-odds, a box, a region, likeness to a picture). None for a
            detector and picture files: its surest boxes, one heat map each.
        layer: for methods that read one: a path, a pattern, several, "all"; None for the last with spatial extent.
        signed: keep negative heat; None leaves it to the method.
        options: the method's own, by name ({"steps": 64}).
        seed: of everything drawn at random.
        preprocess: for files and PIL pictures where the model brings none; see `convscope.Scope`.
        labels: names of the pictures.
        limits: of memory and batch size.
        progress: told how far it is.

    Returns:
        An Attribution that draws itself in a notebook and saves PNG, NPZ and JSON.

    Raises:
        UnknownNameError, PlanError, ModelError, TargetError, DataError: one line that says what to change.

    Example:
        >>> convscope.explain("last", "photo.jpg", method="layer-cam").save("explained")  # doctest: +SKIP
    """
    opened = opened_model(model)
    if target is None and _task(opened) == "detect" and (files := files_among(images)):
        from convscope.actions.explain_boxes import explain_boxes

        others = {"signed": signed, "preprocess": preprocess, "labels": labels or None, "limits": limits}
        for name in (name for name, value in others.items() if value is not None):
            raise PlanError(
                f"expected no {name} for the boxes of a detector; leave it out, or pass target=aims.box(...)"
            )
        return explain_boxes(opened, files, [method], layer=layer, options=dict(options or {}), seed=seed,
                             progress=progress)[0]  # fmt: skip
    probe = opened if isinstance(opened, Probe) else Probe(opened)
    given = given_pictures(opened, images, preprocess, labels)
    wish = Wish(layer=layer, signed=signed, options=options or {}, seed=seed, saved_layer=saved_layer(opened))
    found = engine.explain(
        probe,
        given.arrays,
        method,
        target,
        wish=wish,
        limits=limits,
        labels=given.labels,
        provenance=provenance_of(opened, probe, seed),
        progress=progress,
    )
    return shown(found, for_people(opened, probe, given.arrays), given.letterboxes)


def explain_files(
    model: str | Path | Any,
    files: Sequence[str | Path],
    methods: Sequence[str],
    *,
    target: str | int | None = None,
    layer: str | Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    plane: Plane | None = None,
    seed: int = 0,
    out: Path = Path("explained"),
    progress: Progress = silent,
) -> tuple[Path, tuple[Explanation, ...]]:
    """Explain picture files by several methods; write overlays, NPZ, JSON and one page.

    Args:
        model: a run, a bundle, or an opened model.
        files: pictures, or folders of pictures.
        methods: registered names.
        target: "predicted" or None for what the network says; else a class name or index; for a segmenter also
            CLASS@ROW,COLUMN, the piece of the class at this pixel.
        layer: as in `explain`, for the methods that read one.
        options: name -> value, given to each method that has an option of that name; at least one must.
        plane: segmenters: how volumes are cut; None: as for training.
        seed: of everything drawn at random.
        out: folder to write to.
        progress: told how far it is.

    Returns:
        The page, and one Explanation per method.

    Raises:
        As `explain`; PlanError for an option that none of the methods has.
    """
    opened = opened_model(model)
    task = _task(opened)
    known = _known(methods, options or {}, is_segmenter=task == "segment")
    if task == "segment":
        return _masks(opened, files, methods, target=target, layer=layer, options=dict(options or {}), plane=plane,
                      seed=seed, out=out, progress=progress)  # fmt: skip
    if task == "detect":
        from convscope.actions.explain_boxes import explain_boxes

        if target not in (None, "predicted"):
            raise PlanError(
                f"expected target 'predicted' for a detector, got {target!r}; its surest boxes are explained"
            )
        boxes = explain_boxes(
            opened, files, methods, layer=layer, options=dict(options or {}), seed=seed, progress=progress
        )
        return _written(boxes, out), boxes
    probe = Probe(opened)
    given = given_pictures(opened, list(files), None, ())
    aim = aim_of(target, probe)
    made = []
    for name, how in known.items():
        wish = Wish(
            layer=layer if how.needs_layer else None,
            options={k: v for k, v in (options or {}).items() if k in how.options},
            seed=seed,
            saved_layer=saved_layer(opened),
        )
        one = engine.explain(probe, given.arrays, name, aim, wish=wish, labels=given.labels,
                             provenance=provenance_of(opened, probe, seed), progress=progress)  # fmt: skip
        made.append(shown(one, for_people(opened, probe, given.arrays), given.letterboxes))
    return _written(made, out), tuple(made)


def _task(opened: Any) -> str:
    return opened.card.task if isinstance(opened, Opened) and opened.card is not None else ""


def _known(methods: Sequence[str], options: Mapping[str, Any], *, is_segmenter: bool) -> dict[str, Method]:
    """The registered methods among `methods`.

    Raises:
        UnknownNameError: no such method. PlanError: an option that none of them has.
    """
    from convscope.explaining.doubt import DOUBTS
    from convscope.explaining.method import method as registered

    known = {name: registered(name) for name in methods if not (is_segmenter and name in DOUBTS)}
    own = {"passes"} if len(known) < len(methods) else set()
    for option in options:
        if option not in own and not any(option in how.options for how in known.values()):
            if not known:
                raise PlanError(f"expected the option passes of {', '.join(methods)}, got {option!r}")
            next(iter(known.values())).checked({option: None})
    return known


def _masks(
    opened: Opened,
    files: Sequence[str | Path],
    methods: Sequence[str],
    *,
    target: str | int | None,
    layer: str | Sequence[str] | None,
    options: dict[str, Any],
    plane: Plane | None,
    seed: int,
    out: Path,
    progress: Progress,
) -> tuple[Path, tuple[Explanation, ...]]:
    """A region of each picture explained and written; volumes get their heat stitched."""
    from convscope.actions.explain_masks import explain_masks
    from convscope.actions.mask_volumes import write_heat_volumes

    made = explain_masks(opened, files, methods, target=target, layer=layer, options=options, plane=plane, seed=seed,
                         progress=progress)  # fmt: skip
    page = _written(made.found, out)
    for one in made.found:
        write_heat_volumes(out, one, made.samples, made.indices)
    return page, made.found


def _written(found: Sequence[Explanation], out: Path) -> Path:
    """Overlays, numbers and the page."""
    for one in found:
        one.save(out)
    write_text(out / "explained.html", render_report(_report(found)))
    return out / "explained.html"


def _report(found: Sequence[Explanation]) -> Report:
    from dataclasses import replace

    from convscope.explaining.doubt import DOUBTS

    sections = []
    for place, one in enumerate(found):
        first = one if len(one.heat) <= MOST_ON_PAGE else _first(one, MOST_ON_PAGE)
        section = attribution_section(first, list(first.pictures))
        words = (
            (one.method, f"{one.facts['words']} Source: {one.facts['source']}."),
            *_region_words(one),
            *(_DOUBT_WORDS if one.method in DOUBTS else section.words),
        )
        title = f"{'Where it is unsure' if one.method in DOUBTS else 'Where it looks'}: {one.method}"
        sections.append(replace(section, name=f"attribution-{place}", title=title, words=words))
    return Report(title="explanations", sections=tuple(sections), provenance=found[0].provenance)


def _region_words(one: Explanation) -> Words:
    """How much heat lies inside the region that was explained, where one was."""
    if "energy inside" not in one.facts:
        return ()
    energy = np.asarray(one.facts["energy inside"], np.float64)
    hits = np.asarray(one.facts["pointing game"], bool)
    detail = (
        f"{percent(float(energy.mean()))} of the heat, mean over {len(energy)}; the warmest place lies inside in "
        f"{int(hits.sum())}. What lies outside is context that the network uses, or doubt beyond the border."
    )
    return (("Inside the outlined region:", detail),)


def _first(one: Explanation, most: int) -> Explanation:
    from dataclasses import replace

    return replace(one, heat=one.heat[:most], targets=one.targets[:most], scores=one.scores[:most],
                   labels=one.labels[:most], pictures=one.pictures[:most],
                   letterboxes=one.letterboxes[:most])  # fmt: skip


def option_value(text: str) -> tuple[str, int | float | bool | str]:
    """One "name=value" of the command line, the value as a number or truth where it is one.

    Raises:
        PlanError: no "=" in it.
    """
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise PlanError(f"expected an option as name=value, got {text!r}; for example --option steps=64")
    if value.lower() in ("true", "false"):
        return name.strip(), value.lower() == "true"
    for kind in (int, float):
        try:
            return name.strip(), kind(value)
        except ValueError:
            continue
    return name.strip(), value
