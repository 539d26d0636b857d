"""Several processes or devices that train one model: joining them, spreading a model over them, agreeing.

JAX through `keras.distribution` (data parallel); TensorFlow's MirroredStrategy for the devices of one process. PyTorch
waits for a Keras whose PyTorch back end knows `keras.distribution`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from convscope.backend.selection import backend_name, chosen_backend, load_keras
from convscope.errors import BackendError
from convscope.records.team import ALONE, Team

JOIN_S = 300  # how long processes wait for each other at the start
LOST_S = 300  # a process that is silent for so long is taken for dead; one that dies is noticed at once by its peers


def join(*, address: str = "", processes: int = 1, rank: int = 0, devices: int = 1) -> Team:
    """Join the processes of one training; call it before anything is computed.

    Args:
        address: "host:port" of the first process; "" when `processes` is 1.
        processes: how many there are.
        rank: this one, from 0.
        devices: how many devices of this process to use; on a CPU so many virtual ones are made.

    Raises:
        BackendError: a back end that can't, too few devices, or processes that did not find each other.
    """
    if processes == 1 and devices == 1:
        return ALONE
    name = chosen_backend()  # not imported yet: JAX must hear of the others before it computes anything
    if name == "tensorflow" and processes == 1:
        return _tensorflow_devices(devices)
    if name != "jax":
        raise BackendError(
            f"expected the JAX back end for {processes} processes with {devices} devices each, got {name}; "
            "add --backend jax (pip install 'convscope[jax]')"
        )
    import jax

    if os.environ.get("CUDA_VISIBLE_DEVICES") == "-1":
        jax.config.update("jax_platforms", "cpu")
    if devices > 1:
        jax.config.update("jax_num_cpu_devices", devices)  # for the CPU alone; GPUs are as many as there are
    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            address,
            processes,
            rank,
            initialization_timeout=JOIN_S,
            heartbeat_timeout_seconds=LOST_S,
            shutdown_timeout_seconds=LOST_S,
        )
    if (jax.process_count(), jax.process_index()) != (processes, rank):
        raise BackendError(
            f"expected to be process {rank} of {processes}, JAX says {jax.process_index()} of {jax.process_count()}; "
            "nothing is trained, since each would train a model of its own"
        )
    found = jax.local_device_count()
    if found < devices:
        raise BackendError(f"expected {devices} devices in this process, found {found}; take --devices {found}")
    return Team(rank, processes, devices)


def _tensorflow_devices(devices: int) -> Team:
    """Check that TensorFlow has so many devices; virtual ones where it sees no GPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus and len(gpus) < devices:
        raise BackendError(f"expected {devices} GPUs, TensorFlow sees {len(gpus)}; take --devices {len(gpus)}")
    if not gpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
        except RuntimeError as error:
            if len(tf.config.list_logical_devices("CPU")) < devices:
                raise BackendError(
                    f"expected {devices} devices to be asked for before TensorFlow computes anything; begin a new "
                    "process"
                ) from error
    return Team(0, 1, devices)


@contextmanager
def spread(team: Team) -> Iterator[None]:
    """Models that are built inside the block lie on all devices of the team, and `fit` shares batches out."""
    if team.is_alone:
        yield
    elif backend_name() == "tensorflow":
        with _mirrored(team.devices):
            yield
    else:
        keras = load_keras()
        import jax

        own = {d.id for d in jax.local_devices()[: team.devices]}
        kept = [d for d in jax.devices() if team.processes > 1 or d.id in own]
        names = [f"{d.platform}:{d.id}" for d in kept]
        with keras.distribution.DataParallel(devices=names, auto_shard_dataset=False).scope():
            yield


@contextmanager
def _mirrored(devices: int) -> Iterator[None]:
    import tensorflow as tf

    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    with tf.distribute.MirroredStrategy([f"{kind}:{n}" for n in range(devices)]).scope():
        yield


@contextmanager
def by_itself() -> Iterator[None]:
    """Models that are built inside the block belong to this process alone, whatever is spread around it."""
    keras = load_keras()
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def gathered(team: Team, array: np.ndarray) -> list[np.ndarray]:
    """What every process gave, by rank; arrays of one dtype whose first axes may differ in length."""
    if team.processes == 1:
        return [array]
    from jax.experimental import multihost_utils

    lengths = np.asarray(multihost_utils.process_allgather(np.array([len(array)], np.int32))).reshape(-1)
    padded = np.zeros((int(lengths.max()), *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    all_of_them = np.asarray(multihost_utils.process_allgather(padded))
    all_of_them = all_of_them.reshape(team.processes, *padded.shape)
    return [all_of_them[rank, : int(n)] for rank, n in enumerate(lengths)]


def tell(key: str, words: str) -> None:
    """Leave a word for the other processes of the team."""
    _client().key_value_set(key, words)


def told(key: str) -> str:
    """The word that another process has left, "" for none; asking takes about a millisecond."""
    import jax

    try:
        return str(_client().key_value_try_get(key))
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" in str(error):
            return ""
        raise


def awaited(key: str) -> str:
    """The word that another process will leave, or has left."""
    return str(_client().blocking_key_value_get(key, JOIN_S * 1000))


def _client() -> Any:
    """JAX' own client of its coordinator; it has no public name yet (checkpointing libraries use it alike)."""
    from jax._src import distributed

    return distributed.global_state.client


def leave(team: Team) -> None:
    """End the team, all at once; each process then computes by itself."""
    if team.processes > 1:
        import jax

        jax.distributed.shutdown()
