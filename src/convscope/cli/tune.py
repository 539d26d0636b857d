"""`convscope tune`: find a good plan by trying many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from convscope.cli.screen import duration, number, progress, say, say_json, table
from convscope.errors import PlanError
from convscope.training.plan import Plan


def tune(
    data: Annotated[
        str | None, Parameter(help="Pictures: a folder or a table. With --resume it may be left out.")
    ] = None,
    *,
    space: Annotated[Path | None, Parameter(help="Which plan fields vary and over what (TOML).")] = None,
    plan: Annotated[Path | None, Parameter(help="The base plan (TOML); default: all defaults.")] = None,
    method: Annotated[str, Parameter(help="grid, random, tpe, asha or hyperband.")] = "tpe",
    trials: Annotated[int | None, Parameter(help="How many plans are tried; default 20.")] = None,
    seeds: Annotated[int, Parameter(help="Runs of each plan with different seeds; their mean counts.")] = 1,
    metric: Annotated[
        str, Parameter(help="Sought on validation, e.g. val_accuracy; default: the plan's monitor.")
    ] = "",
    reruns: Annotated[int, Parameter(help="Seeds of the best plan at the end.")] = 3,
    out: Annotated[Path | None, Parameter(help="The study's folder; default runs/DATA-tune-DATE-TIME.")] = None,
    storage: Annotated[str, Parameter(help="A database for many machines: sqlite:///FILE, postgresql://...")] = "",
    jobs: Annotated[int, Parameter(help="Processes, one trial and one device each.")] = 1,
    launcher: Annotated[Literal["local", "ray"], Parameter(help="Where these processes run.")] = "local",
    resume: Annotated[Path | None, Parameter(help="Go on with this study; --trials may be raised.")] = None,
    json: Annotated[bool, Parameter(help="Print the result as JSON.")] = False,
) -> int:
    """Try many plans, each an ordinary run, and report the best; the test pictures are scored once, for the winner."""
    from convscope.actions.tune import resume_tune
    from convscope.actions.tune import tune as search

    with progress() as listen:
        if resume is not None:
            found = resume_tune(resume, data=data, trials=trials, storage=storage, jobs=jobs,
                launcher=launcher, progress=listen,
            )  # fmt: skip
        elif data is None or space is None:
            missing = "DATA, a folder or table of pictures" if data is None else "--space FILE, which fields vary"
            raise PlanError(f"expected {missing}; see convscope tune --help")
        else:
            base = Plan() if plan is None else Plan.from_toml(plan)
            found = search(
                data, space=space, plan=base, method=method, trials=20 if trials is None else trials, seeds=seeds,
                metric=metric, reruns=reruns, out=out, storage=storage, jobs=jobs, launcher=launcher,
                progress=listen,
            )  # fmt: skip
    if json:
        best = found.facts.ranked()[0]
        say_json({"study": str(found.path), "best": vars(best), "reruns": [vars(r) for r in found.facts.reruns],
                  "tested": dict(found.facts.tested)})  # fmt: skip
        return 0
    _show(found)
    return 0


def _show(found: Any) -> None:
    facts = found.facts
    rows = [
        (t.number, number(t.value), ", ".join(f"{k} {_short(v)}" for k, v in t.params.items()),
         "" if t.seconds is None else duration(t.seconds))
        for t in facts.ranked()[:5]
    ]  # fmt: skip
    states = [t.state for t in facts.trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("complete", "pruned", "failed") if s in states)
    table(f"Best plans by {facts.metric} ({counts})", ("trial", facts.metric, "plan", "time"), rows, right=(0, 1, 3))
    if len(facts.reruns) > 1:
        values = [r.value for r in facts.reruns]
        say(f"\nThe best plan with {len(values)} seeds: {', '.join(number(v) for v in values)}")
    tested = facts.tested
    if tested:
        scored = tested["values"][tested["headline"]]
        say(f"On {tested['pictures']} test pictures that no trial saw: {tested['headline']} {number(scored['value'])}")
    say(f"\nStudy: {found.path}\nReport: {found.path / 'report.html'}\nBest plan: {found.path / 'best_plan.toml'}")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
