"""`convscope train` and `convscope plan`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from convscope.cli.screen import progress, prose, say, say_json, table
from convscope.data.walking import must_be_there
from convscope.draw.numbers import counted
from convscope.errors import PlanError
from convscope.records.progress import Progress, silent
from convscope.records.team import ALONE, Team
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
    processes: Annotated[
        int, Parameter(help="Train by so many processes, each with its share of every batch; JAX only.")
    ] = 1,
    devices: Annotated[int, Parameter(help="GPUs of each process; on a CPU so many virtual devices.")] = 1,
    launcher: Annotated[
        Literal["local", "ray", "env"],
        Parameter(help="Who starts the processes: this command, Ray, or srun, mpirun and the like have (env)."),
    ] = "local",
    report: Annotated[bool, Parameter(help="Write report.html at the end.")] = True,
    json: Annotated[bool, Parameter(help="Print the scores as JSON.")] = False,
    options: Annotated[Plan | None, Parameter(name="*")] = None,
) -> int:
    """Train a network on pictures and write a run folder with model, journal, scores and report."""
    if data is None and resume is None:
        raise PlanError("expected DATA, a folder or table of pictures; see convscope train --help")
    given = _Given(_plan(plan, options), out, resume, continue_from, _changes(options))
    if data is not None:
        must_be_there(Path(data))  # told at once, not after a back end has been loaded
    with progress() as listen:
        if launcher == "env":
            run = _seated(data, given, devices, listen)
            if run is None:
                return 0
        elif processes > 1 or devices > 1 or launcher == "ray":
            run = _together(data, given, (launcher, processes, devices), listen)
        elif resume is None and given.plan.folds:
            return _folds(str(data), given.plan, out, listen)
        else:
            run = _alone(data, given, listen, ALONE)
        page = run.report(progress=listen) if report else None
    return _say(run, page, json)


@dataclass(frozen=True)
class _Given:
    """What the command line says of a training, whoever carries it out."""

    plan: Plan
    out: Path | None
    resume: str | None
    continue_from: str | None
    changes: dict[str, object]


def _alone(data: str | None, given: _Given, listen: Progress, team: Team) -> Any:
    """Train, or go on, in this process."""
    if given.resume is not None:
        from convscope.actions.resume import resume_run

        return resume_run(given.resume, data=data, changes=given.changes, progress=listen, team=team)
    from convscope.actions.train import train as train_on

    return train_on(
        data, plan=given.plan, out=given.out, continue_from=given.continue_from, progress=listen, team=team
    )  # fmt: skip


def _together(data: str | None, given: _Given, how: tuple[str, int, int], listen: Progress) -> Any:
    """Train, or go on, by processes that are started here."""
    from convscope.actions.together import train_together

    launcher, processes, devices = how
    return train_together(
        data, processes=processes, devices=devices, launcher=launcher, plan=given.plan, out=given.out,
        continue_from=given.continue_from, resume=given.resume, changes=given.changes, progress=listen,
    )  # fmt: skip


def _seated(data: str | None, given: _Given, devices: int, listen: Progress) -> Any:
    """Train as one of the processes that a cluster's launcher has started; the run from the first, None from others."""
    from convscope.actions.seats import seat_of
    from convscope.backend.distribution import join
    from convscope.backend.quiet import diverted

    if given.out is None and given.resume is None:
        raise PlanError("expected --out FOLDER with --launcher env; each process would name another one")
    seat = seat_of(os.environ)
    with diverted(1, to=2):  # Gloo says there, from C++, whom it is connected to; an answer as JSON stays alone
        team = join(address=seat.address, processes=seat.processes, rank=seat.rank, devices=devices)
        run = _alone(data, given, listen if team.is_first else silent, team)
    return run if team.is_first else None


def _say(run: Any, page: Path | None, json: bool) -> int:
    """Scores, verdicts and where everything lies."""
    from convscope.cli.results import show_scores

    scores = run.scores
    if json:
        say_json({"run": str(run.path), **scores.as_dict()})
        return 0
    show_scores(scores)
    _say_left_out(run.events)
    for verdict in run.verdicts:
        say(f"\n{verdict.title}", bold=True)
        prose(verdict.detail)
    say(f"\nRun: {run.path}")
    if page is not None:
        say(f"Report: {page}")
    return 0


def _say_left_out(events: Sequence[dict[str, Any]]) -> None:
    """Which files of the data were not used, and why; unreadable pictures first."""
    start = next((e for e in events if e["event"] == "start"), {})
    named, total = start.get("left_out") or [], int(start.get("set_aside") or 0)
    if named:
        more = f"; and {total - len(named)} more, in split.json" if total > len(named) else ""
        say(f"\nLeft out {counted(total, 'file')}", bold=True)
        prose(f"{'; '.join(named)}{more}.")


def _folds(data: str, plan: Plan, out: Path | None, listen: Progress) -> int:
    """Cross-validate and print the mean over the folds."""
    from convscope.actions.folds import cross_validate
    from convscope.cli.results import scored_row

    found = cross_validate(data, plan=plan, out=out, progress=listen)
    rows = [scored_row(name, scored) for name, scored in found.values.items()]
    table(f"Mean over {len(found.runs)} folds", ("", "value", "95 % interval"), rows, right=(1,))
    _say_left_out(found.runs[0].events)
    say(f"\nFolds: {found.path}")
    say(f"Each is a run: convscope report {found.runs[0].path}")
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
