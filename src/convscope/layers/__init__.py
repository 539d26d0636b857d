"""What Keras lacks, on keras.ops: per-sample augmentation."""
