"""What a layer makes of a whole data set, laid out in the plane."""

from __future__ import annotations

import numpy as np

from convscope.errors import ModelError, PlanError
from convscope.records.embedding import Embedding
from convscope.records.progress import Progress, silent
from convscope.records.provenance import Provenance
from convscope.scope.feed import Feed
from convscope.scope.maps import channels_last, check_finite
from convscope.scope.tap import Probe
from convscope.scope.tsne import lay_out

MOST_TSNE = 3000  # exact t-SNE needs time and memory of n squared


def embed(
    probe: Probe,
    feed: Feed,
    layer: str,
    *,
    method: str = "pca",
    pool: bool = True,
    seed: int = 0,
    provenance: Provenance | None = None,
    progress: Progress = silent,
) -> Embedding:
    """One forward pass over the data, then two numbers for each picture.

    Args:
        probe: looks into the model.
        feed: the pictures.
        layer: path.
        method: "pca" or "tsne" (up to 3,000 pictures).
        pool: maps are averaged over their places first, so that only what is in a picture counts and not where.
        seed: of t-SNE's start.
        provenance: copied along.
        progress: told about each batch.

    Raises:
        UnknownLayerError: no such layer. PlanError: another method, or fewer than 3 pictures.
        ModelError: NaN in the layer, or too many pictures for t-SNE.
    """
    if method == "tsne" and len(feed) > MOST_TSNE:
        raise ModelError(f"expected at most {MOST_TSNE} pictures for t-SNE, got {len(feed)}; take fewer, or method pca")
    rows, name = [], layer
    for start in range(0, len(feed), probe.batch_size):
        batch = feed.take(start, min(len(feed), start + probe.batch_size))
        name = probe.select(layer, batch)[0]
        maps = channels_last(probe.activations(batch, name)[name], probe.call(name, batch))
        check_finite(maps, name, feed.ids[start : start + len(maps)])
        rows.append(maps.mean(axis=(1, 2)) if pool else maps.reshape(len(maps), -1))
        progress("pictures laid out", start + len(batch), len(feed))
    values = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
    points = embedding(values, method=method, seed=seed)
    return Embedding(
        layer=name,
        method=method,
        points=points,
        truth=feed.truth,
        classes=probe.classes,
        labels=feed.ids,
        kept=_kept(values, points) if method == "pca" else None,
        provenance=provenance or Provenance(),
    )


def embedding(values: np.ndarray, *, method: str = "pca", seed: int = 0, perplexity: float = 20.0) -> np.ndarray:
    """Lay a layer's values (n, ...) out in the plane: (n, 2) float64.

    Args:
        values: activations, one row per picture.
        method: "pca" (the two largest principal components) or "tsne" (van der Maaten and Hinton 2008, exact, for up
            to a few thousand pictures).
        seed: of t-SNE's start.
        perplexity: of t-SNE, about how many neighbours count.

    Raises:
        PlanError: another method, or too few pictures.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    if len(flat) < 3:
        raise PlanError(f"expected at least 3 pictures to lay out, got {len(flat)}")
    if method not in ("pca", "tsne"):
        raise PlanError(f"expected method 'pca' or 'tsne', got {method!r}")
    centred = flat - flat.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    if method == "pca":
        return left[:, :2] * sizes[:2] if len(sizes) > 1 else np.column_stack([left[:, 0] * sizes[0], 0 * left[:, 0]])
    return lay_out(left[:, :50] * sizes[:50], perplexity=min(perplexity, (len(flat) - 1) / 3), seed=seed)


def _kept(values: np.ndarray, points: np.ndarray) -> float:
    """Share of the variance that the plane holds."""
    whole = float(values.astype(np.float64).var(axis=0).sum())
    return float(points.var(axis=0).sum()) / whole if whole > 0 else 1.0
