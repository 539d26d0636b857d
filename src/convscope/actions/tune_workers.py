"""Several processes of one study on one machine; with GPUs each process sees one of them.

    python -m convscope.actions.tune_workers STUDY NUMBER PID

is one such process, for the command with that PID; the database's address comes in the environment, since it may hold a
password.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from convscope.actions.dataset import open_samples, read_split
from convscope.actions.launching import Handle, gpus, open_launcher
from convscope.actions.trials import Work, run_trials, write_facts
from convscope.errors import ConvscopeError, RunError
from convscope.records.progress import Progress
from convscope.tuning.settings import read_study
from convscope.tuning.study import trial_rows

STORAGE = "CONVSCOPE_TUNE_STORAGE"
_LOOK_S, _GRACE_S = 1.0, 20.0


def run_workers(
    work: Work, storage: str, jobs: int, progress: Progress, launcher: str = "local", *, first: int = 0
) -> None:
    """Wait until the study has its trials: run them in this process, or in `jobs` of their own, here or on Ray.

    The processes are numbered from `first` on.

    Raises:
        RunError: a process failed; its last line is said. The others end after their present trial.
    """
    numbers = range(first, first + jobs)
    if launcher != "local":
        _run_placed(work, storage, numbers, progress, launcher)
    elif jobs > 1:
        _run_here(work, storage, numbers, progress)
    else:
        run_trials(work, progress=progress)


def _run_here(work: Work, storage: str, numbers: range, progress: Progress) -> None:
    """On this machine."""
    logs = [work.folder / f"worker-{number}.log" for number in numbers]
    running = [_start(work.folder, n, storage, len(numbers), log) for n, log in zip(numbers, logs, strict=True)]
    try:
        while any(process.poll() is None for process in running):
            time.sleep(_LOOK_S)
            rows = trial_rows(work.study)
            progress("trials", sum(r.state != "running" for r in rows), work.settings.trials)
    finally:
        _end(running)
    write_facts(work.folder, trial_rows(work.study))
    failed = [log for process, log in zip(running, logs, strict=True) if process.returncode]
    if failed:
        words = failed[0].read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        raise RunError(f"a process of the study failed ({failed[0]}): {words[-1].removeprefix('convscope: ')}")


def _run_placed(work: Work, storage: str, numbers: range, progress: Progress, launcher: str) -> None:
    """The same by a launcher; a process whose machine is lost leaves its trial to be gone on with."""
    from convscope.backend.selection import backend_name

    places = open_launcher(launcher, processes=len(numbers), devices=1, backend=backend_name())
    running: list[Handle] = []
    logs = [work.folder.resolve() / f"worker-{number}.log" for number in numbers]
    try:
        for place, (number, log) in enumerate(zip(numbers, logs, strict=True)):
            order = {"study": str(work.folder.resolve()), "number": number, "storage": storage}
            running.append(places.start("convscope.actions.tune_workers", order, place, log))
        while any(handle.poll() is None for handle in running):
            time.sleep(_LOOK_S)
            rows = trial_rows(work.study)
            progress("trials", sum(r.state != "running" for r in rows), work.settings.trials)
        codes = [handle.poll() for handle in running]
    finally:
        for handle in running:
            handle.terminate()
        places.close()
    write_facts(work.folder, trial_rows(work.study))
    if all(codes):
        raise RunError(f"all {len(numbers)} processes of the study failed; see {logs[0]}")


def _start(folder: Path, number: int, storage: str, jobs: int, log: Path) -> subprocess.Popen[bytes]:
    given = [str(folder.resolve()), str(number), str(os.getpid())]
    command = [sys.executable, "-m", "convscope.actions.tune_workers", *given]
    with open(log, "ab") as words:
        return subprocess.Popen(command, env=_environment(number, storage, jobs), stdout=words, stderr=words)


def _environment(number: int, storage: str, jobs: int) -> dict[str, str]:
    """The back end of this process, a device of its own, and its share of the processors."""
    from convscope.backend.selection import backend_name

    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    found = {**os.environ, "KERAS_BACKEND": backend_name(), STORAGE: storage}
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        found.setdefault(name, threads)
    devices = gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), [p.name for p in Path("/dev").glob("nvidia[0-9]*")])
    if devices:
        found["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    return found


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask what still runs to stop; each writes a checkpoint first."""
    alive = [p for p in running if p.poll() is None]
    for process in alive:
        process.terminate()
    for process in alive:
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(argv: Sequence[str]) -> int:
    """Run trials of one study until it has enough."""
    from convscope.actions.tune import open_work

    parent = os.getppid()
    if argv:
        folder, number, storage = Path(argv[0]), int(argv[1]), os.environ.get(STORAGE, "")
        parent = int(argv[2])  # the command may be gone before this line is reached
    else:  # started by a launcher, which sends an order
        order = json.loads(sys.stdin.readline())
        folder, number, storage = Path(order["study"]), int(order["number"]), str(order["storage"])
    try:
        settings, plan, _ = read_study(folder)
        parts = read_split(folder, open_samples(settings.data, plan))
        work = open_work(folder, parts, storage, number)
        run_trials(work, goes_on=lambda: os.getppid() == parent)  # nobody wants a study whose command was killed
    except ConvscopeError as error:
        sys.stderr.write(f"convscope: {error}\n")
        return 2
    except KeyboardInterrupt as stop:
        return int(getattr(stop, "exit_code", 130))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
