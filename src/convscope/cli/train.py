"""`convscope train` and `convscope plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from convscope.cli.screen import progress, prose, say, say_json, table
from convscope.errors import PlanError
from convscope.records.progress import Progress
from convscope.training.plan import Plan, template


def plan(*, out: Path | None = None) -> None:
    """Write a commented plan with every option and its default.

    Args:
        out: a file to write; without it the plan goes to standard output.
    """
    if out is None:
        say(template())
        return
    from convscope.files.atomic import write_text

    write_text(out, template())
    say(f"Wrote {out}; change what you like, then: convscope train PICTURES --plan {out}")


def train(
    data: Annotated[
        str | None, Parameter(help="Pictures: a folder or a table. With --resume it may be left out.")
    ] = None,
    *,
    plan: Annotated[Path | None, Parameter(help="A plan file (TOML); options given here override it.")] = None,
    out: Annotated[Path | None, Parameter(help="The run folder to write; default runs/DATA-DATE-TIME.")] = None,
    resume: Annotated[
        str | None, Parameter(help="Go on with this run (a folder or `last`) from its newest checkpoint.")
    ] = None,
    continue_from: Annotated[str | None, Parameter(help="Begin with the weights of this run, on DATA.")] = None,
    report: Annotated[bool, Parameter(help="Write report.html at the end.")] = True,
    json: Annotated[bool, Parameter(help="Print the scores as JSON.")] = False,
    options: Annotated[Plan | None, Parameter(name="*")] = None,
) -> int:
    """Train a network on pictures and write a run folder with model, journal, scores and report."""
    from convscope.actions.resume import resume_run
    from convscope.actions.train import train as train_on
    from convscope.cli.results import show_scores

    with progress() as listen:
        if resume is not None:
            run = resume_run(resume, data=data, changes=_changes(options), progress=listen)
        elif data is None:
            raise PlanError("expected DATA, a folder or table of pictures; see convscope train --help")
        elif (chosen := _plan(plan, options)).folds:
            return _folds(data, chosen, out, listen)
        else:
            run = train_on(data, plan=chosen, out=out, continue_from=continue_from, progress=listen)
        page = run.report(progress=listen) if report else None
    scores = run.scores
    if json:
        say_json({"run": str(run.path), **scores.as_dict()})
        return 0
    show_scores(scores)
    for verdict in run.verdicts:
        say(verdict.title, bold=True)
        prose(verdict.detail)
    say(f"\nRun: {run.path}")
    if page is not None:
        say(f"Report: {page}")
    return 0


def _folds(data: str, plan: Plan, out: Path | None, listen: Progress) -> int:
    """Cross-validate and print the mean over the folds."""
    from convscope.actions.folds import cross_validate
    from convscope.cli.results import scored_row

    found = cross_validate(data, plan=plan, out=out, progress=listen)
    rows = [scored_row(name, scored) for name, scored in found.values.items()]
    table(f"Mean over {len(found.runs)} folds", ("", "value", "95 % interval"), rows, right=(1,))
    say(f"\nFolds: {found.path}")
    return 0


def _changes(options: Plan | None) -> dict[str, object]:
    """What was given on the command line, and only that."""
    return {} if options is None else {name: getattr(options, name) for name in options.model_fields_set}


def _plan(path: Path | None, options: Plan | None) -> Plan:
    """The file's plan with the command line's options on top."""
    if path is None:
        return options or Plan()
    from dataclasses import fields, replace

    from convscope.records.augmentation import Augmentation

    base, changes = Plan.from_toml(path), _changes(options)
    if options is not None and "augment" in changes:
        # only the single strengths that were given override the file's
        usual = Augmentation()
        given = {f.name: getattr(options.augment, f.name) for f in fields(usual)}
        changes["augment"] = replace(base.augment, **{k: v for k, v in given.items() if v != getattr(usual, k)})
    return base.with_changes(changes)
