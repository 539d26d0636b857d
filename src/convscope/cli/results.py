"""`convscope evaluate`, `predict` and `report`: what a trained network is worth and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from convscope.cli.screen import number, percent, progress, prose, say, say_json, table
from convscope.records.prediction import Predictions, Scored, Scores
from convscope.reporting.words import UNITS, metric_words


def evaluate(run: str, data: str | None = None, /, *, json: bool = False) -> None:
    """Say how right a trained network is.

    Args:
        run: a run folder, a name below runs/, or `last`.
        data: pictures with labels; without it the run's own test pictures (validation where there are none).
        json: print JSON instead of tables.
    """
    from convscope.actions.run import open_run

    with progress() as listen:
        scores = open_run(run).evaluate(data, progress=listen)
    if json:
        say_json(scores.as_dict())
    else:
        show_scores(scores)


def predict(
    run: str,
    files: list[Path],
    /,
    *,
    out: Path | None = None,
    json: bool = False,
    native_size: bool = False,
    slide: bool = False,
    overlap: float = 0.5,
    flips: bool = False,
    plane: Literal["axial", "coronal", "sagittal"] | None = None,
    memory_mb: int = 512,
    show_paths: bool = False,
    every: int = 1,
    most: int | None = None,
) -> None:
    """Say what a trained network sees in pictures; probabilities are calibrated on the validation pictures.

    Args:
        run: a run folder, a name below runs/, `last`, or a bundle folder.
        files: pictures, or folders of pictures; or one video file, or camera:0.
        out: a folder for the files (CSV and JSON; for boxes and masks pictures too; for volumes NIfTI and DICOM
            SEG); without it only the screen.
        json: print JSON instead of a table.
        native_size: give each picture at its own size (networks that end in global pooling only).
        slide: masks: look through windows of the network's size in each picture's own pixels, for large pictures.
        overlap: share of a window that neighbours share.
        flips: masks: look at each picture mirrored too and take the mean; four times the work.
        plane: masks of volumes: how they are cut; default: as for training.
        memory_mb: for windows in work.
        show_paths: DICOM, NIfTI, NRRD: say on the terminal's error stream which file each study id stands for.
        every: of a video or camera, take each so-many-th frame.
        most: of a video or camera, stop after so many frames.
    """
    from convscope.actions.mask_looks import Looks
    from convscope.actions.say import say_of_files
    from convscope.actions.say_frames import is_sequence

    if is_sequence(files):
        _say_frames(run, files[0], out=out, json=json, every=every, most=most)
        return
    looks = Looks(slide, overlap, flips, plane, memory_mb)
    with progress() as listen:
        said = say_of_files(run, files, native_size=native_size, looks=looks, progress=listen)
        written = [] if out is None else said.write(out)
    if show_paths:
        from convscope.cli.paths import show_paths as show

        show(said.samples)
    if json:
        say_json(said.rows)
        return
    show_rows(said.rows)
    if isinstance(said.record, Predictions):
        _say_unsure(said.record, said.rows)
    if written:
        say(f"Wrote {' and '.join(str(path) for path in written)}")


def _say_frames(run: str, source: Path, *, out: Path | None, json: bool, every: int, most: int | None) -> None:
    """A video or camera, with the frames per second that were measured."""
    from convscope.actions.say_frames import say_of_frames

    with progress() as listen:
        said = say_of_frames(run, source, out=out, every=every, most=most, progress=listen)
    if json:
        say_json({"frames": said.frames, "frames_per_second": said.per_second, "rows": said.rows})
        return
    show_rows(said.rows)
    pace = "too few for a rate" if said.per_second is None else f"{number(said.per_second)} frames per second"
    say(f"{said.frames} frames, {pace}")
    if out is not None:
        say(f"Wrote {out}")


def report(run: str, /, *, out: Path | None = None, judge: int = 0) -> None:
    """Write the report of a run as one HTML file that needs nothing else.

    Args:
        run: a run folder, a name below runs/, or `last`.
        out: where to write it; default report.html in the run folder.
        judge: kept-back pictures on which explanations are judged first: 16 say which methods can be believed (about
            450 runs of the network each). `convscope judge` on the run is shown as well, whichever was last.
    """
    from convscope.actions.run import open_run

    with progress() as listen:
        page = open_run(run).report(out=out, judge=judge, progress=listen)
    say(f"Report: {page}")


def keep(run: str, picture: Path | None = None, /, *, title: str, words: str = "", code: str = "") -> None:
    """Put a picture with words into the report of a run; it is there when the report is written next.

    Args:
        run: a run folder, a name below runs/, or `last`.
        picture: a PNG, JPEG or WebP file; left out for words alone.
        title: one line above it.
        words: what is to be seen.
        code: Python lines that make it again.
    """
    from convscope.actions.opening import find_run
    from convscope.actions.views import View, keep_view
    from convscope.data.regular import read_regular

    data = read_regular(picture, key=str(picture)) if picture is not None else b""
    say(f"Kept: {keep_view(find_run(run), View(title, words, code, picture=data))}")


def show_predictions(predictions: Predictions) -> None:
    """Print the first predictions as a table."""
    from convscope.actions.predict import as_rows

    rows = as_rows(predictions)
    show_rows(rows)
    _say_unsure(predictions, rows)


def _short(row: dict[str, Any], most: int = 5) -> dict[str, Any]:
    """A row that fits on a screen: of many classes only those that come next in line."""
    scores = {name[2:-1]: value for name, value in row.items() if name.startswith("p(")}
    if len(scores) <= most:
        return dict(row)
    next_ones = sorted((name for name in scores if name != row.get("says")), key=lambda name: -scores[name])[:3]
    short = {name: value for name, value in row.items() if not name.startswith("p(")}
    return {**short, "next": ", ".join(f"{name} {number(scores[name])}" for name in next_ones)}


def show_rows(rows: list[dict[str, Any]], most: int = 50) -> None:
    """Print the first rows of what a network says: file names without folders where they differ, few classes."""
    from convscope.actions.keepsakes import short_names

    first = [_short(row) for row in rows[:most]]
    columns = list(first[0]) if first else []
    if "picture" in columns:
        for row, name in zip(first, short_names([row["picture"] for row in first]), strict=True):
            row["picture"] = name
    shown = [[_cell(row[c]) for c in columns] for row in first]
    numeric = tuple(i for i, c in enumerate(columns) if all(isinstance(row[c], int | float) for row in first))
    table("Predictions", columns, shown, right=numeric)
    if len(rows) > most:
        say(f"... and {len(rows) - most} more; --out FOLDER writes all")


def _say_unsure(predictions: Predictions, rows: list[dict[str, Any]]) -> None:
    unsure = sum(bool(row.get("unsure")) for row in rows)
    if predictions.task == "classify" and predictions.unsure_below == 0:
        prose(
            "None is called unsure: on the validation pictures the probability does not tell right answers from wrong."
        )
    elif unsure:
        say(
            f"{unsure} of {len(rows)} are unsure: below {percent(predictions.unsure_below)}, by the validation pictures"
        )


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return number(value) if isinstance(value, float) else str(value)


def scored_row(name: str, scored: Scored) -> tuple[str, str, str]:
    """A metric as a row: its name, its value, its interval."""
    show = number if name in UNITS else percent
    interval = "" if scored.low is None else f"{show(scored.low)} to {show(scored.high)}"
    return metric_words(name), show(scored.value), interval


def show_scores(scores: Scores) -> None:
    """Print scores with their intervals, and how each class fares."""
    rows = [scored_row(name, scored) for name, scored in scores.values.items()]
    table(f"Scores on {scores.n} pictures", ("", "value", "95 % interval"), rows, right=(1,))
    if scores.majority is not None:
        majority = percent(scores.majority) if scores.headline not in UNITS else number(scores.majority)
        is_number = scores.task == "regress"
        guess = "the mean" if is_number else "the most frequent answer"
        on = metric_words(scores.headline) if is_number else scores.headline.replace("_", " ")
        say(f"Always saying {guess} scores {majority} on {on}.")
    if scores.per_class and scores.task != "regress":
        names = [
            n
            for n in ("dice", "iou", "sensitivity", "precision", "recall", "f1", "roc_auc", "support")
            if any(n in facts for facts in scores.per_class.values())
        ]
        body = [
            (name, *(f"{facts[n]:.0f}" if n == "support" else percent(facts.get(n)) for n in names))
            for name, facts in list(scores.per_class.items())[:20]
        ]
        heads = ("class", *(n.replace("_", " ") for n in names))
        table("\nBy class", heads, body, right=tuple(range(1, len(heads))))
