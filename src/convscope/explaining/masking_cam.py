"""Class activation maps whose weights are measured by running the network: Score-CAM, Ablation-CAM."""

from __future__ import annotations

import numpy as np

from convscope.errors import PlanError
from convscope.explaining.asked import Asked
from convscope.explaining.cam import joined, weighed
from convscope.explaining.frames import resize_stack
from convscope.explaining.method import Answer, Method
from convscope.scope.editing import Edited
from convscope.scope.wiring import Place


def strongest_channels(maps: np.ndarray, top: int | None) -> np.ndarray:
    """(n, k) channel numbers in order, the k of largest spread; all of them for None."""
    n, _, _, channels = maps.shape
    if top is None or top >= channels:
        return np.broadcast_to(np.arange(channels), (n, channels))
    if top < 1:
        raise PlanError(f"expected top_channels of at least 1, got {top}")
    return np.sort(np.argsort(-maps.std(axis=(1, 2)), axis=1, kind="stable")[:, :top], axis=1)


def score_weights(scores: np.ndarray) -> np.ndarray:
    """Softmax over channels of scores (n, k); zeros where no channel makes a difference.

    Source: Wang et al. 2020, eq. 8 and algorithm 1 (the constant score of the empty picture cancels).
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    share = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    return np.where(np.ptp(scores, axis=1, keepdims=True) > 1e-9, share, 0.0)


def score_cam(asked: Asked, *, top_channels: int | None = None) -> Answer:
    """Each map, scaled to 0..1 and resized, masks the picture; the masked picture's score becomes the map's weight."""
    heats, pictures = [], asked.pictures
    for name, values in asked.values():
        channels = strongest_channels(values, top_channels)
        low = values.min(axis=(1, 2), keepdims=True)
        span = values.max(axis=(1, 2), keepdims=True) - low
        masks = np.divide(values - low, span, out=np.zeros_like(values), where=span > 0)
        scores = np.zeros(channels.shape)

        def masked(
            owners: np.ndarray, ks: np.ndarray, masks: np.ndarray = masks, channels: np.ndarray = channels
        ) -> np.ndarray:
            chosen = masks[owners, :, :, channels[owners, ks]]
            return pictures[owners] * resize_stack(chosen, *pictures.shape[1:3])[..., None]

        for part in asked.sweep(channels.shape[1], masked, what=f"score-cam of {name}"):
            scores[part.owners, part.variants] = part.scores
        weights = np.zeros((len(values), values.shape[-1]))
        np.put_along_axis(weights, channels, score_weights(scores), axis=1)
        heats.append(weighed(values, weights))
    return joined(heats, asked.layers, pictures.shape[1:3])


def ablation_cam(asked: Asked, *, top_channels: int | None = None) -> Answer:
    """Each map is zeroed inside the network; the share of the score that is lost becomes its weight.

    Source: Desai and Ramaswamy 2020, eq. 2.
    """
    heats = []
    for name, values in asked.values():
        place, call = asked.probe.place(name, asked.side), asked.call(name)
        channels = strongest_channels(values, top_channels)
        edited, count = _edited(asked, place), channels.shape[1]
        weights = np.zeros((asked.n, values.shape[-1]))
        shape = [1] * len(call.output_shapes[0])
        axis = call.channel_axis or 0
        shape[axis] = values.shape[-1]
        for start in range(0, asked.n * count, asked.probe.batch_size):
            flat = np.arange(start, min(start + asked.probe.batch_size, asked.n * count))
            owners, chosen = flat // count, channels[flat // count, flat % count]
            factors = np.ones((len(flat), values.shape[-1]), np.float32)
            factors[np.arange(len(flat)), chosen] = 0
            images, target = asked.with_batch(owners)
            without = edited.scores(asked.probe, images, target, factors.reshape(-1, *shape))
            whole = asked.scores[owners].astype(np.float64)
            lost = np.divide(whole - without, whole, out=np.zeros_like(whole), where=whole != 0)
            weights[owners, chosen] = lost
            asked.progress(f"ablation-cam of {name}", int(flat[-1]) + 1, asked.n * count)
        heats.append(weighed(values, weights))
    return joined(heats, asked.layers, asked.pictures.shape[1:3])


def _edited(asked: Asked, place: Place) -> Edited:
    kept: Edited = asked.kept(("edited", place), lambda: Edited(place))
    return kept


SCORE_CAM = Method(
    "score-cam",
    score_cam,
    "cam",
    "Wang et al. 2020, Score-CAM, CVPR workshops, eq. 8 and algorithm 1",
    "Maps weighed by the score of the picture seen through them; no gradients.",
    needs_gradients=False,
    needs_layer=True,
)
ABLATION_CAM = Method(
    "ablation-cam",
    ablation_cam,
    "cam",
    "Desai and Ramaswamy 2020, Ablation-CAM, WACV, eq. 2",
    "Maps weighed by the share of the score that is lost without them; no gradients.",
    needs_gradients=False,
    needs_layer=True,
)
