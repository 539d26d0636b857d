"""The records that travel: frozen dataclasses on NumPy, no behaviour beyond checking themselves."""
