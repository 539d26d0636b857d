"""A whole search on drawn pictures: trials are runs, failures are kept, a killed one goes on, one test score."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

pytest.importorskip("optuna")

import convscope
from convscope.actions import trials as trials_module
from convscope.actions.dataset import open_samples, read_split
from convscope.actions.tune import open_work, resume_tune
from convscope.errors import PlanError, RunError, RunLockedError
from convscope.files.journal import read_journal
from convscope.files.lock import FolderLock
from convscope.training.plan import Plan
from convscope.tuning.settings import read_study, write_study
from convscope.tuning.study import load_optuna

pytestmark = pytest.mark.backend

PLAN = Plan(
    model="simple-cnn", weights="none", image_size=12, fit="stretch", filters=(4,), epochs=2, batch_size=8, workers=1,
    cache_mb=1,
)  # fmt: skip
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "pooling": {"choices": ["max", "average"]},
}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.integers(0, 120, (60, 12, 12, 3)) + 50 * (np.arange(3) == y[:, None])[:, None, None, :]
    return x.astype(np.uint8), y


@pytest.fixture(scope="module")
def study(data: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("tune") / "study"
    return convscope.tune(data, space=SPACE, plan=PLAN, method="random", trials=3, out=out, reruns=2)


def test_each_trial_is_an_ordinary_run_that_never_saw_the_test_part(study) -> None:
    assert [t.state for t in study.facts.trials] == ["complete"] * 3
    test = set(json.loads((study.path / "split.json").read_text())["test"])
    assert test
    for number in range(3):
        run = convscope.open_run(study.path / "trials" / f"{number:04d}")
        split = json.loads((run.path / "split.json").read_text())
        assert split["test"] == []
        assert not test & {*split["train"], *split["val"]}
        assert json.loads((run.path / "evaluation.json").read_text())["pictures"] == "validation"
        value = min(row["val_loss"] for row in run.history.epochs)
        assert study.facts.trials[number].value == pytest.approx(value)


def test_the_best_plan_is_the_lowest_and_is_written(study) -> None:
    best = min(study.facts.trials, key=lambda t: t.value)
    assert study.facts.ranked()[0] == best
    plan = Plan.from_toml(study.path / "best_plan.toml")
    assert plan == study.best_plan
    assert (plan.learning_rate, plan.pooling) == (best.params["learning_rate"], best.params["pooling"])
    assert len(study.facts.reruns) == 2
    assert study.facts.reruns[1].value != study.facts.reruns[0].value


def test_the_test_part_is_scored_once_for_the_winner(study, data) -> None:
    tested = json.loads((study.path / "tested.json").read_text())
    assert (tested["trial"], tested["times"]) == (study.facts.ranked()[0].number, 1)
    before = (study.path / "tested.json").stat().st_mtime_ns
    again = resume_tune(study.path, data=data)
    assert again.facts.trials == study.facts.trials
    assert (study.path / "tested.json").stat().st_mtime_ns == before


def test_the_page_and_the_facts(study) -> None:
    page = (study.path / "report.html").read_text()
    for words in ("Best plans", "Parallel coordinates", "Loss on validation against cost", "The winner again"):
        assert words in page
    facts = json.loads((study.path / "study.json").read_text())
    assert [t["number"] for t in facts["trials"]] == [0, 1, 2]
    assert facts["best"]["number"] == study.facts.ranked()[0].number


def test_a_study_goes_on_with_more_trials_and_refuses_other_data(study, data) -> None:
    grown = resume_tune(study.path, data=data, trials=4)
    assert len(grown.facts.trials) == 4
    with pytest.raises(RunError, match="other data"):
        resume_tune(study.path, data=(data[0][:50], data[1][:50]))
    with pytest.raises(RunError, match="give the same data again"):
        resume_tune(study.path)


def test_a_grid_grows_by_combinations_that_were_not_tried(data, tmp_path: Path) -> None:
    space = {"pooling": {"choices": ["max", "average"]}, "dropout": {"choices": [0.0, 0.2]}}
    plan, out = PLAN.with_changes({"epochs": 1}), tmp_path / "grid"
    convscope.tune(data, space=space, plan=plan, method="grid", trials=1, out=out, reruns=1)
    grown = resume_tune(out, data=data, trials=9)
    tried = [(t.params["pooling"], t.params["dropout"]) for t in grown.facts.trials]
    assert len(tried) == len(set(tried)) == 4


def test_a_failed_trial_is_kept_with_its_reason_and_the_study_goes_on(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trials_module.train_or_go_on

    def fails_second(folder: Path, *given: Any, **named: Any) -> Any:
        if folder.name == "0001":
            raise ZeroDivisionError("nothing to divide")
        return real(folder, *given, **named)

    monkeypatch.setattr(trials_module, "train_or_go_on", fails_second)
    said: set[str] = set()
    found = convscope.tune(
        data,
        space=SPACE,
        plan=PLAN.with_changes({"epochs": 1}),
        method="random",
        trials=3,
        out=tmp_path / "s",
        reruns=2,
        progress=lambda what, done, total: said.add(what),
    )
    assert {"trial 0, train", "trial 2, train", "best plan, seed 1, train", "trials"} <= said
    assert [t.state for t in found.facts.trials] == ["complete", "failed", "complete"]
    assert found.facts.trials[1].reason == "ZeroDivisionError: nothing to divide"
    assert "nothing to divide" in (tmp_path / "s" / "report.html").read_text()


def test_a_study_whose_trials_all_fail_stops_and_says_why(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any, **named: Any) -> Any:
        raise PlanError("this can't work")

    monkeypatch.setattr(trials_module, "train_or_go_on", fails)
    with pytest.raises(PlanError, match="first 3 trials failed, the last one: this can't work"):
        convscope.tune(data, space=SPACE, plan=PLAN, method="random", trials=20, out=tmp_path / "s")


def test_hopeless_trials_are_given_up(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.trial import Trial

    monkeypatch.setattr(Trial, "should_prune", lambda self: self.number == 1)
    found = convscope.tune(
        data, space=SPACE, plan=PLAN.with_changes({"epochs": 3}), method="asha", trials=2, out=tmp_path / "s", reruns=1
    )
    assert [t.state for t in found.facts.trials] == ["complete", "pruned"]
    assert len(found.facts.trials[1].curve) == 1
    events = [e["event"] for e in read_journal(tmp_path / "s" / "trials" / "0001")]
    assert events.count("epoch") == 1


class Stop(keras.callbacks.Callback):
    """A kill in the second epoch, as far as the study can see."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_trial_that_was_killed_is_gone_on_with(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLAN.with_changes({"epochs": 3})
    whole = convscope.tune(data, space=SPACE, plan=plan, method="random", trials=2, out=tmp_path / "whole", reruns=1)
    real = trials_module.train_or_go_on

    def killed(folder: Path, *given: Any, **named: Any) -> Any:
        if folder.name == "0001":
            named["callbacks"] = [*named["callbacks"], Stop()]
        return real(folder, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(trials_module, "train_or_go_on", killed)
        with pytest.raises(KeyboardInterrupt):
            convscope.tune(data, space=SPACE, plan=plan, method="random", trials=2, out=tmp_path / "cut", reruns=1)
    assert not (tmp_path / "cut" / "trials" / "0001" / "model.cvs").exists()
    found = resume_tune(tmp_path / "cut", data=data)
    assert [(t.params, t.value, t.curve) for t in found.facts.trials] == [
        (t.params, t.value, t.curve) for t in whole.facts.trials
    ]


def test_a_trial_that_ends_while_another_process_looks_for_one_is_left_alone(
    study, data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process has the lock of a running trial's folder only when its owner has told what it reached."""
    work = open_work(study.path, read_split(study.path, open_samples(data, study.best_plan)), "")
    work = replace(work, settings=replace(work.settings, trials=len(work.study.get_trials()) + 2))
    owned, lock = trials_module._next_trial(work)

    class Late(trials_module.FolderLock):
        def __enter__(self) -> Any:
            if self.path.parent.name == f"{owned.number:04d}" and owned.number not in told:
                lock.__exit__()
                work.study.tell(owned, 9.0)
                told.append(owned.number)
            return super().__enter__()

    told: list[int] = []
    monkeypatch.setattr(trials_module, "FolderLock", Late)
    other, second = trials_module._next_trial(work)
    assert told == [owned.number]
    assert other.number == owned.number + 1
    second.__exit__()
    with trials_module.FolderLock(study.path / "trials" / f"{owned.number:04d}"):
        pass  # nobody holds the ended one
    work.study.tell(other, state=load_optuna().trial.TrialState.FAIL)


def test_who_finds_no_trial_left_waits_for_those_of_others(study, data) -> None:
    """Otherwise the page would be written without them; and one that is lost meanwhile is gone on with."""
    work = open_work(study.path, read_split(study.path, open_samples(data, study.best_plan)), "")
    work = replace(work, settings=replace(work.settings, trials=len(work.study.get_trials()) + 1))
    owned, lock = trials_module._next_trial(work)

    def end() -> None:
        work.study.tell(owned, 9.0)
        lock.__exit__()

    other = threading.Timer(1.5, end)
    other.start()
    trials_module.run_trials(work)
    assert work.study.get_trials()[owned.number].state.name == "COMPLETE"
    other.join()


def test_a_second_command_shares_the_trials_and_leaves_the_report_to_the_first(data, tmp_path: Path) -> None:
    out, plan, said = tmp_path / "s", PLAN.with_changes({"epochs": 1}), []
    convscope.tune(data, space=SPACE, plan=plan, method="random", trials=1, out=out, reruns=2)
    settings, _, _ = read_study(out)
    write_study(out, replace(settings, trials=3), plan, SPACE)
    before = (out / "report.html").read_bytes()
    with FolderLock(out):  # the first command
        found = resume_tune(out, data=data, progress=lambda what, done, total: said.append(what))
        with pytest.raises(RunLockedError):
            resume_tune(out, data=data, trials=9)
    assert [t.state for t in found.facts.trials] == ["complete"] * 3
    assert any("another process" in words and "shares its trials" in words for words in said)
    assert (out / "report.html").read_bytes() == before
    assert read_study(out)[0].trials == 3
    assert len(resume_tune(out, data=data).facts.reruns) == 2
    assert (out / "report.html").read_bytes() != before


def test_what_can_not_work_is_refused_before_anything_is_trained(data, tmp_path: Path) -> None:
    out = tmp_path / "s"
    for space, words in (
        ({"batch_size": {"choices": [8, 4096]}}, "batch_size can't be used on this data"),
        ({"batch_size": {"low": 4096, "high": 8192}}, "can't be used on this data"),
    ):
        with pytest.raises(PlanError, match=words):
            convscope.tune(data, space=space, plan=PLAN, out=out)
    with pytest.raises(PlanError, match="jobs above 1"):
        convscope.tune(data, space=SPACE, plan=PLAN, out=out, jobs=2)
    with pytest.raises(PlanError, match="trials of at least 1"):
        convscope.tune(data, space=SPACE, plan=PLAN, out=out, trials=0)
    assert not (out / "study.toml").exists()
