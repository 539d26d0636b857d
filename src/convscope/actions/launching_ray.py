"""Processes on a Ray cluster: Ray finds the machines and watches over them, each actor starts one process there.

Ray's own JaxTrainer is not used: it joins no workers on CPUs, and then trains unrelated models without a word.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convscope.actions.launching import LOST, Process, free_port, ray_package
from convscope.errors import BackendError

READY_S = 120
_PASSED_ON = ("CONVSCOPE_", "JAX_", "XLA_", "TF_", "NCCL_", "GLOO_", "OMP_", "PYTHONPATH")


class Seat:
    """In a Ray actor, on whatever machine Ray chose: one process of convscope."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._process: Process | None = None

    def address(self) -> str:
        """This machine's address in the cluster, with a free port."""
        import ray

        return f"{ray.util.get_node_ip_address()}:{free_port('')}"

    def start(self, module: str, order: dict[str, Any], environment: dict[str, str], log: str) -> int:
        """Start it; its process id."""
        self._process = Process(module, order, environment=environment, log=Path(log))
        return self._process.pid

    def look(self) -> tuple[int | None, list[dict[str, Any]]]:
        """Exit code and news."""
        assert self._process is not None  # start comes first
        code = self._process.poll()
        return code, self._process.heard()

    def terminate(self) -> None:
        """SIGTERM."""
        assert self._process is not None
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()


class _RayHandle:
    """A process at a Seat; a Handle."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._code: int | None = None
        self._news: list[dict[str, Any]] = []

    def poll(self) -> int | None:
        """Its exit code; LOST when its machine or its actor is gone."""
        if self._code is None:
            try:
                self._code, news = self._ray.get(self._actor.look.remote())
                self._news += news
            except self._ray.exceptions.RayActorError:
                self._code = LOST
        return self._code

    def heard(self) -> list[dict[str, Any]]:
        """What it has said since the last call."""
        self.poll()
        found, self._news = self._news, []
        return found

    def terminate(self) -> None:
        """SIGTERM."""
        self._actor.terminate.remote()

    def kill(self) -> None:
        """SIGKILL, and wait."""
        try:
            self._ray.get(self._actor.kill.remote())
        except self._ray.exceptions.RayActorError:
            self._code = LOST


class RayLauncher:
    """Processes where Ray puts them: on the cluster of RAY_ADDRESS, else on one that is started on this machine."""

    def __init__(self, processes: int, devices: int, backend: str) -> None:
        """Reserve the places.

        Raises:
            BackendError: the cluster has no such places free within two minutes.
        """
        self._ray = ray = ray_package()
        self._backend = backend
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._began = not ray.is_initialized()
        if self._began:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        has_gpus = ray.cluster_resources().get("GPU", 0) >= processes * devices
        bundle = {"GPU": devices, "CPU": 1} if has_gpus else {"CPU": 1}
        self._group = ray.util.placement_group([bundle] * processes, strategy="PACK")
        if not self._group.wait(READY_S):
            self.close()
            raise BackendError(
                f"expected room for {processes} processes with {bundle} each on the Ray cluster within {READY_S} s, "
                f"found {ray.cluster_resources() if ray.is_initialized() else 'none'}; start fewer, or free some"
            )
        seat = ray.remote(Seat)
        where = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
        self._actors = [
            seat.options(
                num_cpus=1, num_gpus=bundle.get("GPU", 0), scheduling_strategy=where(self._group, rank)
            ).remote()
            for rank in range(processes)
        ]  # fmt: skip

    def address(self) -> str:
        """Of the first place."""
        return str(self._ray.get(self._actors[0].address.remote()))

    def start(self, module: str, order: Mapping[str, Any], rank: int, log: Path) -> _RayHandle:
        """Start one at its place; Ray has set which GPUs it sees."""
        environment = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
        environment["KERAS_BACKEND"] = self._backend
        actor = self._actors[rank]
        self._ray.get(actor.start.remote(module, dict(order), environment, str(log)))
        return _RayHandle(self._ray, actor)

    def close(self) -> None:
        """Give the places back; a cluster that was started here ends."""
        self._ray.util.remove_placement_group(self._group)
        if self._began:
            self._ray.shutdown()
