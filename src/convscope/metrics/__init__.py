"""How right predictions are: NumPy on records."""
