"""Several processes: who reads which rows, which seat a launcher gives, and what becomes of a team that loses one."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.actions import together
from convscope.actions.launching import Process, gpus, open_launcher, share
from convscope.actions.seats import Seat, first_host, seat_of
from convscope.actions.together import train_together
from convscope.errors import BackendError, DataError, PlanError, RunError
from convscope.files.journal import JournalFile, read_journal
from convscope.records.progress import silent
from convscope.records.team import ALONE, Team
from convscope.training.plan import Plan
from convscope.training.signals import StopRequest, TrainingStopped


@pytest.mark.parametrize(("processes", "devices"), [(1, 1), (2, 1), (3, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("n", [7, 8, 12, 13, 24, 61])
def test_every_picture_of_an_epoch_is_read_as_often_as_a_lone_process_would(
    n: int, processes: int, devices: int
) -> None:
    teams = [Team(rank, processes, devices) for rank in range(processes)]
    lone = ALONE.cuts(n, 12)
    for even in (False, True):
        cuts = teams[0].cuts(n, 12, even=even)
        assert np.concatenate([np.arange(n)[c] for c in cuts]).tolist() == list(range(n))
        if not even:
            assert cuts == lone
        for cut in cuts:
            size = len(range(n)[cut])
            rows = [team.rows(size) for team in teams]
            assert len({len(r) for r in rows}) == 1  # JAX makes one array of them
            assert len(rows[0]) % devices == 0
            counts = np.bincount(np.concatenate(rows), minlength=size)
            assert (counts == counts[0]).all()  # the mean over the rows is the mean over the batch
            assert counts[0] == (1 if size % teams[0].total == 0 else teams[0].total)
            if even and size % teams[0].total:
                assert size < teams[0].total


def test_a_batch_that_can_not_be_shared_names_the_nearest() -> None:
    Team(0, 2, 2).check(32)
    with pytest.raises(PlanError, match="3 devices share evenly, got 32; take 30 or 33"):
        Team(0, 3).check(32)
    with pytest.raises(PlanError, match="got 2; take 4"):
        Team(0, 4).check(2)


@pytest.mark.parametrize(
    ("environment", "seat"),
    [
        (
            {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1,b:2", "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
             "KERAS_DISTRIBUTION_PROCESS_ID": "1"},
            Seat("a:1", 2, 1),
        ),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "7", "WORLD_SIZE": "4", "RANK": "3"}, Seat("a:7", 4, 3)),
        (
            {"SLURM_JOB_ID": "4321", "SLURM_STEP_NODELIST": "gpu[07-09,12]", "SLURM_NTASKS": "4", "SLURM_PROCID": "2"},
            Seat("gpu07:61321", 4, 2),
        ),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0", "MASTER_ADDR": "a"}, Seat("a:29500", 2, 0)),
    ],
)  # fmt: skip
def test_seats_that_launchers_give(environment: dict[str, str], seat: Seat) -> None:
    assert seat_of(environment) == seat


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "found none of their variables"),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, "found none"),  # the batch script itself
        ({"MASTER_ADDR": "a", "WORLD_SIZE": "two", "RANK": "0"}, "whole number in WORLD_SIZE, got 'two'"),
        ({"MASTER_ADDR": "a", "WORLD_SIZE": "2", "RANK": "2"}, "below 2, got 2"),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, "MASTER_ADDR"),
    ],
)
def test_no_seat(environment: dict[str, str], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        seat_of(environment)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [("n1", "n1"), ("n1,n2", "n1"), ("n[3-5]", "n3"), ("n[3,5]-ib,m1", "n3-ib"), ("a-b[01]", "a-b01")],
)
def test_first_host_of_a_list(nodes: str, host: str) -> None:
    assert first_host(nodes) == host


def test_processors_and_gpus_are_shared_out() -> None:
    assert [share([0, 1, 2, 3, 4], rank, 2) for rank in range(2)] == [[0, 1], [2, 3, 4]]
    assert [share([5, 6], rank, 3) for rank in range(3)] == [[5], [6], [5]]
    assert gpus("2,3", []) == ["2", "3"]
    assert gpus("-1", ["nvidia0"]) == []
    assert gpus(None, ["nvidia10", "nvidia2"]) == ["2", "10"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": (np.zeros(1), np.zeros(1))}, "a path for several processes, got arrays"),
        ({"plan": Plan(folds=3)}, "folds"),
        ({"plan": Plan(batch_size=7)}, "take 6 or 8"),
        ({"processes": 0}, "at least 1 process"),
        ({"launcher": "rey"}, "unknown launcher 'rey'.*ray"),
    ],
)
def test_refusals_before_anything_is_started(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=words):
        train_together(**{"data": tmp_path, "processes": 2, "out": tmp_path / "run", **given})
    assert not (tmp_path / "run").exists()


def test_pytorch_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from convscope.backend import distribution

    monkeypatch.setattr(distribution, "chosen_backend", lambda: "torch")
    with pytest.raises(BackendError, match=r"expected the JAX back end for 2 processes.*got torch"):
        distribution.join(address="x:1", processes=2, rank=0)


ECHO = """
import json, sys, time
order = json.loads(sys.stdin.readline())
print("not for you", flush=True)
print(json.dumps({"got": order["rank"]}), flush=True)
print("to the log", file=sys.stderr, flush=True)
sys.stdin.read()
sys.exit(7)
"""


def test_a_process_hears_its_order_and_notices_when_its_starter_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echo_process.py").write_text(ECHO)
    started = Process("echo_process", {"rank": 3}, environment={"PYTHONPATH": str(tmp_path)}, log=tmp_path / "log")
    until = time.monotonic() + 60
    heard: list[dict[str, Any]] = []
    while not heard and time.monotonic() < until:
        heard += started.heard()
        time.sleep(0.02)
    assert heard == [{"got": 3}]
    assert started.poll() is None
    started.release()
    while started.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert started.poll() == 7
    assert (tmp_path / "log").read_text() == "to the log\n"


class Played:
    """A launcher whose processes play what they are told: per round and rank, what is said and the exit code."""

    def __init__(self, rounds: list[list[tuple[list[dict[str, Any]], int | None]]]) -> None:
        self.rounds, self.orders = rounds, []
        self.killed = self.asked = 0

    def address(self) -> str:
        return "here:1"

    def start(self, module: str, order: Any, rank: int, log: Path) -> Any:
        if rank == 0:
            self.present = self.rounds.pop(0)
        self.orders.append(dict(order))
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"last words of {rank}\n")
        return Actor(self, *self.present[rank])

    def close(self) -> None:
        pass


class Actor:
    def __init__(self, stage: Played, said: list[dict[str, Any]], code: int | None) -> None:
        self._stage, self._said, self._code = stage, said, code

    def poll(self) -> int | None:
        return self._code

    def heard(self) -> list[dict[str, Any]]:
        said, self._said = self._said, []
        return said

    def terminate(self) -> None:
        self._stage.asked += 1
        self._code = 143

    def kill(self) -> None:
        self._stage.killed += 1
        self._code = -9


def play(folder: Path, rounds: list[Any], monkeypatch: pytest.MonkeyPatch, progress: Any = silent) -> Played:
    monkeypatch.setattr(together, "_GRACE_S", 0.3)
    stage = Played(rounds)
    order = {"processes": 2, "resume": False, "data": "d", "out": str(folder)}
    together._until_done(folder, order, lambda: stage, progress)
    return stage


DONE: tuple[list[dict[str, Any]], int | None] = ([], 0)
LIVES: tuple[list[dict[str, Any]], int | None] = ([], None)
DEAD: tuple[list[dict[str, Any]], int | None] = ([], -9)


def test_progress_of_the_first_process_alone_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    step = {"progress": ["a", 1, 2]}
    play(tmp_path, [[([step], 0), ([step], 0)]], monkeypatch, lambda *words: told.append(words))
    assert told == [("a", 1, 2)]


def test_when_one_is_lost_all_begin_again_from_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    JournalFile(tmp_path).write("start")
    (tmp_path / "checkpoints" / "epoch-0002").mkdir(parents=True)
    stage = play(tmp_path, [[LIVES, DEAD], [DONE, DONE]], monkeypatch)
    assert stage.killed == 1
    assert [order["resume"] for order in stage.orders] == [False, False, True, True]
    note = read_journal(tmp_path)[-1]["text"]
    assert note == "lost process 1 (exit code -9); all begin again from epoch-0002"


def test_three_losses_without_a_new_checkpoint_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RunError, match=r"lost process 1 .*3 times without a new checkpoint; .*last words of 0"
    ) as error:
        play(tmp_path, [[DONE, DEAD]] * 3, monkeypatch)
    assert len(str(error.value).splitlines()) == 1


def test_what_can_not_work_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [{"error": "no pictures", "kind": "DataError"}]
    with pytest.raises(DataError, match="no pictures"):
        play(tmp_path, [[(said, 2), LIVES]], monkeypatch)


def test_a_stop_is_passed_on_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = StopRequest.__enter__

    def asked(self: StopRequest) -> StopRequest:
        found = entered(self)
        self.signal_number = 15
        return found

    monkeypatch.setattr(StopRequest, "__enter__", asked)
    with pytest.raises(TrainingStopped) as stopped:
        play(tmp_path, [[LIVES, LIVES]], monkeypatch)
    assert stopped.value.exit_code == 143


def test_a_launcher_is_known_by_name() -> None:
    assert open_launcher("local", processes=1, devices=1, backend="jax").address().startswith("127.0.0.1:")


def test_starting_needs_no_keras_here() -> None:
    """The one who only starts processes must not take a GPU that they need."""
    import subprocess

    words = (
        "import json, sys, convscope.actions.together, convscope.actions.together_worker; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert {"keras", "jax", "tensorflow", "torch"}.isdisjoint(json.loads(done.stdout))
