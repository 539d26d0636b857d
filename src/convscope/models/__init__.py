"""Plain Keras functional models that each fit on a screen, and where their weights come from."""
