"""Look inside any Keras model."""
