"""Stores, methods and what a study says of its trials."""

from __future__ import annotations

import math
import socket
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from convscope.errors import MissingExtraError, PlanError, StorageError, UnknownNameError
from convscope.training.plan import Plan
from convscope.tuning.space import Space, read_space
from convscope.tuning.study import (
    check_method,
    enqueue_grid,
    importance,
    load_optuna,
    make_pruner,
    open_storage,
    open_study,
    trial_rows,
    without_password,
)

PLAN = Plan(model="simple-cnn", weights="none")
SPACE = {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "dropout": {"low": 0.0, "high": 0.8}}


def study_in(folder: Path, method: str = "random", url: str = ""):
    return open_study(open_storage(folder, url), method=method, is_rising=False, seed=0, epochs=9)


def bowl(chosen: dict[str, float]) -> float:
    """A loss whose best learning rate is 0.01; dropout hardly matters."""
    return (math.log10(chosen["learning_rate"]) + 2) ** 2 + 0.001 * chosen["dropout"]


def fill(study, space: Space, trials: int) -> list[float]:
    values = []
    for _ in range(trials):
        trial = study.ask()
        values.append(bowl(space.suggest(trial)))
        study.tell(trial, values[-1])
    return values


@pytest.mark.parametrize("url", ["", "sqlite:///{}/study.db"])
def test_a_study_is_found_again_in_its_store(tmp_path: Path, url: str) -> None:
    space, place = read_space(SPACE, PLAN), url.format(tmp_path)
    first = fill(study_in(tmp_path, url=place), space, 3)
    again = study_in(tmp_path, url=place)
    assert [row.value for row in trial_rows(again)] == first
    more = fill(again, space, 3)
    assert len(set(first + more)) == 6, "a resumed random search repeats itself"


def test_tpe_finds_more_than_random_in_as_many_trials() -> None:
    """Both know nothing of the bowl; of 60 trials the second half lies much nearer its bottom with TPE."""
    space = read_space(SPACE, PLAN)
    means = {"random": 0.0, "tpe": 0.0}
    for method in means:
        for seed in range(3):
            store = load_optuna().storages.InMemoryStorage()
            study = open_study(store, method=method, is_rising=False, seed=seed, epochs=9)
            means[method] += sum(fill(study, space, 60)[30:]) / 90
    assert means["tpe"] < 0.5 * means["random"]


def test_importance_names_what_matters(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    assert importance(study) == {}
    fill(study, read_space(SPACE, PLAN), 60)
    shares = importance(study)
    assert next(iter(shares)) == "learning_rate"
    assert shares["learning_rate"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_a_grid_is_queued_once_and_gone_through(tmp_path: Path) -> None:
    study = study_in(tmp_path, "grid")
    space = read_space({"batch_size": {"choices": [8, 16]}, "pooling": {"choices": ["max", "average"]}}, PLAN)
    assert enqueue_grid(study, space, trials=10, seed=0) == 4
    found = set()
    for _ in range(4):
        trial = study.ask()
        chosen = space.suggest(trial)
        found.add((chosen["batch_size"], chosen["pooling"]))
        study.tell(trial, 0.0)
    assert found == {(8, "max"), (8, "average"), (16, "max"), (16, "average")}


def test_a_grid_that_was_queued_in_part_is_queued_to_its_end(tmp_path: Path) -> None:
    study = study_in(tmp_path, "grid")
    space = read_space({"batch_size": {"choices": [8, 16]}, "dropout": {"low": 0.0, "high": 0.2, "step": 0.1}}, PLAN)
    enqueue_grid(study, space, trials=2, seed=0)
    space.suggest(study.ask())  # one runs, one waits
    assert enqueue_grid(study, space, trials=10, seed=0) == 6
    waiting = sum(t.state.name == "WAITING" for t in study.get_trials())
    assert waiting == 5
    found = [tuple(sorted(t.system_attrs["fixed_params"].items())) for t in study.get_trials()]
    assert len(found) == len(set(found)) == 6


def test_asha_gives_up_the_worst_two_thirds_of_a_rung(tmp_path: Path) -> None:
    """Nine trials of nine epochs, best first, first rung at epoch 2: those outside the best third so far end there."""
    study = study_in(tmp_path, "asha")
    kept = []
    for number in range(9):
        trial = study.ask()
        trial.report(float(number), 1)
        assert not trial.should_prune()
        trial.report(float(number), 2)
        kept.append(not trial.should_prune())
        study.tell(trial, state=load_optuna().trial.TrialState.PRUNED)
    assert kept[0]
    assert not any(kept[3:])


@pytest.mark.parametrize(
    ("method", "kind"),
    [("grid", "NopPruner"), ("random", "NopPruner"), ("tpe", "MedianPruner"), ("hyperband", "HyperbandPruner")],
)
def test_pruners(method: str, kind: str) -> None:
    assert type(make_pruner(method, 9)).__name__ == kind


def test_unknown_methods_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean hyperband"):
        check_method("hyperbnd")


def test_an_unreachable_store_is_one_line_after_three_tries(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StorageError, match="after 3 tries") as refused:
        open_storage(tmp_path, f"sqlite:///{tmp_path}/no/such/folder/study.db", pause_s=0.05)
    assert time.monotonic() - began >= 0.15  # it waited between them
    assert len(str(refused.value).splitlines()) == 1


def test_an_unreachable_server_hides_the_password(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://me:secret@127.0.0.1:{taken.getsockname()[1]}/x"
    with pytest.raises((StorageError, MissingExtraError)) as refused:
        open_storage(tmp_path, url, pause_s=0.01)
    assert "secret" not in str(refused.value)
    assert "postgresql://me:***@127.0.0.1" in str(refused.value)
    assert without_password("sqlite:///a.db") == "sqlite:///a.db"


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("psycopg", r"driver psycopg is not installed; pip install 'psycopg\[binary\]'"),
        ("oracledb", "driver oracledb is not installed; pip install 'oracledb'"),
        (None, "driver is not installed; no module; install it"),
    ],
)
def test_an_absent_driver_is_named_as_pip_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str | None, words: str
) -> None:
    """Which driver is wanted for postgresql:// changed with SQLAlchemy 2.1: what was looked for counts."""

    def absent(*given: Any, **named: Any) -> None:
        raise ImportError("no module") from (ModuleNotFoundError(name=missing) if missing else None)

    monkeypatch.setattr(load_optuna().storages, "RDBStorage", absent)
    with pytest.raises(MissingExtraError, match=words):
        open_storage(tmp_path, "postgresql://me:secret@127.0.0.1/x")


def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="expected an address such as"):
        open_storage(tmp_path, "my database")
