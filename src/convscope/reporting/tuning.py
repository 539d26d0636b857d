"""The page of a tuning study: the best plans, what mattered, every trial's path, and the winner with other seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from convscope.draw.importance import cost_figure, importance_figure, trial_curves_figure
from convscope.draw.numbers import percent, short, three
from convscope.draw.parallel import Axis, parallel_figure
from convscope.records.figure import Figure
from convscope.records.provenance import Provenance
from convscope.records.report import Facts, Report, Section, Table, Words
from convscope.records.study import StudyFacts, TrialRow
from convscope.reporting.words import duration, metric_words

SHOWN = 10  # best plans in the first table


def tuning_report(study: StudyFacts, provenance: Provenance) -> Report:
    """The whole page; a study without a complete trial has nothing to show."""
    ranked = study.ranked()
    sections = [
        Section("best", "Best plans", f"{len(ranked)} complete of {len(study.trials)}", (), (_best_table(study),)),
        _parameters(study),
        *_choices(study),
        _course(study),
        _luck(study),
        *_failed(study),
    ]
    return Report(
        title=f"study {study.name}",
        subtitle=f"{study.method}, {len(study.trials)} trials",
        words=_headline(study),
        facts=(Facts("Shared by all trials", study.fixed),),
        sections=tuple(sections),
        provenance=provenance,
    )


def value_words(study: StudyFacts, value: float) -> str:
    """A value of the metric as it is shown."""
    counted = any(word in study.metric for word in ("acc", "auc", "precision", "recall", "f1"))
    return percent(value) if counted and 0 <= value <= 1 else three(value)


def _name(study: StudyFacts) -> str:
    plain = study.metric.removeprefix("val_")
    return metric_words(plain) + (" on validation" if plain != study.metric else "")


def _headline(study: StudyFacts) -> Words:
    best = study.ranked()[0]
    chosen = ", ".join(f"{k} {_shown(v)}" for k, v in best.params.items())
    first = (
        f"{_name(study)} {value_words(study, best.value or 0.0)} with trial {best.number}.",
        f"{chosen}. The plan is in best_plan.toml: convscope train DATA --plan best_plan.toml.",
    )
    return (first, *_tested_words(study), *_gain_words(study))


def _tested_words(study: StudyFacts) -> Words:
    tested = study.tested
    if not tested:
        return (("There was no test part.", "What the winner is worth on new pictures was not measured."),)
    headline = str(tested.get("headline", ""))
    scored = tested.get("values", {}).get(headline, {})
    if not scored:
        return ()
    ends = [scored.get("low"), scored.get("high")]
    interval = f", 95 % interval {percent(ends[0])} to {percent(ends[1])}" if None not in ends else ""
    times = int(tested.get("times", 1))
    often = "" if times == 1 else f" The test part has now been looked at {times} times, once per winner."
    words = f"on {tested.get('pictures')} pictures that no trial saw{interval}.{often}"
    return ((f"{metric_words(headline)} {_score_words(headline, scored['value'])} on the test part,", words),)


def _score_words(name: str, value: float) -> str:
    return percent(value) if 0 <= value <= 1 else three(value)


def _gain_words(study: StudyFacts) -> Words:
    """Whether the best trial stands out of the noise between seeds."""
    values = [r.value for r in study.reruns]
    ranked = study.ranked()
    if len(values) < 2 or len(ranked) < 2:
        return ()
    spread, middle = statistics.stdev(values), statistics.median([t.value or 0.0 for t in ranked])
    mean = statistics.mean(values)
    gain = (mean - middle) if study.is_rising else (middle - mean)
    some_given_up = any(t.state == "pruned" for t in study.trials)
    compared = f"the {len(ranked)} trials that were not given up" if some_given_up else "all complete trials"
    detail = (
        f"over {len(values)} seeds the best plan reaches {value_words(study, mean)} on average (standard deviation "
        f"{three(spread)}); the median of {compared} is {value_words(study, middle)}."
    )
    if len(values) > 2 and gain > 2 * spread:
        return (("The best plan stands above the spread of its seeds:", detail),)
    return (
        (
            "The best plan may be luck:",
            f"{detail} "
            + (
                "Two seeds say little; use more reruns." if len(values) < 3 else "The gain is within twice that spread."
            ),
        ),
    )


def _shown(value: object) -> str:
    if isinstance(value, float):
        return three(value)
    return short(str(value), 28).replace(", ", ",\N{NO-BREAK SPACE}")  # a list stays on its line


def _best_table(study: StudyFacts) -> Table:
    ranked = study.ranked()[:SHOWN]
    names = list(dict.fromkeys(n for t in ranked for n in t.params))
    rows = tuple(
        (
            str(t.number),
            value_words(study, t.value or 0.0),
            *(_shown(t.params[n]) if n in t.params else "not asked" for n in names),
            "" if t.parameters is None else three(t.parameters),
            "" if t.seconds is None else duration(t.seconds),
        )
        for t in ranked
    )
    header = ("Trial", study.metric, *names, "Parameters", "Time")
    return Table("Best plans", header, rows, numeric=(1, len(header) - 2, len(header) - 1),
                 note="the best first; each is a run folder below trials/")  # fmt: skip


def _axes(study: StudyFacts, rows: Sequence[TrialRow]) -> list[Axis]:
    names = list(dict.fromkeys(n for t in rows for n in t.params))
    names.sort(key=lambda n: -study.importance.get(n, 0.0))
    axes = []
    for name in names:
        values = tuple(t.params.get(name) for t in rows)
        real = [v for v in values if isinstance(v, int | float)]
        is_log = bool(real) and min(real) > 0 and max(real) / min(real) > 50
        axes.append(Axis(name, values, is_log))
    return axes


def _parameters(study: StudyFacts) -> Section:
    ranked = study.ranked()
    rows = ranked
    blocks: list[Figure] = []
    words: Words = ()
    if study.importance:
        blocks.append(importance_figure(study.importance, caption="PED-ANOVA over complete trials, sum 100 %"))
        name, share = next(iter(study.importance.items()))
        words = (
            (
                f"{name} mattered most,",
                f"{percent(share)} of the differences between trials{_few(len(rows))}.",
            ),
        )
    else:
        words = (("Too few trials to say which parameter mattered.", "It takes at least four that differ."),)
    return Section("parameters", "What mattered", "", words, tuple(blocks))


def _few(trials: int) -> str:
    return "" if trials >= 20 else f"; with {trials} complete trials this is a hint, not a finding"


def _choices(study: StudyFacts) -> list[Section]:
    """Parallel coordinates over the page's whole width."""
    ranked = study.ranked()
    rows = sorted(ranked, key=lambda t: t.number)
    if len(rows) < 2:
        return []
    result = Axis(study.metric, tuple(t.value for t in rows))
    drawn = parallel_figure(
        _axes(study, rows), result, best=rows.index(ranked[0]), is_rising=study.is_rising,
        caption="one line per complete trial; yellow is better, the best trial in the accent",
    )  # fmt: skip
    return [Section("choices", "Every choice", "", (), (drawn,))]


