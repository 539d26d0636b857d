"""`convscope report`: everything a run folder holds, as one HTML page that needs nothing else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from convscope.actions.epochs import filter_film_sections
from convscope.actions.judged_run import judge_run, judged_sections
from convscope.actions.laid_out import laid_out_sections
from convscope.actions.learned import learned_sections
from convscope.actions.run_folder import RunFolder
from convscope.actions.scan_report import read_audit
from convscope.actions.steps import steps_for
from convscope.actions.views import view_sections
from convscope.actions.watching import film
from convscope.draw.numbers import counted
from convscope.files.atomic import write_text
from convscope.records.progress import Progress, silent
from convscope.records.report import Facts, Report, Section, Words
from convscope.reporting.audit import audit_section
from convscope.reporting.render import render_report
from convscope.reporting.scores import headline_words
from convscope.reporting.training import training_section

REPORT = "report.html"


def write_report(run: RunFolder, *, out: Path | None = None, judge: int = 0, progress: Progress = silent) -> Path:
    """Write the report of a finished run; return where it is.

    Args:
        run: the run.
        out: where to; None for report.html in its folder.
        judge: let the judge of explanations work on this many kept-back pictures first; 0 shows what an earlier
            judgement found, where there is one.
        progress: told how far it is.

    Raises:
        RunError: the run is not finished. StorageError: it can't be written. As `judged_run.judge_run`.
    """
    if judge:
        judge_run(run, judge, progress=progress)
    path = out or run.path / REPORT
    write_text(path, render_report(build_report(run, progress=progress)))
    return path


def build_report(run: RunFolder, *, progress: Progress = silent) -> Report:
    """Assemble the page from what the run folder holds."""
    scores, card, start = run.scores, run.card, run.events[0]
    provenance = card.provenance
    n_val = start["split"]["val"]
    which = "that training never saw" if start["split"]["test"] else ""
    sections = [
        training_section(run.history, run.verdicts, n_val=n_val, chance=scores.majority, provenance=provenance),
        *learned_sections(run.events),
        *film(run.path),
        *filter_film_sections(run.path),
        *laid_out_sections(run.path, card.classes),
        *steps_for(card.task).sections(run, which=which, progress=progress),
        *judged_sections(run.path),
        *_scan(run),
        *view_sections(run.path),
    ]
    verdict: Words = tuple((v.title, v.detail) for v in run.verdicts)
    notes: Words = tuple((note, "") for note in start.get("notes", []))
    return Report(
        title="run" if run.path.name == "run" else f"run {run.path.name}",
        subtitle=f"{start.get('name') or card.provenance.data} · {card.network}",
        words=(headline_words(scores, which=which), *verdict, *notes),
        facts=_facts(run),
        sections=tuple(sections),
        provenance=provenance,
        made=run.events[-1]["time"][:16].replace("T", " ") + " UTC",
    )


def _facts(run: RunFolder) -> tuple[Facts, ...]:
    start, card, plan = run.events[0], run.card, run.plan
    split = start["split"]
    data = (
        ("data", start["data"]),
        ("read as", start["source"]),
        ("training", str(split["train"])),
        ("validation", str(split["val"])),
        ("test", str(split["test"])),
        ("split", start["split_rule"]),
        ("set aside", str(start["set_aside"])),
    )
    size = "as given" if card.preprocess.height is None else f"{card.preprocess.height}×{card.preprocess.width} px"
    sees = "slice" if card.network == "unet-3d" else "channel"
    network = (
        ("network", card.network),
        ("parameters", f"{start['parameters']:,}".replace(",", " ")),
        ("input", f"{size}, {counted(card.preprocess.channels, sees)}, {card.preprocess.fit}"),
        ("temperature", f"{card.temperature:.3g}"),
        ("unsure below", f"{card.unsure_below:.3g}" if card.unsure_below else "never"),
        ("seed", str(start["seed"])),
        ("back end", f"{start['backend']}, {start['backend_rule']}"),
    )
    usual = type(plan)()
    shown = {k: v for k, v in plan.model_dump().items() if v != getattr(usual, k) and k != "augment"}
    changes = {k: v for k, v in asdict(plan.augment).items() if v != getattr(usual.augment, k)}
    chosen = tuple((k.replace("_", " "), str(v)) for k, v in (shown | changes).items())
    facts = (Facts("Data", data), Facts("Network", network))
    return (
        (*facts, Facts("Plan", chosen, "what differs from the defaults; all of it in plan.toml")) if chosen else facts
    )


def _scan(run: RunFolder) -> list[Section]:
    """What the scan found before training."""
    found = read_audit(run.path)
    if found is None:
        return []
    audit, thumbnails = found
    return [audit_section(audit, thumbnails, input_hw=run.card.preprocess.size, class_order=run.card.classes)]
