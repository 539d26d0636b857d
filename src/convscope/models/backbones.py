"""The backbones of keras.applications as a table."""

from __future__ import annotations

from convscope.models.weights import KerasWeights

BACKBONES: dict = {}
_ = KerasWeights
