"""What a study is about, as study.toml in its folder; a resumed or second process reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convscope.errors import PlanError, RunError
from convscope.files.atomic import write_text
from convscope.training.plan import Plan
from convscope.training.plan_text import dump_toml, read_toml
from convscope.training.stopping import is_rising
from convscope.tuning.space import Space, read_space

STUDY, PLAN, SPACE, TRIALS = "study.toml", "plan.toml", "space.toml", "trials"


@dataclass(frozen=True)
class Settings:
    """The choices of a study.

    Attributes:
        data: path of the data; "" for arrays, which must be given again. name: of the data, for people.
        method: how plans are chosen. trials: how many. seeds: runs of each plan, whose mean counts.
        metric: as the training log names it. reruns: seeds of the best plan at the end.
        storage: "" for the file in the folder, else the database's address without its password.
        study_name: in a database.
    """

    data: str
    name: str
    method: str
    trials: int
    seeds: int
    metric: str
    reruns: int
    storage: str = ""
    study_name: str = ""

    def __post_init__(self) -> None:
        """Check the counts.

        Raises:
            PlanError: a number below 1.
        """
        for name, least in (("trials", 1), ("seeds", 1), ("reruns", 1)):
            if getattr(self, name) < least:
                raise PlanError(f"expected {name} of at least {least}, got {getattr(self, name)}")

    @property
    def is_rising(self) -> bool:
        """Whether more of the metric is better."""
        return is_rising(self.metric)


def write_study(folder: Path, settings: Settings, plan: Plan, space: dict[str, Any]) -> None:
    """Write study.toml, plan.toml and space.toml."""
    write_text(folder / PLAN, plan.to_toml())
    write_text(folder / SPACE, dump_toml(space))
    write_text(folder / STUDY, dump_toml(asdict(settings)))


def read_study(folder: Path) -> tuple[Settings, Plan, Space]:
    """Read what `write_study` wrote.

    Raises:
        RunError: no study there, or one of another convscope.
    """
    if not (folder / STUDY).is_file():
        raise RunError(f"{folder}: expected a study with a {STUDY}, found none; begin one with convscope tune DATA")
    try:
        settings = Settings(**read_toml(folder / STUDY))
    except TypeError as error:
        raise RunError(f"{folder / STUDY}: expected the settings of a study, got others ({error})") from error
    plan = Plan.from_toml(folder / PLAN)
    return settings, plan, read_space(folder / SPACE, plan)
