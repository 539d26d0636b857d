"""Train a Keras model by a plan: fit, schedules, callbacks, checkpoints that resume exactly, verdicts."""
