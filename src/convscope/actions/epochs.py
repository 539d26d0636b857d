"""A run at several of its epochs: models from its checkpoints, and the film strips of filters that it kept."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from convscope.actions.opening import find_run, open_any
from convscope.errors import DataError, RunError
from convscope.records.card import Opened
from convscope.records.embedding import FilterFilm
from convscope.records.report import Section
from convscope.reporting.comparing import filters_film_section

FILMS = 6
_EPOCH = re.compile(r"epoch-(\d+)\.npz")


def model_of_epoch(run: str | Path, epoch: int) -> Opened:
    """The model of a finished run with the weights that its checkpoint after this epoch holds.

    Raises:
        RunError: no such checkpoint is kept; says which are. BundleError: it is damaged.
    """
    from convscope.training.checkpoint import checkpoints, read_checkpoint
    from convscope.training.weights import write_variables

    folder = find_run(run)
    kept = {int(p.name.removeprefix("epoch-")): p for p in checkpoints(folder) if "batch" not in p.name}
    if epoch not in kept:
        there = ", ".join(map(str, sorted(kept))) or "none"
        raise RunError(
            f"{folder}: expected an epoch whose checkpoint is kept ({there}), got {epoch}; "
            "train with a larger keep_checkpoints to keep more"
        )
    opened = open_any(folder)
    write_variables(opened.model.variables, read_checkpoint(kept[epoch]).weights, f"weights of epoch {epoch}")
    return opened


def kept_epochs(run: str | Path) -> list[int]:
    """The epochs of a run whose checkpoint is kept, in order: what `model_of_epoch` can open."""
    from convscope.training.checkpoint import checkpoints

    return sorted(int(p.name.removeprefix("epoch-")) for p in checkpoints(find_run(run)) if "batch" not in p.name)


def filter_films(run: str | Path, *, most: int = FILMS) -> tuple[FilterFilm, ...]:
    """The film strips of the filters that the `Learning` callback kept in a run folder; those that moved most first.

    Raises:
        DataError: a file of it can't be read.
    """
    files = sorted(p for p in (Path(run) / "filters").glob("epoch-*.npz") if _EPOCH.fullmatch(p.name))
    if len(files) < 2:
        return ()
    epochs = tuple(int(p.stem.removeprefix("epoch-")) for p in files)
    try:
        moments = [dict(np.load(p)) for p in files]
    except (OSError, ValueError) as error:
        raise DataError(f"{files[0].parent}: can't be read ({error}); remove this folder to do without") from error
    films: list[tuple[float, FilterFilm]] = []
    for layer, first in moments[0].items():
        if first.ndim != 4:
            continue
        for channel in range(first.shape[-1]):
            kernels = np.stack([m[layer][..., channel] for m in moments]).astype(np.float32)
            moved = float(np.linalg.norm(kernels[-1] - kernels[0]))
            if not moved:
                continue  # a frozen layer makes no film
            films.append((moved, FilterFilm(layer, channel, epochs, kernels)))
    films.sort(key=lambda pair: -pair[0])
    return tuple(film for _, film in films[:most])


def filter_film_sections(run: str | Path) -> list[Section]:
    """The chapter of a report; nothing where no filters were kept."""
    films = filter_films(run)
    return [filters_film_section(films)] if films else []