def _course(study: StudyFacts) -> Section:
    """Learning curves of all trials, and cost against quality."""
    best = study.ranked()[0]
    drawn = [t for t in study.trials if t.curve]
    blocks: list[Figure] = []
    if drawn:
        place = next((i for i, t in enumerate(drawn) if t.number == best.number), 0)
        blocks.append(
            trial_curves_figure(
                _name(study), [t.curve for t in drawn], best=place, given_up=[t.state == "pruned" for t in drawn],
                caption="the best value so far after each epoch, first seed",
            )
        )  # fmt: skip
    costed = [t for t in study.ranked() if t.seconds is not None]
    if costed:
        points = [(t.seconds or 0.0, t.value or 0.0, f"trial {t.number}") for t in costed]
        blocks.append(cost_figure(_name(study), points, best=0, caption="complete trials; time on this machine"))
    counts = {s: sum(t.state == s for t in study.trials) for s in ("complete", "pruned", "failed", "running")}
    total = sum(t.seconds or 0.0 for t in study.trials)
    note = ", ".join(f"{n} {s}" for s, n in counts.items() if n) + (f" · {duration(total)}" if total else "")
    return Section("course", "All trials", note, (), tuple(blocks))


def _luck(study: StudyFacts) -> Section:
    """The winner with other seeds."""
    rows = tuple((str(r.seed), value_words(study, r.value), r.folder) for r in study.reruns)
    values = [r.value for r in study.reruns]
    words: Words = ()
    if len(values) > 1:
        mean, spread = statistics.mean(values), statistics.stdev(values)
        half = spread / math.sqrt(len(values))
        words = (
            (f"{value_words(study, mean)} on average,", f"standard error {three(half)} over {len(values)} seeds."),
        )
    table = Table("The best plan with other seeds", ("Seed", study.metric, "Run folder"), rows, numeric=(1,),
                  note="the first is the trial itself, chosen for its value; expect less of the others")  # fmt: skip
    return Section("seeds", "The winner again", f"{len(rows)} seeds", words, (table,))


def _failed(study: StudyFacts) -> list[Section]:
    failed = [t for t in study.trials if t.state == "failed"]
    if not failed:
        return []
    rows = tuple(
        (str(t.number), short(t.reason, 160), short(", ".join(f"{k} {_shown(v)}" for k, v in t.params.items()), 80))
        for t in failed
    )
    table = Table("Failed trials", ("Trial", "Why", "Plan"), rows)
    return [Section("failed", "Failed trials", str(len(failed)), (), (table,))]
