"""One module per thing a person can ask for."""
