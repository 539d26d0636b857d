"""Receptive fields: exact by interval propagation, checked by gradient support, effective over pictures."""
