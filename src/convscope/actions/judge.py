"""`convscope.judge` and `convscope judge`: which explanation of this network can be believed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.asking import aim_of, for_people, given_pictures, opened_model, provenance_of
from convscope.actions.dataset import read_as_trained
from convscope.actions.judged_run import keep_judgement, run_behind
from convscope.actions.marked import marks
from convscope.actions.predict import known_card
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.loose import read_pictures
from convscope.draw.numbers import counted
from convscope.errors import DataError, PlanError
from convscope.explaining import judge as judging
from convscope.explaining.engine import Limits, Wish
from convscope.explaining.layers import saved_layer
from convscope.explaining.method import Method
from convscope.explaining.method import method as registered
from convscope.explaining.relabelling import Budget, Relabelled, learned_shuffled_labels
from convscope.files.atomic import write_json, write_text
from convscope.files.journal import plain
from convscope.records.card import Opened
from convscope.records.judgement import RANDOM, Judgement
from convscope.records.progress import Progress, silent
from convscope.records.provenance import Provenance
from convscope.records.report import Facts, Report
from convscope.reporting.explaining import judged_words, judgement_section, methods_section
from convscope.reporting.framed import framed
from convscope.reporting.render import render_report
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike

METHODS = ("grad-cam", "layer-cam", "hires-cam", "integrated-gradients", "smooth-grad", "guided-backprop", "occlusion")
MOST_RELABELLED = 512


@dataclass(frozen=True, eq=False)
class Judged:
    """What the judge found, and its page.

    Attributes:
        judgement: the numbers.
        report: the page as data.
    """

    judgement: Judgement
    report: Report

    def save(self, folder: str | Path) -> Path:
        """Write judge.html and judge.json; return the page."""
        page = Path(folder) / "judge.html"
        write_json(page.with_suffix(".json"), plain(self.judgement.as_dict()))
        write_text(page, render_report(self.report))
        return page

    def __str__(self) -> str:
        """The table and the words."""
        return str(self.judgement)

    def _repr_html_(self) -> str:
        return framed(self.report)


def judge(
    model: Any,
    images: Any,
    methods: Sequence[str] = METHODS,
    target: TargetLike = None,
    *,
    masks: Any = None,
    boxes: str | Path | None = None,
    sanity: bool = True,
    shuffled_labels: Any = None,
    layer: str | Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    preprocess: Any = None,
    limits: Limits | None = None,
    progress: Progress = silent,
) -> Judged:
    """Run several methods on the same pictures and measure which of them can be believed.

    Args:
        model: as in `convscope.explain`.
        images: as in `convscope.explain`.
        methods: registered names; a random map is always judged beside them.
        target: as in `convscope.explain`.
        masks: where the object is: a folder of mask pictures of the same names and sizes, or (n, height, width) bool
            in the network frame.
        boxes: a CSV file with the columns picture, top, left, bottom, right, in the picture's own pixels.
        sanity: draw the weights anew layer by layer, and shake the pictures, to see what the heat depends on.
        shuffled_labels: pictures with labels (a folder of class folders) on which a twin of the network is trained
            with shuffled labels; or a model that was trained so; the heat of both is compared.
        layer: as in `convscope.explain`, for the methods that read one.
        options: name -> value, given to each method that has an option of that name.
        seed: of everything drawn at random.
        preprocess: as in `convscope.explain`.
        limits: of memory and batch size.
        progress: told how far it is.

    Returns:
        The judgement, which the report of a run shows from then on; it prints a table, draws itself in a notebook and
        saves a page and JSON.

    Raises:
        UnknownNameError, PlanError, ModelError, TargetError, DataError: one line that says what to change.
    """
    known = {name: registered(name) for name in methods}
    opened = opened_model(model)
    probe = opened if isinstance(opened, Probe) else Probe(opened)
    keys, given = _files(opened, images, preprocess)
    arrays = np.asarray(given.arrays)
    if isinstance(masks, np.ndarray):
        mine: np.ndarray | None = masks
    else:
        mine = marks(keys, given.letterboxes, masks=masks, boxes=boxes)
    limits = limits or Limits()
    wishes = _wishes(known, layer, options or {}, seed, saved_layer(opened))
    twin = _twin(opened, probe, shuffled_labels, seed, progress)
    aim = aim_of(target, probe) if isinstance(target, int | str) else target
    found = judging.judge(
        probe, arrays, list(known), aim, masks=mine, sanity=sanity, shuffled=twin.model if twin else None,
        wishes=wishes, limits=limits, seed=seed, progress=progress,
    )  # fmt: skip
    folder = run_behind(model)
    if folder is not None:
        keep_judgement(folder, found, f"{counted(len(arrays), 'picture')} given to `convscope judge`")
    pictures, where = for_people(opened, probe, arrays), provenance_of(opened, probe, seed)
    return Judged(found, _report(found, known, pictures, keys, where=where, twin=twin))


def _files(opened: Any, images: Any, preprocess: Any) -> tuple[tuple[str, ...], Any]:
    """Names by which marks are found, and the pictures as the model takes them."""
    if isinstance(images, str | Path) or (
        isinstance(images, list | tuple) and images and all(isinstance(i, str | Path) for i in images)
    ):
        keys = tuple(read_pictures(images).pictures.keys)
        return keys, given_pictures(opened, list(keys), preprocess, ())
    given = given_pictures(opened, images, preprocess, ())
    return given.labels or tuple(f"picture {i}" for i in range(len(given.arrays))), given


def _wishes(
    known: Mapping[str, Method], layer: Any, options: Mapping[str, Any], seed: int, saved: str
) -> dict[str, Wish]:
    for option in options:
        if not any(option in how.options for how in known.values()):
            next(iter(known.values())).checked({option: None})
    return {
        name: Wish(
            layer=layer if how.needs_layer else None,
            options={k: v for k, v in options.items() if k in how.options},
            seed=seed,
            saved_layer=saved,
        )
        for name, how in known.items()
    }


def _twin(opened: Any, probe: Probe, source: Any, seed: int, progress: Progress) -> Relabelled | None:
    if source is None:
        return None
    if not isinstance(source, str | Path):
        other = opened_model(source)
        model = other.model if isinstance(other, Opened | Probe) else other
        return Relabelled(model, float("nan"), "a second model, given as trained on shuffled labels")
    if not isinstance(opened, Opened):
        raise PlanError("expected a run or a bundle for shuffled labels from files: a bare model has no preprocessing")
    card = known_card(opened)
    samples = read_as_trained(Path(source), card)
    if card.task != "classify" or samples.truth is None or samples.classes != card.classes:
        names = ", ".join(card.classes[:8])
        raise DataError(f"{source}: expected pictures with one label each of the model's own classes ({names})")
    count = min(len(samples), MOST_RELABELLED)
    chosen = samples.subset(np.sort(np.random.Generator(np.random.Philox(key=seed)).permutation(len(samples))[:count]))
    batch = Loader(chosen, card.preprocess, batch_size=count, cache=NO_CACHE, unreadable="drop").batch(0, 0)
    from convscope.actions.network import as_model_input

    inputs = as_model_input(batch.images, card.preprocess)
    truth = np.asarray(chosen.truth)[batch.indices]
    return learned_shuffled_labels(probe.model, inputs, truth, budget=Budget(seed=seed), progress=progress)


def _report(
    found: Judgement,
    known: Mapping[str, Method],
    pictures: np.ndarray,
    keys: Sequence[str],
    *,
    where: Provenance,
    twin: Relabelled | None,
) -> Report:
    note = f"{len(pictures)} pictures, {len(found.methods) - 1} methods and a random map"
    signs = {name: how.is_signed for name, how in known.items()}
    heats = {name: found.heats[name] for name in found.methods}
    facts = [Facts("Pictures", (("judged", str(len(pictures))), ("masks or boxes", _marked(found))))]
    if twin is not None:
        facts.append(Facts("Shuffled labels", (("twin", twin.words),)))
    facts.append(Facts("Sources", tuple((name, how.source) for name, how in known.items())))
    sections = (
        judgement_section(found, note=note),
        methods_section(heats, list(pictures), keys, signed=signs, provenance=where),
    )
    best = found.methods[0] if found.methods[0] != RANDOM else "none"
    return Report(
        title="explanations, judged", subtitle=f"best: {best}", words=judged_words(found)[:3], facts=tuple(facts),
        sections=sections, provenance=where,
    )  # fmt: skip


def _marked(found: Judgement) -> str:
    return "given" if "energy inside" in found.measures else "none"
