"""Which Keras back end runs, and which rule decided; nothing is imported before it is known.

Order: set_backend() or --backend; the environment variable KERAS_BACKEND; the back end of an already imported Keras;
else the first installed that fits: JAX where it sees an accelerator, TensorFlow, PyTorch, JAX.
`~/.keras/keras.json` is ignored, because Keras itself writes "tensorflow" into it on its first import.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

from convscope.backend.quiet import without_chatter
from convscope.errors import BackendError
from convscope.registry import nearest

BACKENDS = ("tensorflow", "jax", "torch")
EXTRAS = {"tensorflow": "cpu", "jax": "jax", "torch": "torch"}

_asked: str | None = None
_rule: str = ""


def installed() -> tuple[str, ...]:
    """The back ends whose packages are on this machine; none is imported."""
    return tuple(b for b in BACKENDS if importlib.util.find_spec(b) is not None)


def set_backend(name: str) -> None:
    """Choose the back end for this process, before Keras is imported.

    Args:
        name: "tensorflow", "jax" or "torch".

    Raises:
        BackendError: an unknown name, one that is not installed, or Keras is already imported with another one.
    """
    global _asked
    if name not in BACKENDS:
        raise BackendError(f"unknown back end {name!r}; {nearest(name, BACKENDS)}")
    if name not in installed():
        raise BackendError(f"back end {name} is not installed; run: pip install 'convscope[{EXTRAS[name]}]'")
    loaded = _loaded_backend()
    if loaded not in (None, name):
        raise BackendError(
            f"expected to set the back end before Keras is imported; it already runs on {loaded}. "
            f"Start a new process with KERAS_BACKEND={name}"
        )
    _asked = name


def _loaded_backend() -> str | None:
    keras = sys.modules.get("keras")
    return keras.backend.backend() if keras is not None and hasattr(keras, "backend") else None


def _sees_accelerator() -> bool:
    """Whether an installed JAX plug-in and a device node say so; importing JAX to ask would cost seconds."""
    plugins = any(importlib.util.find_spec(p) for p in ("jax_cuda13_plugin", "jax_cuda12_plugin", "jax_rocm7_plugin"))
    return plugins and (Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists())


def _choose() -> tuple[str, str]:
    loaded = _loaded_backend()
    if loaded is not None:
        return loaded, "Keras was already imported"
    if _asked is not None:
        return _asked, "asked for"
    variable = os.environ.get("KERAS_BACKEND")
    if variable:
        return variable, "KERAS_BACKEND"
    present = installed()
    if not present:
        raise BackendError(
            "expected TensorFlow, JAX or PyTorch, found none; run: pip install 'convscope[cpu]' (TensorFlow on CPU)"
        )
    if "jax" in present and _sees_accelerator():
        return "jax", "JAX sees an accelerator"
    return present[0] if "tensorflow" in present else ("torch" if "torch" in present else "jax"), "first installed"


def chosen_backend() -> str:
    """The back end that runs, or that `load_keras` would take now; nothing is imported."""
    return _choose()[0]


def backend_for_many(processes: int) -> str:
    """The back end of processes that train together: what was asked for, else JAX, since only it can for several.

    Raises:
        BackendError: JAX is needed and absent.
    """
    if _asked is not None or os.environ.get("KERAS_BACKEND") or processes == 1:
        return _asked or os.environ.get("KERAS_BACKEND") or chosen_backend()
    if "jax" not in installed():
        raise BackendError("expected JAX for several processes, it is not installed; run: pip install 'convscope[jax]'")
    return "jax"


def load_keras() -> ModuleType:
    """Import Keras on the chosen back end and return it; call this before any `import keras` of one's own.

    The environment is left as it was found: the choice is passed to Keras through KERAS_BACKEND only during its import,
    and TensorFlow's switch for oneDNN likewise. TensorFlow turns oneDNN on by itself only on processors with AVX-512
    neural-network instructions; without it, an AVX2 processor trains at about 0.7 times the speed and runs no
    channels_first convolution at all. Whoever sets TF_ENABLE_ONEDNN_OPTS keeps what they set.
    """
    global _rule
    if "keras" in sys.modules and _loaded_backend() is not None:
        if not _rule:
            _rule = "Keras was already imported"
        return sys.modules["keras"]
    name, rule = _choose()
    asked = {"KERAS_BACKEND": name}
    if name == "tensorflow":
        asked["TF_ENABLE_ONEDNN_OPTS"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1")
    with _environment(asked), without_chatter() if name == "tensorflow" else nullcontext():
        import keras

        keras.ops.zeros(1)  # TensorFlow says a part of its start-up lines at the first operation
    _rule = rule
    return keras


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables set in the block and put back after it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def backend_name() -> str:
    """The back end that runs (Keras is imported if it was not)."""
    return str(load_keras().backend.backend())


def backend_rule() -> str:
    """Which rule chose the back end, in words; empty before Keras is loaded."""
    return _rule
