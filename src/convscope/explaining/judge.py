"""Is an explanation any good? Several methods on the same pictures, one table with intervals, and plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.agreement import agreement
from convscope.explaining.asked import Asked
from convscope.explaining.engine import Limits, Wish, batch_size, explain, picture_part
from convscope.explaining.faithful import area, confidence_change, curves, inside, road
from convscope.explaining.frames import resize_stack
from convscope.explaining.sanity import label_check, randomisation
from convscope.records.attribution import Attribution
from convscope.records.judgement import MEASURES, RANDOM, RANKED_BY, Judgement, Measured, Sanity
from convscope.records.progress import Progress, silent
from convscope.scope.batches import checked_inputs
from convscope.scope.tap import Probe
from convscope.scope.target import TargetLike, as_target

__all__ = ["MEASURES", "RANDOM", "Judgement", "Measured", "judge", "sensitivity"]


def judge(
    model: Any,
    images: Any,
    methods: Mapping[str, Attribution | np.ndarray] | Sequence[str],
    target: TargetLike = None,
    *,
    masks: np.ndarray | None = None,
    sanity: bool = True,
    shuffled: Any = None,
    wishes: Mapping[str, Wish] | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Judgement:
    """Judge methods, or given heat maps, on these pictures.

    Args:
        model: a Probe, an Opened or a Keras model.
        images: as the model takes them.
        methods: registered names, which are run; or name -> Attribution or heat (n, h, w).
        target: as in `explain`; scores are read as probabilities where the head gives them.
        masks: (n, height, width) bool in the network frame, True on the object; see `faithful.boxes_as_masks`.
        sanity: whether to run the randomisation check and the sensitivity of registered methods as well.
        shuffled: a second model of the same inputs and outputs that was trained on shuffled labels (see
            `sanity.learned_shuffled_labels`); the check of labels compares the heat of both.
        wishes: name -> Wish for methods that are run.
        limits: of memory and batch.
        seed: of the random map, the bootstrap and the random weights.
        progress: told how far it is.

    Raises:
        PlanError: heat or masks that don't fit the pictures. As `explain`.
    """
    probe = model if isinstance(model, Probe) else Probe(model)
    given, wishes, limits = checked_inputs(probe.model, images), wishes or {}, limits or Limits()
    if isinstance(methods, Mapping):
        heats = {k: np.asarray(v.heat if isinstance(v, Attribution) else v, np.float32) for k, v in methods.items()}
        runnable: list[str] = []
    else:
        runnable = list(methods)
        heats = {
            k: explain(probe, images, k, target, wish=wishes.get(k), limits=limits, progress=progress).heat
            for k in runnable
        }
    asked = _question(probe, given, target, limits, seed, progress)
    heats = _checked(heats, asked, masks) | {RANDOM: _random_maps(asked)}
    measured = {name: _measured(asked, heat, masks) for name, heat in heats.items()}
    found, lines = {k: v[0] for k, v in measured.items()}, {k: v[1] for k, v in measured.items()}
    checks, relabelled = {}, {}
    for name in runnable:
        wish = wishes.get(name)
        if sanity:
            found[name]["sensitivity"] = sensitivity(probe, images, name, heats[name], target, wish=wish, limits=limits)
            checks[name] = randomisation(
                probe, images, name, target, wish=wish, seed=seed, limits=limits, progress=progress
            )
        if shuffled is not None:
            relabelled[name] = label_check(probe, shuffled, images, name, target, wish=wish, limits=limits)
    order = _ranked(found)
    table = {n: {m: _interval(v, seed) for m, v in found[n].items()} for n in order}
    measures = tuple(m for m in MEASURES if any(m in row for row in table.values()))
    return Judgement(
        order, measures, table, found,
        sanity=checks, labels=relabelled, curves=lines, heats={n: heats[n] for n in order},
        alike=agreement({n: heats[n] for n in order}),
        words=_words(order, table, [*checks.values(), *relabelled.values()]),
    )  # fmt: skip


def sensitivity(
    model: Any,
    images: Any,
    name: str,
    heat: np.ndarray,
    target: TargetLike = None,
    *,
    noise: float = 0.02,
    draws: int = 3,
    wish: Wish | None = None,
    limits: Limits | None = None,
) -> np.ndarray:
    """(n,) largest |heat of a noisy copy - heat| / |heat| over draws of uniform noise of `noise` x the range.

    Source: Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, eq. 2 (max-sensitivity, sampled).
    """
    rng = np.random.Generator(np.random.Philox(key=0))
    values = np.asarray(images, np.float32)
    span = np.ptp(values.reshape(len(values), -1), axis=1).reshape(-1, *[1] * (values.ndim - 1))
    length = np.linalg.norm(heat.reshape(len(heat), -1), axis=1)
    worst = np.zeros(len(heat))
    for _ in range(draws):
        other = values + (rng.uniform(-noise, noise, values.shape) * span).astype(np.float32)
        moved = explain(model, other, name, target, wish=wish, limits=limits).heat - heat
        change = np.linalg.norm(moved.reshape(len(heat), -1), axis=1)
        worst = np.maximum(worst, np.divide(change, length, out=np.zeros_like(worst), where=length > 0))
    return worst


def _question(probe: Probe, given: Any, target: TargetLike, limits: Limits, seed: int, progress: Progress) -> Asked:
    aim = as_target(target)
    if aim.function is None and aim.against is None:
        aim = replace(aim, before_activation=False)
    probe.batch_size = batch_size(probe, given.structure, limits, differentiates=False)
    part = picture_part(given.structure, None)
    return Asked(probe, given.structure, aim, part=part, seed=seed, progress=progress)


def _checked(heats: dict[str, np.ndarray], asked: Asked, masks: np.ndarray | None) -> dict[str, np.ndarray]:
    for name, heat in heats.items():
        if heat.ndim != 3 or len(heat) != asked.n or not np.isfinite(heat).all():
            raise PlanError(f"expected finite heat ({asked.n}, height, width) of {name}, got shape {heat.shape}")
    if masks is not None:
        size = asked.pictures.shape[:3]
        if masks.shape != size:
            raise PlanError(f"expected masks {size} in the network frame, got {masks.shape}")
        if not masks.any(axis=(1, 2)).all():
            raise PlanError(
                f"expected something inside each mask, mask {int(np.argmin(masks.any(axis=(1, 2))))} is empty"
            )
    return heats


def _random_maps(asked: Asked) -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(key=asked.seed))
    return resize_stack(rng.random((asked.n, 7, 7), np.float32), *asked.pictures.shape[1:3])


def _measured(
    asked: Asked, heat: np.ndarray, masks: np.ndarray | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Measures per picture, and the two mean curves."""
    deleted, inserted = curves(asked, heat)
    drop, rises = confidence_change(asked, heat)
    found = {
        "insertion": area(inserted),
        "deletion": area(deleted),
        "road": road(asked, heat),
        "confidence drop": drop,
        "confidence gain": rises.astype(float),
    }
    if masks is not None:
        energy, hit = inside(heat, masks)
        found |= {"energy inside": energy, "pointing game": hit.astype(float)}
    return found, {"insertion": inserted.mean(axis=0), "deletion": deleted.mean(axis=0)}


