"""Start processes of convscope, here or on a Ray cluster, and hear from them: the launchers of `together`, and its kin.

A process is `python -m MODULE`, gets one JSON object on its standard input and says JSON objects, one a line, on its
standard output. When its input ends, whoever started it is gone, and it stops.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from convscope.errors import MissingExtraError, PlanError
from convscope.registry import nearest

LAUNCHERS = ("local", "ray")
LOST = -9  # exit code of a process whose machine is gone


class Handle(Protocol):
    """One started process."""

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...

    def heard(self) -> list[dict[str, Any]]:
        """What it has said since the last call."""
        ...

    def terminate(self) -> None:
        """Ask it to stop."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


class Launcher(Protocol):
    """Where processes run."""

    def address(self) -> str:
        """host:port of the first process, at which the others find it."""
        ...

    def start(self, module: str, order: Mapping[str, Any], rank: int, log: Path) -> Handle:
        """Start process `rank`; what it writes to standard error goes to `log`."""
        ...

    def close(self) -> None:
        """Give back what was reserved."""
        ...


def open_launcher(name: str, *, processes: int, devices: int, backend: str) -> Launcher:
    """The launcher of that name.

    Args:
        name: "local" or "ray".
        processes: how many it will start.
        devices: of each.
        backend: Keras' back end in them.

    Raises:
        PlanError: no such launcher. MissingExtraError: Ray is absent.
    """
    if name not in LAUNCHERS:
        raise PlanError(f"unknown launcher {name!r}; {nearest(name, LAUNCHERS)}")
    if name == "local":
        return LocalLauncher(processes, devices, backend)
    from convscope.actions.launching_ray import RayLauncher

    return RayLauncher(processes, devices, backend)


class Process:
    """A process on this machine; a Handle."""

    def __init__(self, module: str, order: Mapping[str, Any], *, environment: Mapping[str, str], log: Path) -> None:
        """Start it and send it its order."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
                env={**os.environ, **environment}, start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None  # asked for above
        with contextlib.suppress(BrokenPipeError):  # it has ended already; poll says so
            self._process.stdin.write((json.dumps(dict(order)) + "\n").encode())
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None  # asked for above
        with self._process.stdout as lines:
            for line in lines:
                try:
                    said = json.loads(line)
                except ValueError:  # a library's own words
                    continue
                if isinstance(said, dict):
                    self._said.put(said)

    def poll(self) -> int | None:
        """Its exit code once it has ended and all that it said is here."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(5)
            self.release()
        return code

    def release(self) -> None:
        """Close the pipe to it, from which it learns that nobody waits for it."""
        assert self._process.stdin is not None  # asked for in the beginning
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def heard(self) -> list[dict[str, Any]]:
        """What it has said since the last call."""
        found = []
        while not self._said.empty():
            found.append(self._said.get())
        return found

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._process.kill()
        self._process.wait()
        self.poll()


class LocalLauncher:
    """Processes on this machine, with their share of its GPUs, or of its processors where there are none."""

    def __init__(self, processes: int, devices: int, backend: str) -> None:
        """Look at what is here."""
        self._processes, self._devices, self._backend = processes, devices, backend
        nodes = [p.name for p in Path("/dev").glob("nvidia[0-9]*")]
        self._gpus = gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), nodes)
        if self._gpus and len(self._gpus) < processes * devices:
            raise PlanError(
                f"expected {processes * devices} GPUs for {processes} processes with {devices} each, found "
                f"{len(self._gpus)}; start fewer"
            )

    def address(self) -> str:
        """A free port of the loopback."""
        return f"127.0.0.1:{free_port()}"

    def start(self, module: str, order: Mapping[str, Any], rank: int, log: Path) -> Process:
        """Start one."""
        environment = {"KERAS_BACKEND": self._backend}
        if self._gpus:
            mine = self._gpus[rank * self._devices : (rank + 1) * self._devices]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        started = Process(module, order, environment=environment, log=log)
        if not self._gpus and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # it has ended already
                os.sched_setaffinity(started.pid, share(sorted(os.sched_getaffinity(0)), rank, self._processes))
        return started

    def close(self) -> None:
        """Nothing was reserved."""


def share(cores: Sequence[int], rank: int, processes: int) -> list[int]:
    """The processors of one of several processes; with fewer processors than processes each has one, some the same."""
    if len(cores) <= processes:
        return [cores[rank % len(cores)]]
    size = len(cores) // processes
    last = None if rank == processes - 1 else (rank + 1) * size
    return list(cores[rank * size : last])


def gpus(visible: str | None, nodes: Sequence[str]) -> list[str]:
    """Names of the GPUs that may be used: what CUDA_VISIBLE_DEVICES says, else one per device node."""
    if visible is not None:
        named = [part.strip() for part in visible.split(",") if part.strip()]
        return [n for n in named if n != "-1"]
    return sorted((n.removeprefix("nvidia") for n in nodes), key=int)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def ray_package() -> Any:
    """Ray.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("launcher ray needs Ray; pip install 'convscope[ray]'") from error
    return ray
