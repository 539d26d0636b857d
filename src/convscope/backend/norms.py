"""Batch normalisation in training as one operation of TensorFlow, where Keras writes it as nine."""

from __future__ import annotations

from typing import Any


def normalised(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """A batch (n, h, w, c) float32 normalised by its own statistics; then mean (c,) and variance (c,) of the batch.

    gamma, beta: (c,), or None for ones and zeros. The variance is that over n x h x w values, as Keras has it;
    TensorFlow's own is the unbiased one.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    scale = tf.ones([channels]) if gamma is None else tf.convert_to_tensor(gamma)
    offset = tf.zeros([channels]) if beta is None else tf.convert_to_tensor(beta)
    found, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=tf.zeros([0]), variance=tf.zeros([0]), epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.size(x) // channels, tf.float32)
    return found, mean, unbiased * (count - 1) / count
