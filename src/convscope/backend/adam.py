"""Adam's update as one operation of TensorFlow over each variable, where Keras writes it as a dozen."""

from __future__ import annotations

from typing import Any


def apply_adam(variable: Any, moments: tuple[Any, Any], gradient: Any, *, rate: Any, step: Any, how: Any) -> None:
    """Update a tf.Variable float32 and its two moments in place (Kingma and Ba 2015, the end of section 2).

    moments: first and second, Keras variables of the variable's shape. gradient: a tensor of that shape. rate: learning
    rate, a scalar. step: which update this is, from 1. how: an optimizer with beta_1, beta_2 and epsilon.
    """
    import tensorflow as tf

    first, second = (m.value.handle for m in moments)
    count = tf.cast(step, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle, m=first, v=second, grad=gradient, lr=tf.cast(rate, tf.float32), beta1=how.beta_1,
        beta2=how.beta_2, beta1_power=tf.pow(how.beta_1, count), beta2_power=tf.pow(how.beta_2, count),
        epsilon=how.epsilon,
    )  # fmt: skip


def is_dense(gradient: Any) -> bool:
    """Whether a gradient is a whole float32 tensor, not the rows of one that changed."""
    import tensorflow as tf

    return isinstance(gradient, tf.Tensor) and gradient.dtype == tf.float32


def is_distributed() -> bool:
    """Whether variables are copies on several devices just now."""
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())
