"""Seeds, operations that give the same bits each time, and the state of the back end's own random generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from convscope.backend.selection import backend_name, load_keras


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seed Python, NumPy and the back end; `deterministic` asks TensorFlow for repeatable operations as well.

    The other back ends repeat themselves on a CPU as they are. TensorFlow's switch holds until the process ends.
    """
    load_keras().utils.set_random_seed(seed)
    if deterministic and backend_name() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def generator_state() -> np.ndarray:
    """The state of PyTorch's global generator as uint8; empty on the other back ends, which keep all in variables."""
    if backend_name() != "torch":
        return np.zeros(0, np.uint8)
    import torch

    return np.asarray(torch.get_rng_state().numpy())


def restore_generator_state(state: np.ndarray) -> None:
    """Set what `generator_state` gave; an empty state is left alone."""
    if backend_name() != "torch" or state.size == 0:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(np.array(state, np.uint8)))


def sync_model(model: Any) -> None:
    """Write values that JAX keeps aside during fit back to the model's variables; nothing to do elsewhere."""
    if backend_name() == "jax" and getattr(model, "_jax_state", None) is not None:
        model.jax_state_sync()
