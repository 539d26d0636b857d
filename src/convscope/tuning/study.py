"""An Optuna study: where it is stored, how it chooses, what it says of its trials."""

from __future__ import annotations

import random
import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from convscope.errors import MissingExtraError, PlanError, StorageError, UnknownNameError
from convscope.records.study import TrialRow
from convscope.registry import nearest
from convscope.tuning.patience import Patient, first_line
from convscope.tuning.space import Space

METHODS = ("grid", "random", "tpe", "asha", "hyperband")
STORE = "optuna.jsonl"
REASON, SECONDS, PARAMETERS = "reason", "seconds", "parameters"  # a trial's own notes in the store
_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
_TRIES, _PAUSE_S = 3, 1.0
_NAME = "convscope"
_DRIVERS = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient", "pymysql": "PyMySQL"}


def load_optuna() -> Any:
    """The Optuna package, quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise MissingExtraError("tuning needs Optuna; pip install 'convscope[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def check_method(method: str) -> None:
    """Raise UnknownNameError, naming the nearest, unless `method` is one of METHODS."""
    if method not in METHODS:
        raise UnknownNameError(f"unknown method {method!r}; {nearest(method, METHODS)}")


def without_password(url: str) -> str:
    """A storage address that may be shown and written down."""
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", url)


def open_storage(folder: Path, url: str = "", *, tries: int = _TRIES, pause_s: float = _PAUSE_S) -> Any:
    """The study's store: a file in its folder, or a database.

    Args:
        folder: the study's folder.
        url: "" for the file; "sqlite:///FILE", "postgresql://...", "mysql://..." for many machines.
        tries: attempts before giving up on a database.
        pause_s: between attempts; doubled each time.

    Raises:
        StorageError: unreachable, after all tries. MissingExtraError: its driver is absent. PlanError: no such kind.
    """
    optuna = load_optuna()
    if not url:
        backend = optuna.storages.journal.JournalFileBackend(str(folder / STORE))
        return optuna.storages.JournalStorage(backend)
    shown = without_password(url)
    sqlalchemy = import_module("sqlalchemy.exc")  # comes with Optuna
    for attempt in range(tries):
        try:
            store = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": _patience(url)})
            return Patient(optuna.storages.get_storage(store), shown)
        except (ModuleNotFoundError, ImportError) as error:
            driver = getattr(error.__cause__ or error, "name", None)
            advice = f"pip install '{_DRIVERS.get(driver, driver)}'" if driver else f"{first_line(error)}; install it"
            raise MissingExtraError(
                f"--storage {shown}: its driver{f' {driver}' if driver else ''} is not installed; {advice}"
            ) from error
        except (sqlalchemy.ArgumentError, sqlalchemy.NoSuchModuleError) as error:
            raise PlanError(
                f"--storage {shown}: expected an address such as sqlite:///study.db or "
                f"postgresql://user:password@host/name, got one that can't be read: {first_line(error)}"
            ) from error
        except sqlalchemy.SQLAlchemyError as error:
            if attempt + 1 == tries:
                raise StorageError(
                    f"can't reach the storage {shown} after {tries} tries: {first_line(error)}; check that it runs "
                    "and that this machine may connect"
                ) from error
            time.sleep(pause_s * 2**attempt)
    raise PlanError(f"expected at least one try to reach {shown}, got {tries}")


def _patience(url: str) -> dict[str, Any]:
    """A connection that does not hang for minutes."""
    kind = url.partition("://")[0].partition("+")[0]
    return {"postgresql": {"connect_timeout": 10}, "mysql": {"connect_timeout": 10}}.get(kind, {})


def make_sampler(method: str, seed: int) -> Any:
    """How the next plan is chosen: at random for random, grid and asha, by TPE (Bergstra et al. 2011) else."""
    samplers = load_optuna().samplers
    return samplers.TPESampler(seed=seed) if method in ("tpe", "hyperband") else samplers.RandomSampler(seed=seed)


def make_pruner(method: str, epochs: int) -> Any:
    """When a trial is given up.

    asha: asynchronous successive halving (Li et al. 2020), a third of each rung goes on. hyperband: Li et al. 2018.
    tpe: worse than the median of earlier trials at the same epoch. grid and random run every trial to its end.
    asha and tpe judge none before a quarter of the epochs: networks with batch norm begin at chance, all of them.
    """
    first = max(1, epochs // 4)
    pruners = load_optuna().pruners
    if method == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=3)
    if method == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=max(1, epochs), reduction_factor=3)
    if method == "tpe":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first)
    return pruners.NopPruner()


def open_study(storage: Any, *, method: str, is_rising: bool, seed: int, epochs: int, name: str = "") -> Any:
    """Open the study in a store, or begin it.

    Args:
        storage: from `open_storage`.
        method: one of METHODS.
        is_rising: whether more of the metric is better.
        seed: of the choices; what was asked before counts in, so that a resumed search does not repeat itself.
        epochs: of one trial, for hyperband.
        name: in a database that holds several studies.
    """
    optuna = load_optuna()
    study = optuna.create_study(
        storage=storage,
        study_name=name or _NAME,
        direction="maximize" if is_rising else "minimize",
        load_if_exists=True,
        pruner=make_pruner(method, epochs),
    )
    study.sampler = make_sampler(method, (seed + 7919 * len(study.get_trials(deepcopy=False))) % 2**32)
    return study


def enqueue_grid(study: Any, space: Space, *, trials: int, seed: int) -> int:
    """Queue every combination once, the first `trials` of a drawn order; returns how many.

    What is queued already stays so: after a kill in the midst of it, or with more trials, the rest follows.
    """
    combinations = space.grid()
    random.Random(seed).shuffle(combinations)
    for chosen in combinations[:trials]:
        study.enqueue_trial(chosen, skip_if_exists=True)
    return min(trials, len(combinations))


def importance(study: Any) -> dict[str, float]:
    """Share of the differences between good and other trials that each parameter explains, largest first.

    PED-ANOVA (Watanabe et al. 2023), which needs no forest of trees. Empty for fewer than four complete trials.
    """
    optuna = load_optuna()
    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(done) < 4 or len({t.value for t in done}) < 2:
        return {}
    names = sorted({n for t in done for n in t.params})
    varied = [n for n in names if len({str(t.params[n]) for t in done if n in t.params}) > 1]
    if not varied:
        return {}
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), params=_shared(done, varied) or None
    )
    return {name: float(value) for name, value in sorted(found.items(), key=lambda pair: -pair[1])}


def _shared(done: list[Any], names: list[str]) -> list[str]:
    """Names that every complete trial has; conditional ones can't be compared over all."""
    return [n for n in names if all(n in t.params for t in done)]


def trial_rows(study: Any) -> tuple[TrialRow, ...]:
    """What the store knows of every trial that began."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        state = _STATES[trial.state.name]
        if state == "waiting":
            continue
        notes = trial.user_attrs
        rows.append(
            TrialRow(
                number=trial.number,
                state=state,
                params=dict(trial.params),
                value=trial.value if state == "complete" else None,
                curve=tuple(v for _, v in sorted(trial.intermediate_values.items())),
                seconds=notes.get(SECONDS),
                reason=str(notes.get(REASON, "")),
                parameters=notes.get(PARAMETERS),
            )
        )
    return tuple(rows)
