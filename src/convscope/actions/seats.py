"""Which of several processes this one is, as a cluster's own launcher says it in environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from convscope.errors import PlanError


@dataclass(frozen=True)
class Seat:
    """One process' place.

    Attributes:
        address: host:port of the first process.
        processes: how many there are.
        rank: this one, from 0.
    """

    address: str
    processes: int
    rank: int


def seat_of(environment: Mapping[str, str]) -> Seat:
    """Read a seat from what launchers set.

    Known are, first found first: Keras' own KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID;
    MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK (torchrun, Kubernetes operators); SLURM's srun; Open MPI's mpirun
    with MASTER_ADDR.

    Raises:
        PlanError: none of them is there, or they contradict each other.
    """
    for read in (_keras, _master, _slurm, _mpi):
        found = read(environment)
        if found is not None:
            if not 0 <= found.rank < found.processes:
                raise PlanError(f"expected a process number below {found.processes}, got {found.rank}")
            return found
    raise PlanError(
        "expected --launcher env under srun, mpirun, torchrun or with KERAS_DISTRIBUTION_* set; found none of their "
        "variables. On one machine take --processes N alone"
    )


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError) as error:
        raise PlanError(f"expected a whole number in {name}, got {environment.get(name)!r}") from error


def _keras(environment: Mapping[str, str]) -> Seat | None:
    prefix = "KERAS_DISTRIBUTION_"
    if prefix + "JOB_ADDRESSES" not in environment:
        return None
    address = environment[prefix + "JOB_ADDRESSES"].partition(",")[0]
    return Seat(address, _number(environment, prefix + "NUM_PROCESSES"), _number(environment, prefix + "PROCESS_ID"))


def _master(environment: Mapping[str, str]) -> Seat | None:
    if not {"MASTER_ADDR", "WORLD_SIZE", "RANK"} <= environment.keys():
        return None
    address = f"{environment['MASTER_ADDR']}:{environment.get('MASTER_PORT', '29500')}"
    return Seat(address, _number(environment, "WORLD_SIZE"), _number(environment, "RANK"))


def _slurm(environment: Mapping[str, str]) -> Seat | None:
    """Inside srun alone; the batch script itself has SLURM_NTASKS too, but no SLURM_STEP_NODELIST of its tasks."""
    if not {"SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID"} <= environment.keys():
        return None
    host = first_host(environment["SLURM_STEP_NODELIST"])
    port = 61_000 + _number(environment, "SLURM_JOB_ID") % 4_000
    return Seat(f"{host}:{port}", _number(environment, "SLURM_NTASKS"), _number(environment, "SLURM_PROCID"))


def _mpi(environment: Mapping[str, str]) -> Seat | None:
    if "OMPI_COMM_WORLD_SIZE" not in environment:
        return None
    if "MASTER_ADDR" not in environment:
        raise PlanError("expected MASTER_ADDR with mpirun, the first machine: mpirun -x MASTER_ADDR=HOST ...")
    address = f"{environment['MASTER_ADDR']}:{environment.get('MASTER_PORT', '29500')}"
    return Seat(
        address, _number(environment, "OMPI_COMM_WORLD_SIZE"), _number(environment, "OMPI_COMM_WORLD_RANK")
    )  # fmt: skip


def first_host(nodes: str) -> str:
    """The first host of a SLURM list.

    Example:
        >>> first_host("gpu[007-012,20],login1")
        'gpu007'
    """
    found = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?", nodes)
    if found is None:
        raise PlanError(f"expected a list of hosts in SLURM_STEP_NODELIST, got {nodes!r}")
    head, first, tail = found.groups()
    return f"{head}{first or ''}{tail or ''}"
