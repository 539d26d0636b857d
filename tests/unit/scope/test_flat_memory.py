"""A thousand questions to one Scope leave no memory behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.backend, pytest.mark.slow]

ASKED = """
import gc
import keras
import numpy as np
from keras import layers as L
from convscope.scope.front import Scope

inputs = L.Input((16, 16, 3))
x = L.Conv2D(8, 3, activation="relu", name="conv")(inputs)
model = keras.Model(inputs, L.Dense(3, activation="softmax", name="head")(L.GlobalAveragePooling2D()(x)))
images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
scope = Scope(model)

def ask(i):
    scope.feature_maps(images, "conv")
    scope.arithmetic(images[i % 4], "conv", at=(i % 14, 3), channel=i % 8)
    scope.receptive_field("conv", at=(i % 14, 3))
    scope.layers()

def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024

for i in range(100):
    ask(i)
before = resident()
for i in range(1000):
    ask(i)
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_flat_over_a_thousand_calls() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 16  # MiB
