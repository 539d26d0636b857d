"""Which devices the running back end sees, and the versions that stand in a provenance."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from convscope.backend.selection import backend_name

PACKAGES = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}


def devices() -> list[str]:
    """The devices of the running back end in words ("CPU", "NVIDIA H200")."""
    name = backend_name()
    if name == "tensorflow":
        import tensorflow as tf

        return [_tensorflow_name(tf, d) for d in tf.config.list_physical_devices()]
    if name == "jax":
        import jax

        return [d.device_kind if d.platform != "cpu" else "CPU" for d in jax.devices()]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["CPU"]


def is_tensorflow_on_cpu() -> bool:
    """Whether the running back end is TensorFlow without an accelerator."""
    if backend_name() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _tensorflow_name(tf: Any, device: Any) -> str:
    if device.device_type == "CPU":
        return "CPU"
    return str(tf.config.experimental.get_device_details(device).get("device_name", device.device_type))


def package_version(name: str) -> str:
    """The installed version of a back end or package, or "" when it is absent; nothing is imported."""
    for package in PACKAGES.get(name, (name,)):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""


def versions(backend: str) -> tuple[tuple[str, str], ...]:
    """What stands in a provenance: convscope, Keras, back end, Python."""
    names = ("convscope", "keras", backend)
    found = [(n, package_version(n)) for n in names]
    return (*((n, v) for n, v in found if v), ("python", platform.python_version()), ("system", sys.platform))
