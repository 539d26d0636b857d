"""The three back ends against each other and against a plain PyTorch loop with channels_last, same small network.

Three blocks (3x3 convolution without bias, batch norm, ReLU, 2x2 max pooling; 32, 64, 128 filters), global average
pooling, ten outputs; 64x64 pixels, batch 32. Each contender in a process of its own, since Keras fixes its back end at
import; they take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.timing import alternate, markdown, publish, rows_against
from convscope.backend.selection import installed

PLAIN_TORCH = """
import json, time, numpy as np, torch
from torch import nn
from convscope.backend.speed import PICTURES, SIDE, pictures_per_second
torch.manual_seed(0)
layers, channels = [], 3
for filters in (32, 64, 128):
    layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters)]
    layers += [nn.ReLU(), nn.MaxPool2d(2)]
    channels = filters
model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
model = model.to(memory_format=torch.channels_last)
rng = np.random.default_rng(0)
x = torch.from_numpy(rng.random((PICTURES, 3, SIDE, SIDE), np.float32)).to(memory_format=torch.channels_last)
y = torch.from_numpy(rng.integers(0, 10, PICTURES))
optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
def predict():
    model.eval()
    with torch.inference_mode():
        model(x)
def train():
    model.train()
    optimizer.zero_grad()
    loss(model(x), y).backward()
    optimizer.step()
print(json.dumps({"predict_per_s": pictures_per_second(predict), "train_per_s": pictures_per_second(train)}))
"""


def rates(command: list[str], backend: str) -> dict[str, float]:
    """Run one contender; it prints one JSON object last."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Three rounds in turn."""
    commands = {f"Keras on {name}": ([sys.executable, "-m", "convscope.backend.speed"], name) for name in installed()}
    if "torch" in installed():
        commands["plain PyTorch, channels_last"] = ([sys.executable, "-c", PLAIN_TORCH], "torch")
    predicts: dict[str, list[float]] = {name: [] for name in commands}

    def train_rate(name: str) -> float:
        found = rates(*commands[name])
        predicts[name].append(found["predict_per_s"])
        return found["train_per_s"]

    trains = alternate({name: (lambda name=name: train_rate(name)) for name in commands})
    base = f"Keras on {installed()[0]}"
    parts = []
    for title, figures in (("Training", trains), ("Predicting", predicts)):
        header, rows = rows_against(figures, base, unit="pictures/s")
        parts.append(f"## {title}\n\n{markdown(header, rows)}")
    publish("backends", "Back ends and a plain PyTorch loop", parts)


if __name__ == "__main__":
    main()
