"""RunFolder: a run folder, read. The folder is the state; nothing here writes or asks another action."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from convscope.actions.opening import BUNDLE, open_any
from convscope.errors import RunError
from convscope.files.journal import read_journal
from convscope.records.card import Card, Opened
from convscope.records.prediction import Scored, Scores
from convscope.records.run import History, Verdict
from convscope.training.plan import Plan

EVALUATION = "evaluation.json"
PLAN = "plan.toml"
SWEPT = ("watch", "filters", "kept")  # folders of a run that hold single files


class RunFolder:
    """What training left in a folder: plan, journal, model, history, scores, verdicts; read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Open a run folder; nothing is loaded before it is asked for."""
        self.path = path

    def __repr__(self) -> str:
        """Folder, network and how far it is."""
        state = ", stopped" if self.stopped else ""
        return f"{type(self).__name__}({str(self.path)!r}, {len(self.history.epochs)} epochs{state})"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events of the journal, in order."""
        return read_journal(self.path)

    @property
    def stopped(self) -> bool:
        """True when the run has no finished model yet: it was stopped, or it is still running."""
        return not (self.path / BUNDLE).is_dir()

    @property
    def history(self) -> History:
        """One row per epoch, over all phases and resumes; a repeated epoch counts as it ran last."""
        rows: dict[int, dict[str, Any]] = {}
        for event in self.events:
            if event["event"] == "epoch":
                rows[event["epoch"]] = {k: v for k, v in event.items() if k not in ("event", "step", "time", "clock_s")}
        return History(tuple(rows[number] for number in sorted(rows)))

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What to think of the run, in plain words with the numbers behind them."""
        found = [e for e in self.events if e["event"] == "verdict"]
        last = max((e.get("round", 0) for e in found), default=0)
        return tuple(
            Verdict(e["kind"], e["title"], e["detail"], e.get("numbers") or {})
            for e in found
            if e.get("round", 0) == last
        )

    @cached_property
    def plan(self) -> Plan:
        """The plan it was trained by."""
        return Plan.from_toml(self.path / PLAN)

    @cached_property
    def opened(self) -> Opened:
        """The finished model with its card, checked before Keras sees it."""
        return open_any(self.path)

    @property
    def model(self) -> Any:
        """The finished model: a plain keras.Model."""
        return self.opened.model

    @property
    def card(self) -> Card:
        """Classes, preprocessing, temperature, provenance."""
        assert self.opened.card is not None  # a bundle always has one
        return self.opened.card

    @property
    def scores(self) -> Scores:
        """How right the finished model was on the pictures kept back (evaluation.json).

        Raises:
            RunError: the run has no scores yet.
        """
        path = self.path / EVALUATION
        if not path.is_file():
            raise RunError(
                f"{self.path}: this run has no scores yet; go on with `convscope train --resume {self.path}`"
            )
        return scores_from(json.loads(path.read_text(encoding="utf-8")))


def scores_from(facts: dict[str, Any]) -> Scores:
    """Read what `Scores.as_dict` wrote."""
    import numpy as np

    confusion = facts.get("confusion")
    return Scores(
        task=facts["task"],
        classes=tuple(facts["classes"]),
        n=facts["n"],
        headline=facts["headline"],
        values={name: Scored(**value) for name, value in facts["values"].items()},
        per_class=facts.get("per_class") or {},
        confusion=None if confusion is None else np.asarray(confusion, np.int64),
        reliability=facts.get("reliability"),
        majority=facts.get("majority"),
    )
