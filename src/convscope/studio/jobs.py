"""Training in a process of its own: begun, stopped and gone on with exactly as the command line does it.

Nothing of a training lives here. Its state is its run folder; it goes on when the page or the studio is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convscope.actions.run_folder import RunFolder
from convscope.data.naming import shown
from convscope.errors import PlanError, RunError, RunLockedError
from convscope.files.atomic import write_text
from convscope.files.journal import JOURNAL
from convscope.files.lock import LOCK, is_held
from convscope.training.plan import Plan

NICE, WAIT_S = 5, 600
ASKED, LOG = "asked.toml", "training.log"
BEGUN, STOPPED = "$ convscope ", "training stopped with a checkpoint"  # a line of the log for each process; a pause
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STARTED: dict[Path, subprocess.Popen[bytes]] = {}


def begin(data: Path, name: str, options: Mapping[str, Any], runs: Path) -> Path:
    """Start `convscope train DATA --plan ... --out runs/NAME`; returns the run folder.

    Raises:
        PlanError: options that can't work, or a name that is no plain name.
        RunError: a run of that name is there already.
    """
    if not is_name(name):
        raise PlanError(f"expected a name of letters, digits, dot, dash and underscore, got {shown(name[:80])!r}")
    plan = Plan(**options)
    folder = runs / name
    if (folder / JOURNAL).exists() or (folder / ASKED).exists():
        raise RunError(f"{name}: a run is already there; choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ASKED, plan.to_toml())
    _spawn(folder, ["train", str(data), "--plan", str(folder / ASKED), "--out", str(folder)])
    return folder


def is_name(name: str) -> bool:
    """Whether this is one plain name: no path, no leading dot."""
    return _NAME.fullmatch(name) is not None


def go_on(folder: Path, epochs: int | None) -> None:
    """Start `convscope train --resume RUN`, with more epochs where they are given.

    Raises:
        RunLockedError: it is running.
    """
    if is_running(folder):
        raise RunLockedError(f"{folder.name}: this run is being trained; stop it first")
    more = [] if epochs is None else ["--epochs", str(epochs)]
    _spawn(folder, ["train", "--resume", str(folder), *more])


def stop(folder: Path) -> None:
    """Ask a training to stop after its batch, with a checkpoint, as Ctrl-C does.

    Raises:
        RunError: nothing is running there, or what is running can't be told for certain.
    """
    if not is_running(folder):
        raise RunError(f"{folder.name}: nothing is being trained there")
    mine = _STARTED.get(folder)
    if mine is not None and mine.poll() is None:
        mine.send_signal(signal.SIGINT)
        return
    holder = _holder(folder)
    if holder is None:
        raise RunError(f"{folder.name}: another program trains this run; press Ctrl-C where it was started")
    os.kill(holder, signal.SIGINT)


def finish(folder: Path) -> None:
    """End a training now: it is paused, and resumed with as many epochs as it has, so that the model is made of them.

    The second step waits for the first in a thread; where the studio is closed in between, the run is paused.

    Raises:
        RunError: nothing to finish: no epoch is done yet, or the run is finished.
    """
    run = RunFolder(folder)
    if not run.stopped:
        raise RunError(f"{folder.name}: this run is finished already")
    if not run.history.epochs:
        raise RunError(f"{folder.name}: no epoch is done yet; wait for the first")
    if is_running(folder):
        stop(folder)
    threading.Thread(target=_finish_when_stopped, args=(folder,), name="finish", daemon=True).start()


def _finish_when_stopped(folder: Path) -> None:
    end = time.monotonic() + WAIT_S
    while is_running(folder) and time.monotonic() < end:
        time.sleep(0.2)
    run = RunFolder(folder)
    if not run.stopped or is_running(folder):
        return
    from convscope.training.checkpoint import checkpoints

    rows = run.history.epochs
    head = sum(row.get("phase") == "head" for row in rows)
    newest = checkpoints(folder)
    begun = 1 if newest and "batch" in newest[0].name else 0  # an epoch that was begun is trained to its end
    is_head = len(rows) == head and head > 0
    epochs = ["--epochs", str(0 if is_head else len(rows) - head + begun)]
    if head:
        epochs += ["--head-epochs", str(head + begun if is_head else head)]
    _spawn(folder, ["train", "--resume", str(folder), *epochs])


def is_running(folder: Path) -> bool:
    """Whether a living process writes this run: it holds the folder's lock, or was started here and still starts up."""
    mine = _STARTED.get(folder)
    if mine is not None and mine.poll() is None:
        return True
    return is_held(folder)


def last_words(folder: Path) -> str:
    """Why the last process of a training ended where it should not have, without its path; "" for nothing."""
    log = folder / LOG
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace")[-4000:].strip().splitlines()
    begun = max((i for i, line in enumerate(lines) if line.startswith(BEGUN)), default=-1)
    told = [line for line in lines[begun + 1 :] if line.startswith("convscope: ")]
    if not told or STOPPED in told[-1]:
        return ""
    return shown(told[-1].removeprefix("convscope: ").replace(str(folder), folder.name))


def _spawn(folder: Path, command: list[str]) -> None:
    with open(folder / LOG, "ab") as log:
        log.write(f"\n{BEGUN}{command[0]}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "convscope", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # closing the studio or its terminal does not reach it
        )
    _STARTED[folder] = process
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, process.pid, max(NICE, own))  # the page stays smooth while it trains


def _holder(folder: Path) -> int | None:
    """The process that holds the lock, if it is on this computer and really is a convscope of this user.

    The lock file is only text in a folder that somebody may have sent, so its number alone is not believed.
    """
    try:
        facts = json.loads((folder / LOCK).read_text(encoding="utf-8"))
        process = int(facts["pid"])
        command = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
        is_own = Path(f"/proc/{process}").stat().st_uid == os.getuid()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_here = facts.get("host") == socket.gethostname()
    return process if is_here and is_own and _runs_convscope(command) else None


def _runs_convscope(command: list[str]) -> bool:
    """Whether a process is `python -m convscope...` or the script; that name in a path or an argument says nothing."""
    if Path(command[0]).name.startswith("python"):
        command = command[1:]
    words = command[1:2] if command[:1] == ["-m"] else command[:1]
    return any(Path(word).name.split(".")[0] == "convscope" for word in words)
