"""What the page of a study says of its winner, from trials whose numbers are known."""

from __future__ import annotations

import pytest

from convscope.records.provenance import Provenance
from convscope.records.study import Rerun, StudyFacts, TrialRow
from convscope.reporting.tuning import tuning_report


def study(values: list[float], reruns: list[float], *, given_up: int = 0, failed: int = 0) -> StudyFacts:
    rows = [TrialRow(n, "complete", {"dropout": n / 10}, v, curve=(v,), seconds=1.0) for n, v in enumerate(values)]
    for state, count in (("pruned", given_up), ("failed", failed)):
        rows += [TrialRow(len(rows) + n, state, {"dropout": 0.9}, reason="why not") for n in range(count)]
    again = tuple(Rerun(seed, value, f"seed-{seed}") for seed, value in enumerate(reruns))
    return StudyFacts("s", "asha", "val_accuracy", True, tuple(rows), reruns=again)


def words(facts: StudyFacts) -> str:
    return " ".join(" ".join(pair) for pair in tuning_report(facts, Provenance()).words)


def test_a_gain_of_more_than_twice_the_spread_stands() -> None:
    said = words(study([0.5, 0.6, 0.9], [0.90, 0.88, 0.89]))  # mean 0.89, deviation 0.01, median of trials 0.6
    assert "stands above the spread of its seeds: over 3 seeds" in said
    assert "the median of all complete trials is 60" in said


@pytest.mark.parametrize(
    ("reruns", "why"),
    [([0.9, 0.5, 0.7], "within twice that spread"), ([0.9, 0.89], "Two seeds say little")],
)
def test_what_may_be_luck_is_called_so(reruns: list[float], why: str) -> None:
    said = words(study([0.5, 0.6, 0.9], reruns))
    assert "may be luck" in said
    assert why in said


def test_trials_given_up_are_not_what_the_winner_is_compared_with() -> None:
    said = words(study([0.8, 0.9], [0.90, 0.88, 0.89], given_up=7))
    assert "the median of the 2 trials that were not given up is 85" in said


def test_failed_trials_stand_on_the_page_with_their_reasons() -> None:
    page = tuning_report(study([0.5], [], failed=2), Provenance())
    section = next(s for s in page.sections if s.name == "failed")
    assert [row[1] for row in section.blocks[0].rows] == ["why not", "why not"]
