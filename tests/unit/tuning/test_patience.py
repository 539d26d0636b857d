"""A database that is away for a while is asked again; one that stays away is one clear line, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("optuna")

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from convscope.errors import StorageError
from convscope.tuning.patience import Patient
from convscope.tuning.study import open_storage, open_study


class Away:
    """A storage that can't be reached for its next `left` calls."""

    name = "plain values pass"

    def __init__(self, left: int, error: Exception) -> None:
        self.left, self.error, self.asked = left, error, 0

    def get(self, number: int, *, more: int = 0) -> int:
        self.asked += 1
        if self.asked <= self.left:
            raise self.error
        return number + more


def internal() -> Exception:
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("select 1", {}, Exception("connection refused\nand more"))
    error.__cause__.__cause__ = Exception("connection refused\nand more")
    return error


def test_a_call_is_tried_again_and_its_answer_passed_on() -> None:
    away = Away(2, internal())
    patient = Patient(away, "postgresql://me:***@host/x", tries=3, pause_s=0.001)
    assert patient.get(4, more=1) == 5
    assert away.asked == 3
    assert patient.name == "plain values pass"


def test_one_that_stays_away_is_one_line_with_what_was_behind_it() -> None:
    away = Away(9, internal())
    with pytest.raises(StorageError) as refused:
        Patient(away, "postgresql://me:***@host/x", tries=3, pause_s=0.001).get(4)
    assert str(refused.value) == (
        "lost the storage postgresql://me:***@host/x, 3 tries: connection refused; when it runs again, go on with "
        "convscope tune --resume"
    )
    assert away.asked == 3


def test_other_errors_are_not_tried_again() -> None:
    away = Away(1, KeyError("no such trial"))
    with pytest.raises(KeyError):
        Patient(away, "x", tries=3, pause_s=0.001).get(4)
    assert away.asked == 1


def test_a_study_survives_a_commit_that_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real store on SQLite, whose session refuses two commits."""
    from sqlalchemy.orm import Session

    study = open_study(
        open_storage(tmp_path, f"sqlite:///{tmp_path}/s.db"), method="random", is_rising=False, seed=0, epochs=1
    )
    study._storage._pause_s = 0.001
    trial = study.ask()
    real, left = Session.commit, [2]

    def refused(self: Session) -> None:
        if left[0]:
            left[0] -= 1
            raise OperationalError("commit", {}, Exception("server closed the connection"))
        real(self)

    monkeypatch.setattr(Session, "commit", refused)
    trial.report(0.5, 1)
    study.tell(trial, 0.5)
    assert left == [0]
    assert [t.value for t in study.get_trials()] == [0.5]
    assert study.get_trials()[0].intermediate_values == {1: 0.5}
