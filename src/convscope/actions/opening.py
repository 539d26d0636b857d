"""A path becomes an opened model: a run, a bundle, or a .keras file."""

from __future__ import annotations

from pathlib import Path

from convscope.errors import BundleError, RunError
from convscope.files.journal import JOURNAL
from convscope.files.manifest import MANIFEST
from convscope.records.card import Opened
from convscope.registry import nearest

RUNS = Path("runs")
BUNDLE = "model.cvs"
KERAS_FILE = "model.keras"


def find_run(run: str | Path, runs: Path = RUNS) -> Path:
    """The folder of a run: a path, a name below `runs`, or "last" for the newest.

    Raises:
        RunError: no such run; says the nearest names.
    """
    path = Path(run)
    if str(run) == "last":
        found = [p.parent for p in runs.glob(f"*/{JOURNAL}")]
        if not found:
            raise RunError(f"expected a run below {runs}/, found none; make one with `convscope train PICTURES`")
        return max(found, key=lambda folder: (folder / JOURNAL).stat().st_mtime_ns)
    for candidate in (path, runs / path):
        if (candidate / JOURNAL).is_file():
            return candidate
    names = [p.parent.name for p in runs.glob(f"*/{JOURNAL}")]
    if path.exists():
        raise RunError(f"{path}: expected a run folder with a {JOURNAL}, found none; {nearest(path.name, names)}")
    raise RunError(f"{path}: no such run folder; {nearest(path.name, names)}")


def open_any(path: str | Path) -> Opened:
    """Open a run, a bundle or a .keras file for looking inside.

    Args:
        path: a run folder (or "last"), a bundle folder (`model.cvs`), or a `.keras` file.

    Returns:
        The model with its card; a bare .keras file has no card, so classes and preprocessing are unknown.

    Raises:
        BundleError: damaged, or refused because it names something that is not on the list of allowed layers.
        RunError: no such run, or one that has no model yet.
    """
    from convscope.bundle.keras_file import open_keras
    from convscope.bundle.opening import open_bundle

    place = Path(path)
    if place.suffix == ".keras":
        return open_keras(place)
    if (place / MANIFEST).is_file():
        return open_bundle(place)
    if place.is_file():
        raise BundleError(
            f"{place}: expected a run folder, a bundle folder or a .keras file; pickle-based formats "
            "(.pt, .pkl, .joblib) are never opened, because opening them runs code"
        )
    folder = find_run(path)
    if not (folder / BUNDLE).is_dir():
        raise RunError(f"{folder}: this run has no finished model yet; go on with `convscope train --resume {folder}`")
    return open_bundle(folder / BUNDLE)
