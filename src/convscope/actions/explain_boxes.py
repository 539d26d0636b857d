"""Why a detector says a box: one heat map for each box, by any method that explains a score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convscope.actions.asking import provenance_of
from convscope.actions.box_steps import find_boxes
from convscope.actions.network import as_model_input
from convscope.actions.predict import known_card
from convscope.backend.selection import load_keras
from convscope.data.budget import NO_CACHE
from convscope.data.loader import Loader
from convscope.data.loose import read_pictures
from convscope.data.places import place_of
from convscope.draw.box_marks import Shown
from convscope.draw.boxes import boxes_picture
from convscope.errors import DataError, ModelError
from convscope.explaining import engine
from convscope.explaining.engine import Wish
from convscope.explaining.frames import resize_stack
from convscope.explaining.method import method as registered
from convscope.explaining.shown import Explanation, for_the_eye, shown
from convscope.records.attribution import Attribution
from convscope.records.boxes import Detections, Found
from convscope.records.card import Opened
from convscope.records.progress import Progress
from convscope.scope.tap import Probe
from convscope.scope.target import Target

PER_PICTURE = 3
CELLS = 8
_NECK = re.compile(r"neck_p\d(_out_silu)?")
WORDS = "how much the detector still says this box: class scores weighed by overlap with it (D-RISE, equation 3)"


@dataclass(frozen=True, eq=False)
class Asked:
    """The boxes that are explained, one row each.

    Attributes:
        images: (n, h, w, c) the picture of each box, in the frame, before scale and offset.
        wanted: (n, 5) float32 xyxy in pixels of the frame and class index.
        scores: (n,) float32 what the detector gave each box.
        labels: "picture: class 0.93".
    """

    images: np.ndarray
    wanted: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]


def explain_boxes(
    opened: Opened,
    files: Sequence[str | Path],
    methods: Sequence[str],
    *,
    layer: str | Sequence[str] | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    per_picture: int = PER_PICTURE,
    progress: Progress,
) -> tuple[Explanation, ...]:
    """Explain the surest boxes of each picture; Grad-CAM, occlusion, rise (then this is D-RISE) and the rest.

    Args:
        opened: a detector with its card.
        files: pictures, or folders of pictures.
        methods: registered names.
        layer: names in the detector for methods that read one; None for the
            layer of its neck that fits the size of the box.
        options: name -> value, for the methods that have an option of that name.
        seed: of everything drawn at random.
        per_picture: how many boxes at most.
        progress: told how far it is.

    Raises:
        DataError: no box above the detector's threshold in any picture.
        ModelError: a method that needs a layer, of a detector that names none.
    """
    asked = ask(opened, files, per_picture=per_picture, progress=progress)
    card = known_card(opened)
    probe = Probe(score_model(opened.model), batch_size=8)
    inputs = (as_model_input(asked.images, card.preprocess), asked.wanted)
    found = []
    for name in methods:
        how = registered(name)
        chosen = {k: v for k, v in (options or {}).items() if k in how.options}
        parts = []
        for rows, layers in layers_for(opened, asked.wanted, layer, how.needs_layer):
            wish = Wish(layer=layers, options=chosen, seed=seed)
            parts.append(
                engine.explain(
                    probe, [x[rows] for x in inputs], name, Target(function=first_output, words=WORDS), wish=wish,
                    labels=[asked.labels[i] for i in rows], provenance=provenance_of(opened, probe, seed),
                    progress=progress,
                )
            )  # fmt: skip
        found.append(_joined(parts, asked, card.classes))
    return tuple(found)


def layers_for(
    opened: Opened, wanted: np.ndarray, layer: str | Sequence[str] | None, needs_layer: bool
) -> list[tuple[np.ndarray, list[str] | None]]:
    """Rows of `wanted` with the layers that explain them: for each box the map on which it has about CELLS a side.

    Raises:
        ModelError: a detector made elsewhere of which no layer was named.
    """
    detector, everything = opened.model, np.arange(len(wanted))
    if not needs_layer:
        return [(everything, None)]
    if layer is not None:
        names = [layer] if isinstance(layer, str) else list(layer)
        return [(everything, [f"{detector.name}/{name}" for name in names])]
    neck = neck_of(opened)
    if not neck:
        raise ModelError(
            f"expected a layer to explain {detector.name} by; name the ones that its heads read: layer= here, or "
            "layers= of as_detector"
        )
    strides = np.array([detector.input_shape[1] / detector.get_layer(n).output.shape[1] for n in neck])
    sides = np.sqrt(np.prod(wanted[:, 2:4] - wanted[:, :2], axis=1)).clip(1)
    level = np.abs(np.log2(sides[:, None] / CELLS) - np.log2(strides)[None]).argmin(axis=1)
    return [(np.flatnonzero(level == k), [f"{detector.name}/{neck[k]}"]) for k in np.unique(level)]


def _joined(parts: Sequence[Attribution], asked: Asked, classes: tuple[str, ...]) -> Explanation:
    """All boxes in one explanation, in the order in which they were asked for."""
    heats = [heat for part in parts for heat in part.heat]
    hw = max((heat.shape for heat in heats), key=lambda shape: shape[0] * shape[1])
    labels = [label for part in parts for label in part.labels]
    place = [labels.index(label) for label in asked.labels]
    targets = [target for part in parts for target in part.targets]
    scores = np.concatenate([part.scores for part in parts])
    layers = tuple(dict.fromkeys(name for part in parts for name in part.layers))
    whole = replace(
        parts[0],
        heat=np.stack([resize_stack(heats[i][None], *hw)[0] for i in place]),
        targets=tuple(replace(targets[i], label=labels[i].rpartition(": ")[2]) for i in place),
        scores=scores[place],
        labels=asked.labels,
        layers=layers,
        layer_reason="for each box the map on which it is about 8 cells wide" if layers else parts[0].layer_reason,
    )
    return shown(whole, marked(asked, classes))


def neck_of(opened: Opened) -> list[str]:
    """The layers that the heads read, fine to coarse: which one a box comes from depends on its size."""
    return list(opened.neck) or [layer.name for layer in opened.model.layers if _NECK.fullmatch(layer.name)]


def score_model(detector: Any) -> Any:
    """A model of (pictures, wanted boxes) that gives how much the detector says each of them; layers are shared."""
    from convscope.layers.box_likeness import BoxLikeness

    keras = load_keras()
    pixels = keras.Input(detector.input_shape[1:], name="pixels_asked")
    wanted = keras.Input((5,), name="wanted")
    outputs = detector(pixels)
    score = BoxLikeness(name="likeness")(outputs["boxes"], outputs["scores"], wanted)
    return keras.Model([pixels, wanted], score, name="box_score")


def one_box_model(detector: Any, wanted: np.ndarray) -> Any:
    """A model of pictures alone that gives how much the detector says one box; layers are shared.

    Args:
        detector: `Detector.model`.
        wanted: (5,) xyxy in pixels of the frame, and the class.
    """
    from convscope.layers.box_likeness import BoxLikeness

    keras = load_keras()
    pixels = keras.Input(detector.input_shape[1:], name="pixels_asked")
    outputs = detector(pixels)
    nothing = keras.ops.reshape(pixels, (-1, int(np.prod(detector.input_shape[1:]))))[:, :5] * 0.0
    fixed = nothing + np.asarray(wanted, np.float32)[None]  # the same box for every picture of a batch
    score = BoxLikeness(name="likeness")(outputs["boxes"], outputs["scores"], fixed)
    return keras.Model(pixels, score, name="one_box_score")


def first_output(outputs: Any) -> Any:
    """The scores of `score_model` as (n,)."""
    return outputs[:, 0] if len(outputs.shape) == 2 else outputs


def ask(opened: Opened, files: Sequence[str | Path], *, per_picture: int, progress: Progress) -> Asked:
    """Find the boxes that will be explained.

    Raises:
        DataError: none is above the threshold.
    """
    card = known_card(opened)
    samples = read_pictures(files)
    said: Detections = find_boxes(opened, samples, progress=progress)
    place = {key: index for index, key in enumerate(samples.pictures.keys)}
    chosen = samples.subset(np.array([place[key] for key in said.keys]))
    loader = Loader(chosen, card.preprocess, batch_size=len(chosen), cache=NO_CACHE, unreadable="drop")
    images = loader.batch(0, 0).images
    rows, wanted, scores, labels = [], [], [], []
    for index, (key, found) in enumerate(zip(said.keys, said.found, strict=True)):
        sure = found.above(card.unsure_below)
        to_frame = place_of(found.picture_hw, card.preprocess)
        for box, label, score in list(zip(sure.xyxy, sure.labels.tolist(), sure.scores.tolist()))[:per_picture]:
            corners = to_frame.to_network(box.reshape(2, 2)[:, ::-1])[:, ::-1].reshape(-1)
            rows.append(images[index])
            wanted.append([*corners.tolist(), float(label)])
            labels.append(f"{key}: {card.classes[label]} {score:.2f}")
            scores.append(score)
    if not rows:
        raise DataError(
            f"expected at least one box of score {card.unsure_below:.3g} or more to explain, found none in "
            f"{len(said.keys)} pictures"
        )
    return Asked(np.stack(rows), np.array(wanted, np.float32), np.array(scores, np.float32), tuple(labels))


def marked(asked: Asked, classes: tuple[str, ...]) -> np.ndarray:
    """The pictures for the eye, each with its box painted in, (n, h, w, 3) uint8."""
    pictures = for_the_eye(np.asarray(asked.images, np.float32))
    painted = []
    for picture, row, score in zip(pictures, asked.wanted, asked.scores):
        hw = (int(picture.shape[0]), int(picture.shape[1]))
        one = Found(row[None, :4], np.array([int(row[4])]), score[None], hw)
        painted.append(boxes_picture(picture, Shown(one, None, score_threshold=0.0), classes))
    return np.stack(painted)