def _ranked(found: dict[str, dict[str, np.ndarray]]) -> tuple[str, ...]:
    """Names by mean rank over RANKED_BY, best first; ties by insertion."""
    names = list(found)
    ranks = np.zeros(len(names))
    for measure in RANKED_BY:
        if all(measure in found[n] for n in names):
            means = np.array([found[n][measure].mean() for n in names]) * (1 if MEASURES[measure][0] else -1)
            ranks += [float((means > m).sum() + (means == m).sum() / 2) for m in means]
    ties = [-found[n]["insertion"].mean() for n in names]
    return tuple(names[i] for i in np.lexsort((ties, ranks)))


def _interval(values: np.ndarray, seed: int) -> Measured:
    rng = np.random.Generator(np.random.Philox(key=seed))
    draws = values[rng.integers(0, len(values), (1000, len(values)))].mean(axis=1)
    return Measured(float(values.mean()), *(float(q) for q in np.quantile(draws, (0.025, 0.975))))


def _words(order: tuple[str, ...], table: dict[str, dict[str, Measured]], checks: Sequence[Sanity]) -> tuple[str, ...]:
    said = [f"Best on these pictures: {order[0]}." if order[0] != RANDOM else "No method beats a random map here."]
    below = order[order.index(RANDOM) + 1 :]
    if below and order[0] != RANDOM:
        said.append(f"Ranked below a random map by mean rank: {', '.join(below)}.")
    for name in order:
        if name == RANDOM:
            continue
        mine, chance = table[name], table[RANDOM]
        gains = [m for m in ("insertion", "road") if mine[m].low > chance[m].high]
        gains += ["deletion"] if mine["deletion"].high < chance["deletion"].low else []
        said.append(
            f"{name} is better than chance on {', '.join(gains)}, intervals apart."
            if gains
            else f"{name} can't be told from chance by its intervals; take more pictures."
        )
    return (*said, *(check.words() for check in checks))
